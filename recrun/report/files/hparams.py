"""Write a run's settings and final metrics for the tab HPARAMS of TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from recrun.config.yaml_writer import dump_value
from recrun.report.files.events import HPARAMS, number_old_files, open_events
from recrun.training.reporter import Reporter

if TYPE_CHECKING:
    from recrun.runs.folder import RunFolder

_BEST: Final = "best"


class HparamsWriter(Reporter):
    """Writes one event file at the end of a run: its settings as hyperparameters, and its final metrics.

    The metrics are `test/<metric>`, which the run's other event files have too, and `best/<metric>`, on validation at
    the best epoch. A run that is resumed removes the file and writes it anew; one that failed or was interrupted has
    its settings only.

    Args:
        run: the run folder.
        settings: every setting by its key.
    """

    def __init__(self, run: RunFolder, settings: Mapping[str, Any]) -> None:
        self._run = run
        self._settings = {key: _hyperparameter(value) for key, value in settings.items()}
        self._has_started = self._is_written = False

    def start(self, info: Mapping[str, Any]) -> None:
        """Remember that the run has begun: only then is there something to write."""
        self._has_started = True

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the file of a run that is done."""
        metrics: dict[str, float] = {}
        for split, prefix in (("valid", _BEST), ("test", "test")):
            metrics |= {
                f"{prefix}/{name}": value for name, value in (result.get(split) or {}).items() if value is not None
            }
        self._write(metrics, result["best_epoch"], "SUCCESS")

    def close(self) -> None:
        """Write the file of a run that is not done."""
        if self._has_started and not self._is_written:
            self._write({}, 0, "FAILURE")

    def _write(self, metrics: Mapping[str, float], epoch: int, status: str) -> None:
        from tensorboard.plugins.hparams.api_pb2 import Status
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
        from torch.utils.tensorboard.summary import hparams

        folder = self._run.summary_folder
        experiment, start, end = hparams(self._settings, dict(metrics))  # type: ignore[no-untyped-call]
        content = HParamsPluginData(session_end_info=SessionEndInfo(status=Status.Value(f"STATUS_{status}")), version=0)
        end.value[0].metadata.plugin_data.content = content.SerializeToString()
        number_old_files(folder)
        writer = open_events(folder, suffix=HPARAMS)
        for name, value in metrics.items():
            writer.add_scalar(name, value, epoch)
        for each in (experiment, start, end):
            writer._get_file_writer().add_summary(each)  # type: ignore[no-untyped-call]
        writer.close()
        self._is_written = True


def _hyperparameter(value: Any) -> bool | int | float | str:
    """Return a value as TensorBoard takes it; others as they are written in a config."""
    return value if isinstance(value, (bool, int, float, str)) else dump_value(value)
