"""Create, write, read and lock the folder of a run.

<runs>/<description>/<dataset>/<id>/
    config.yaml        the resolved config; itself a valid CONFIG
    run.json           status, provenance, environment, and the ledger of test evaluations
    log.txt            the log
    metrics.jsonl      one line per epoch and split, written during the run
    metrics.json       the final metrics
    ids.safetensors    the original ids of users and items
    checkpoints/last/  the complete state, to resume from
    checkpoints/best/  the model that was best on validation
    per_user/          the metrics of each user, by split
    summary/, track/   SUMMARY.md, plots, event files; how far trackers, if there are any, were sent the run
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from shlex import quote
from typing import Any, Final

from recrun.config.same_settings import without_run
from recrun.config.yaml_reader import read_mapping
from recrun.config.yaml_writer import dump_mapping
from recrun.errors import CheckpointError, ConfigError, Fault
from recrun.files import HeldError, atomic_write, from_json, is_held, release, take, to_json
from recrun.metrics.undefined import as_nulls, reasons
from recrun.runs.new_folder import build_folder, follow_latest, remove_abandoned, remove_new
from recrun.runs.record_lock import changing
from recrun.runs.records import (
    CHECKPOINT_FILE,
    SCHEMA_VERSION,
    check_schema,
    has_record,
    read_json,
    refuse_foreign,
    refuse_other_names,
)
from recrun.runs.scan import LATEST
from recrun.runs.status import status_in

_TEMPORARY: Final = ".*.tmp"
"""The temporary files of `atomic_write`."""
_PATIENCE: Final = 1.0
"""Seconds to wait for a lock: a process that only checks it holds it for a moment."""


class RunFolder:
    """One run's folder.

    Args:
        path: the folder; see `create` and `open_run`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config_file = self.path / "config.yaml"
        self.run_file = self.path / "run.json"
        self.log_file = self.path / "log.txt"
        self.metrics_lines_file = self.path / "metrics.jsonl"
        self.metrics_file = self.path / "metrics.json"
        self.summary_folder = self.path / "summary"
        folders = ("checkpoints/last", "checkpoints/best", "per_user", "summary")
        self._folders = tuple(self.path / name for name in folders)
        self._lock_file = self.path / ".lock"
        self._lock: int | None = None

    def checkpoint_file(self, which: str) -> Path:
        """Return the path of the checkpoint `last` or `best`."""
        return self.path / "checkpoints" / which / CHECKPOINT_FILE

    def per_user_file(self, split: str) -> Path:
        """Return the path of the metrics of each user on a split."""
        return self.path / "per_user" / f"{split}.parquet"

    @classmethod
    def create(cls, root: str | Path, settings: Mapping[str, Any]) -> RunFolder:
        """Create a run folder with its config and run.json, atomically.

        Args:
            root: the folder of all runs.
            settings: the resolved config; description, dataset and id determine the path.

        Raises:
            ConfigError: the folder exists already, or cannot be created.
        """
        parent = runs_like(root, settings)
        path = parent / (settings.get("id") or _new_id())

        def fill(building: Path) -> None:
            run = cls(building)
            for folder in run._folders:
                folder.mkdir(parents=True)
            repeated = run._write_config(settings)
            record = {"schema_version": SCHEMA_VERSION, "status": "running", "created": now(), **repeated}
            run.write_json(run.run_file, record)

        try:
            parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(Path(root), parent)
            build_folder(path, fill)
        except OSError as error:
            if os.path.lexists(path):
                remedy = f"choose another id, or continue it with --resume {quote(str(path))}"
                message = f"there is already a run in {path}; {remedy}"
                raise ConfigError(Fault(message, key="id")) from None
            raise ConfigError(f"cannot create a run folder in {root}: {error.strerror}") from error
        return cls(path)

    def remove_new(self) -> None:
        """Remove the folder of a run that has not begun, as far as possible."""
        remove_new(self.path)

    def change_settings(self, config: Mapping[str, Any]) -> None:
        """Write the resolved config of a run that goes on with more epochs."""
        self.update_run(**self._write_config(config))

    def _write_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        # The name of the folder and how the run was started do not affect what it computes.
        settings = without_run(config)
        text = dump_mapping(settings)
        atomic_write(self.config_file, text)
        return _repeated(settings, text)

    def read_settings(self) -> dict[str, Any]:
        """Return the settings in config.yaml.

        Raises:
            CheckpointError: it is missing or damaged, or a link.
        """
        if os.path.islink(self.config_file):
            raise CheckpointError(f"the config of the run {self.path} is damaged: config.yaml is a symbolic link")
        try:
            return {key: given.value for key, given in read_mapping(self.config_file).checked().items()}
        except ConfigError as error:
            raise CheckpointError(f"the config of the run {self.path} is damaged: {error.faults[0]}") from None

    def write_json(self, path: Path, document: Mapping[str, Any]) -> None:
        """Write a JSON document atomically; numbers are not rounded.

        Raises:
            ValueError: a number is NaN or infinite.
            CheckpointError: as `require_own`.
        """
        self.require_own()
        atomic_write(path, to_json(document, indent=2) + "\n")

    def read_run(self) -> dict[str, Any]:
        """Return the content of run.json.

        Raises:
            CheckpointError: it is missing, damaged, or written by a newer version of recrun.
        """
        document = read_json(self.run_file)
        check_schema(document, self.run_file)
        return document

    def update_run(self, **changes: Any) -> None:
        """Change some entries of run.json and keep the others."""
        self._change_run(lambda document: document.update(changes))

    def begin_test_evaluation(self, checkpoint: str, by: str) -> int:
        """Record in run.json that the test part is about to be evaluated, and return the entry's index.

        The entry is written before the test part is read, so that an interrupted evaluation is recorded as well, as an
        entry without metrics.

        Args:
            checkpoint: the model that is evaluated.
            by: the command that evaluates it.
        """
        place = -1

        def enter(document: dict[str, Any]) -> None:
            nonlocal place
            ledger = document.setdefault("test_evaluations", [])
            place = len(ledger)
            ledger.append({"at": now(), "by": by, "checkpoint": checkpoint, "metrics": None})

        self._change_run(enter)
        return place

    def end_test_evaluation(self, place: int, values: Mapping[str, float], **more: Any) -> None:
        """Record the metrics of a test evaluation and more entries, when everything else of it is written."""
        entry: dict[str, Any] = {"metrics": as_nulls(values), **more}
        if reasons(values):
            entry["undefined"] = reasons(values)
        self._change_run(lambda document: document["test_evaluations"][place].update(entry))

    def _change_run(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Read, change and write run.json while holding its lock."""
        self.require_own()
        refuse_foreign(self.path)
        with changing(self.path):
            is_there = os.path.lexists(self.run_file)
            document = self.read_run() if is_there else {"schema_version": SCHEMA_VERSION}
            change(document)
            self.write_json(self.run_file, document)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the run for this process; the lock of a process that died is released by the system.

        Raises:
            CheckpointError: another process is training it, or the folder cannot be locked, or holds links.
        """
        refuse_foreign(self.path)
        refuse_other_names(self.path)
        try:
            self._lock = take(self._lock_file, patience=_PATIENCE)
        except HeldError:
            raise CheckpointError(f"the run {self.path} is being trained by another process") from None
        except OSError as error:
            raise CheckpointError(f"cannot lock the run {self.path}: {error.strerror}") from error
        try:
            yield
        finally:
            release(self._lock)
            self._lock = None

    def require_own(self) -> None:
        """Refuse to write into the folder if it is locked here, and another one has been put in its place since.

        If the folder was removed or moved away, its path may be that of another run by now.

        Raises:
            CheckpointError: it is.
        """
        if self._lock is None:
            return
        try:
            is_own = os.path.samestat(os.stat(self._lock_file), os.fstat(self._lock))
        except OSError:  # nothing is there, as writing will show
            return
        if not is_own:
            raise CheckpointError(f"the folder of the run {self.path} was replaced by another one while it was trained")

    @property
    def is_running(self) -> bool:
        """Whether another process is training the run now."""
        return is_held(self._lock_file)

    def clean(self) -> None:
        """Remove the temporary files of a killed process, and make folders that are missing; the run must be locked."""
        for folder in (self.path, *self._folders):
            folder.mkdir(parents=True, exist_ok=True)
            for file in folder.glob(_TEMPORARY):
                file.unlink(missing_ok=True)


def open_run(path: str | Path) -> RunFolder:
    """Return the run in a folder.

    Raises:
        CheckpointError: the folder holds no run, or links or other things in place of its files.
    """
    folder = follow_latest(Path(path))
    if not has_record(folder):
        raise CheckpointError(f"there is no run in {path}: expected a folder with run.json")
    run = RunFolder(folder.resolve())
    refuse_foreign(run.path)
    return run


def finished_record(run: RunFolder) -> dict[str, Any]:
    """Return the content of run.json of a finished run.

    Raises:
        CheckpointError: the run is damaged or not finished.
    """
    record = run.read_run()
    if record.get("status") != "done":
        raise CheckpointError(
            f"the run {run.path} is not finished (status: {status_in(record)}): it has no final metrics"
        )
    read_json(run.metrics_file)
    return record


def runs_like(root: str | Path, settings: Mapping[str, Any]) -> Path:
    """Return the folder below `root` for runs with this description and data set."""
    description = settings.get("description") or settings.get("model") or "run"
    return Path(root) / folder_name(description) / folder_name(settings["dataset"])


def folder_name(text: str) -> str:
    """Return a text as a folder name: `./mf.py:MyMF` becomes `MyMF`, other separators and leading dots become dashes.

    No folder is hidden, or called as the link to the latest run is.
    """
    name = text.rpartition(":")[2] if ".py:" in text else text
    plain = "".join(
        "-" if character in '/\\:*?"<>|' or not character.isprintable() else character for character in name
    )
    name = plain.lstrip(".")
    return "-" * (len(plain) - len(name)) + (f"{name}-" if plain == LATEST else name)


def now() -> str:
    """Return the current time in ISO 8601, UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _new_id() -> str:
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _repeated(settings: Mapping[str, Any], text: str) -> dict[str, Any]:
    """Return the entries of run.json that repeat config.yaml, so that listing many runs reads no YAML."""
    try:
        kept = from_json(to_json(dict(settings)))
    except (TypeError, ValueError):  # a script may have settings that JSON does not know
        return {}
    return {"settings": kept, "config_sha256": sha256(text.encode("utf-8")).hexdigest()}
