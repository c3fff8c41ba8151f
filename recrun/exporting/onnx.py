"""Write a model as an ONNX network, and compare it with the model itself in ONNX Runtime.

Shapes: B rows of a batch, L items of a history, U users, I items.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recrun.architectures.networks import ScoringNetwork
from recrun.errors import ExportError
from recrun.exporting.material import Material
from recrun.exporting.npz import write_arrays
from recrun.exporting.written import Request, Written
from recrun.memory import require_memory
from recrun.randomness import generator

FILE: Final = "model.onnx"
IDS: Final = "ids.npz"
TOLERANCE: Final = 1e-5
"""The largest difference between ONNX Runtime and the model, as a share of the largest value."""
_K: Final = 20
_AXES: Final[dict[str, dict[str, dict[int, str]]]] = {
    "users": {"users": {0: "batch"}},
    "rows": {"rows": {0: "batch"}},
    "histories": {"items": {0: "batch", 1: "length"}, "lengths": {0: "batch"}},
}
"""The inputs of each sort of network, and their axes of any length."""
_BATCHES: Final = (1, 2, 7, 32)
_SINGLE_FILE: Final = 1_000_000_000
"""Bytes of weights up to which a network is one file; a protobuf message ends at 2 GB."""

LOAD: Final = """\
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
data = dict(np.load("ids.npz", allow_pickle=False))
"""


def write(material: Material, folder: Path, request: Request) -> Written:
    """Write `model.onnx` and the ids of what it numbers, `ids.npz`.

    Raises:
        ExportError: the network cannot be exported, or computes something else than the model.
        ConfigError: its inputs do not fit into memory.
    """
    network = material.network
    if network is None:
        raise ValueError("the model is no network")
    batches = list(_samples(material, network))
    request.notice("exporting the network")
    files = _export(network, batches[-1], folder)
    request.notice("comparing the network with the model")
    checks = compare(network, batches, folder / FILE)
    ids = {"item_ids": material.item_ids}
    if network.reads == "users":
        ids["user_ids"] = material.user_ids
        if material.with_seen:
            histories = material.known.histories(len(material.user_ids))
            ids |= {"seen_indptr": histories.indptr, "seen_items": histories.indices}
    write_arrays(folder / IDS, ids)
    return Written((*files, IDS), checks)


def compare(network: ScoringNetwork, batches: list[tuple[Tensor, ...]], file: Path) -> dict[str, Any]:
    """Compare a file with the network it was made of, on batches of inputs.

    Returns:
        "batches" and "rows" that were compared, and the "largest_difference" and the "largest_value" of all outputs;
        "relative_difference", and "same_top_20": the rows with the same best 20 items in the same order.

    Raises:
        ExportError: a difference is more than `TOLERANCE` of the largest value, or the file cannot be run.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    names = list(_AXES[network.reads])
    largest = dict.fromkeys(network.outputs, 0.0)
    differences = dict.fromkeys(network.outputs, 0.0)
    n_rows = n_same = 0
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        for inputs in batches:
            with torch.no_grad():
                answered = network(*inputs)
            expected = answered if isinstance(answered, tuple) else (answered,)
            given = {name: each.numpy() for name, each in zip(names, inputs, strict=True)}
            found = session.run(list(network.outputs), given)
            for name, one, other in zip(network.outputs, expected, found, strict=True):
                largest[name] = float(np.maximum(largest[name], _largest(one.numpy())))
                differences[name] = float(np.maximum(differences[name], _largest(one.numpy() - other)))
            n_rows += len(inputs[0])
            n_same += int((_best(expected[0].numpy()) == _best(found[0])).all(axis=1).sum())
    except Exception as error:  # onnxruntime raises errors of its own
        raise ExportError(f"the network was exported, and onnxruntime cannot run it: {_line(error)}") from error
    shares = {name: differences[name] / (largest[name] or 1.0) for name in network.outputs}
    worst = max(shares, key=lambda name: shares[name])
    if not shares[worst] <= TOLERANCE:
        raise ExportError(
            f"the exported network differs from the model: its {worst} by up to {differences[worst]:.3g}, which is "
            f"{shares[worst]:.2g} of the largest, {largest[worst]:.3g}; at most {TOLERANCE:g} of it is allowed"
        )
    return {
        "batches": len(batches),
        "rows": n_rows,
        "largest_difference": differences["scores"],
        "largest_value": largest["scores"],
        "relative_difference": shares["scores"],
        "tolerance": TOLERANCE,
        "same_top_20": n_same,
    }


def _export(network: ScoringNetwork, example: tuple[Tensor, ...], folder: Path) -> tuple[str, ...]:
    axes = _AXES[network.reads]
    n_bytes = sum(each.nbytes for each in (*network.parameters(), *network.buffers()))
    with _silent():
        try:
            program = torch.onnx.export(
                network,
                example,
                dynamo=True,
                dynamic_shapes=axes,
                input_names=list(axes),
                output_names=list(network.outputs),
                external_data=False,
                verbose=False,
            )
            if program is None:
                raise ExportError("torch returned no network")
            program.save(str(folder / FILE), external_data=n_bytes > _SINGLE_FILE)
        except ExportError:
            raise
        except Exception as error:  # torch, onnxscript and onnx raise errors of their own
            raise ExportError(f"torch {torch.__version__} cannot export the network to ONNX: {_line(error)}") from error
    return tuple(sorted(each.name for each in folder.glob(f"{FILE}*")))


def _samples(material: Material, network: ScoringNetwork) -> Iterator[tuple[Tensor, ...]]:
    """Yield batches of inputs: users, rows and histories of the data, of various sizes and lengths."""
    random = generator(0, 0, "export")
    histories = material.known.histories(len(material.user_ids))
    n_items = len(material.item_ids)
    if network.reads == "rows":
        require_memory(40 * max(_BATCHES) * n_items, "a comparison of rows", "export to another format")
    longest = int(getattr(network.model, "max_length", 0)) if network.reads == "histories" else 0
    for n_rows in _BATCHES:
        users_B = random.integers(0, len(material.user_ids), n_rows)
        if network.reads == "users":
            yield (torch.from_numpy(users_B),)
        elif network.reads == "rows":
            rows_BI = np.zeros((n_rows, n_items), dtype=np.float32)
            for row, user in zip(rows_BI, users_B, strict=True):
                row[histories.row(int(user))] = 1
            yield (torch.from_numpy(rows_BI),)
        else:
            for width in sorted({1, 2, min(5, longest), max(1, longest // 2), longest, longest + 3}):
                items_BL, lengths_B = histories.latest(users_B, width)
                if n_rows > 2:
                    lengths_B[0] = 0  # a user of whom nothing is known
                yield torch.from_numpy(items_BL), torch.from_numpy(lengths_B)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep warnings, log lines and listings of torch's exporter, which users can do nothing about, off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    said = io.StringIO()
    try:
        with warnings.catch_warnings(), redirect_stdout(said), redirect_stderr(said):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _largest(values: NDArray[Any]) -> float:
    """Return the largest magnitude; NaN if there is one."""
    return float(np.abs(values).max(initial=0))


def _best(scores_BI: NDArray[Any]) -> NDArray[np.int64]:
    return np.argsort(-scores_BI, axis=1, kind="stable")[:, :_K]


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
