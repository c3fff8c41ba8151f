"""Find the finished trials of a sweep whose data files have changed since they were trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from recrun.data.item_vectors.match import digests
from recrun.errors import CheckpointError, RecrunError
from recrun.evaluation.protocol import Protocol
from recrun.files import to_json
from recrun.registry import DATASETS
from recrun.runs.folder import RunFolder
from recrun.runs.provenance import SPLIT, data_differences
from recrun.sweep.row import DONE, Row


def files_read(run: RunFolder) -> dict[str, str]:
    """Return the SHA-256 of each data file that a run has read.

    Raises:
        CheckpointError: the run is damaged.
    """
    recorded = run.read_run().get("data") or {}
    if not isinstance(recorded, dict) or not all(isinstance(digest, str) for digest in recorded.values()):
        raise CheckpointError(f"{run.run_file} is damaged: expected the digests of data files")
    return {name: digest for name, digest in recorded.items() if name != SPLIT}


def mixed_files(rows: Iterable[Row]) -> list[str]:
    """Return the data files that had other content for some of the finished trials than for others."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for row in rows:
        if row.status != DONE:
            continue
        with suppress(CheckpointError):  # a run that was damaged since
            for name, digest in files_read(row.run).items():
                of = (str(row.trial.config["dataset"]), str(row.trial.config["root"]), name)
                found.setdefault(of, set()).add(digest)
    return sorted({name for (_, _, name), digests in found.items() if len(digests) > 1})


class DataFiles:
    """The files of data sets as they are now; each data set is opened once, and only if a finished trial read files."""

    def __init__(self) -> None:
        self._hashes: dict[str, Mapping[str, str] | None] = {}

    def changes(self, run: RunFolder, config: Mapping[str, Any]) -> list[str]:
        """Return how the files that a finished trial has read have changed since; nothing where they cannot be read.

        Args:
            run: the trial's run.
            config: the trial's resolved config.

        Raises:
            CheckpointError: the run is damaged.
        """
        before = files_read(run)
        now = self._read(config) if before else None
        return [] if now is None else data_differences(before, now)

    def _read(self, config: Mapping[str, Any]) -> Mapping[str, str] | None:
        name = config["dataset"]
        names = [parameter.name for parameter in DATASETS.describe(name).parameters]
        settings = {key: config[key] for key in names if key in config}
        vectors, protocol = config.get("item_vectors") or [], Protocol.of(config)
        key = to_json([name, config["root"], vectors, protocol.path, settings], default=str)
        if key not in self._hashes:
            try:
                hashes = {**DATASETS.get(name)(config["root"], **settings).hashes, **digests(vectors, config["root"])}
                protocol.record_in(hashes)
                self._hashes[key] = {each: digest for each, digest in hashes.items() if each != SPLIT}
            except RecrunError:  # a trial that is still to be trained will say so
                self._hashes[key] = None
        return self._hashes[key]
