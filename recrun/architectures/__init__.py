"""Base classes of models, one module per family, and parts that models share."""

from recrun.architectures.base import Batch, RecSysArch, n_parameters
from recrun.architectures.closed_form import ClosedFormArch
from recrun.architectures.graph import GraphArch
from recrun.architectures.prediction import PredictingArch
from recrun.architectures.sequence import SequenceArch
from recrun.architectures.whole_rows import AutoencoderArch, RowsArch

__all__ = [
    "AutoencoderArch",
    "Batch",
    "ClosedFormArch",
    "GraphArch",
    "PredictingArch",
    "RecSysArch",
    "RowsArch",
    "SequenceArch",
    "n_parameters",
]
