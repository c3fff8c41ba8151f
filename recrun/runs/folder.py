"""Create, write, read and lock the folder of a run.

<runs>/<description>/<dataset>/<id>/
    config.yaml        the resolved config; itself a valid CONFIG
    run.json           status, provenance, environment, and the ledger of test evaluations
    log.txt            the log
    metrics.jsonl      one line per epoch and split, written during the run
    metrics.json       the final metrics
    checkpoints/last/  the complete state, to resume from
    checkpoints/best/  the model that was best on validation
    summary/           SUMMARY.md, plots, event files
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from recrun.config.same_settings import without_run
from recrun.config.yaml_reader import read_mapping
from recrun.config.yaml_writer import dump_mapping
from recrun.errors import CheckpointError, ConfigError, Fault
from recrun.files import HeldError, atomic_write, from_json, hold, is_held, to_json
from recrun.metrics.undefined import as_nulls, reasons

SCHEMA_VERSION: Final = 1
CHECKPOINT_FILE: Final = "checkpoint.safetensors"
LATEST: Final = "latest"
_TEMPORARY: Final = ".*.tmp"
"""The temporary files of `atomic_write`."""
_BUILDING: Final = ".building-"
_ABANDONED_AFTER: Final = 3600.0
_PATIENCE: Final = 1.0
"""Seconds to wait for a lock: a process that only checks it holds it for a moment."""
_RECORD_PATIENCE: Final = 30.0


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
        self._lock_file = self.path / ".lock"

    def checkpoint_file(self, which: str) -> Path:
        """Return the path of the checkpoint `last` or `best`."""
        return self.path / "checkpoints" / which / CHECKPOINT_FILE

    @classmethod
    def create(cls, root: str | Path, settings: Mapping[str, Any]) -> RunFolder:
        """Create a run folder with its config and run.json, atomically, and point `latest` at it.

        Args:
            root: the folder of all runs.
            settings: the resolved config; description, dataset and id determine the path.

        Raises:
            ConfigError: the folder exists already, or cannot be created.
        """
        parent = runs_like(root, settings)
        path = parent / (settings.get("id") or _new_id())
        building = parent / f"{_BUILDING}{secrets.token_hex(4)}"
        message = f"there is already a run in {path}; choose another id, or continue it with --resume {path}"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(path):
                raise ConfigError(Fault(message, key="id"))
            _remove_abandoned(parent)
            run = cls(building)
            for folder in (run.checkpoint_file("last").parent, run.checkpoint_file("best").parent, run.summary_folder):
                folder.mkdir(parents=True)
            run.write_config(settings)
            run.write_json(run.run_file, {"schema_version": SCHEMA_VERSION, "status": "running", "created": now()})
            building.rename(path)
        except OSError as error:
            shutil.rmtree(building, ignore_errors=True)
            if os.path.lexists(path):
                raise ConfigError(Fault(message, key="id")) from None
            raise ConfigError(f"cannot create a run folder in {root}: {error.strerror}") from error
        _link_latest(Path(root), path)
        return cls(path)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write the resolved config, in a form that can be run again."""
        # The name of the folder and how the run was started do not affect what it computes.
        atomic_write(self.config_file, dump_mapping(without_run(config)))

    def read_settings(self) -> dict[str, Any]:
        """Return the settings in config.yaml.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        try:
            return {key: given.value for key, given in read_mapping(self.config_file).checked().items()}
        except ConfigError as error:
            raise CheckpointError(f"the config of the run {self.path} is damaged: {error.faults[0]}") from None

    def write_json(self, path: Path, document: Mapping[str, Any]) -> None:
        """Write a JSON document atomically; numbers are not rounded.

        Raises:
            ValueError: a number is NaN or infinite.
        """
        atomic_write(path, to_json(document, indent=2) + "\n")

    def read_run(self) -> dict[str, Any]:
        """Return the content of run.json.

        Raises:
            CheckpointError: it is missing, damaged, or written by a newer version of recrun.
        """
        document = read_json(self.run_file)
        schema = document.get("schema_version")
        if not isinstance(schema, int):
            raise CheckpointError(f"{self.run_file} is damaged: it has no schema_version")
        if schema > SCHEMA_VERSION:
            message = f"has schema {schema}; this version of recrun reads up to {SCHEMA_VERSION}: upgrade recrun"
            raise CheckpointError(f"{self.run_file} {message}")
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

    def end_test_evaluation(self, place: int, values: Mapping[str, float]) -> None:
        """Record the metrics of a test evaluation; undefined ones are null, with their reasons beside them."""
        entry: dict[str, Any] = {"metrics": as_nulls(values)}
        if reasons(values):
            entry["undefined"] = reasons(values)
        self._change_run(lambda document: document["test_evaluations"][place].update(entry))

    def _change_run(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Read, change and write run.json while holding its lock."""
        try:
            with hold(self.path / ".record-lock", patience=_RECORD_PATIENCE):
                document = self.read_run() if self.run_file.exists() else {"schema_version": SCHEMA_VERSION}
                change(document)
                self.write_json(self.run_file, document)
        except HeldError:
            raise CheckpointError(f"{self.run_file} is locked by another process; try again later") from None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the run for this process; the lock of a process that died is released by the system.

        Raises:
            CheckpointError: another process is training it, or the folder cannot be locked.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(hold(self._lock_file, patience=_PATIENCE))
            except HeldError:
                raise CheckpointError(f"the run {self.path} is being trained by another process") from None
            except OSError as error:
                raise CheckpointError(f"cannot lock the run {self.path}: {error.strerror}") from error
            yield

    @property
    def is_running(self) -> bool:
        """Whether another process is training the run now."""
        return is_held(self._lock_file)

    def clean(self) -> None:
        """Remove the temporary files that a killed process left behind; the run must be locked."""
        folders = [self.path, *(self.checkpoint_file(which).parent for which in ("last", "best")), self.summary_folder]
        for folder in folders:
            for file in folder.glob(_TEMPORARY):
                file.unlink(missing_ok=True)


def open_run(path: str | Path) -> RunFolder:
    """Return the run in a folder.

    Raises:
        CheckpointError: the folder holds no run.
    """
    folder = follow_latest(Path(path))
    if not (folder / "run.json").is_file():
        raise CheckpointError(f"there is no run in {path}: expected a folder with run.json")
    return RunFolder(folder.resolve())


def follow_latest(path: Path) -> Path:
    """Return the run folder named in a file called `latest`; any other path is returned unchanged."""
    if path.name != LATEST or not path.is_file():
        return path
    return path.parent / path.read_text(encoding="utf-8").strip()


def finished_record(run: RunFolder) -> dict[str, Any]:
    """Return the content of run.json of a finished run.

    Raises:
        CheckpointError: the run is damaged or not finished.
    """
    record = run.read_run()
    if record.get("status") != "done":
        status = record.get("status")
        raise CheckpointError(f"the run {run.path} is not finished (status: {status}): it has no final metrics")
    read_json(run.metrics_file)
    return record


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object that recrun wrote.

    Raises:
        CheckpointError: the file is missing, or does not hold a JSON object with finite numbers.
    """
    try:
        document = from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise CheckpointError(f"{path} is damaged: it is not JSON") from None
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
    if not isinstance(document, dict):
        raise CheckpointError(f"{path} is damaged: expected a JSON object")
    return document


def runs_like(root: str | Path, settings: Mapping[str, Any]) -> Path:
    """Return the folder below `root` for runs with this description and data set."""
    description = settings.get("description") or settings.get("model") or "run"
    return Path(root) / folder_name(description) / folder_name(settings["dataset"])


def folder_name(text: str) -> str:
    """Return a text as a folder name: `./mf.py:MyMF` becomes `MyMF`, other separators become dashes."""
    name = text.rpartition(":")[2] if ".py:" in text else text
    plain = "".join(
        "-" if character in '/\\:*?"<>|' or not character.isprintable() else character for character in name
    )
    return plain if plain.strip(".") else "-" * len(plain)


def now() -> str:
    """Return the current time in ISO 8601, UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _new_id() -> str:
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _link_latest(root: Path, path: Path) -> None:
    temporary = root / f"{_BUILDING}{LATEST}-{secrets.token_hex(4)}"
    try:
        _remove_abandoned(root)
        _write_link(temporary, path.relative_to(root))
        os.replace(temporary, root / LATEST)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigError(f"cannot point {root / LATEST} at the new run: {error.strerror}") from error


def _write_link(link: Path, target: Path) -> None:
    """Create a symbolic link or, where that fails, a file that holds the path; `follow_latest` follows both."""
    if os.name != "nt":  # Windows seldom allows links, and a rename cannot replace a link to a folder there
        with suppress(OSError):
            link.symlink_to(target, target_is_directory=True)
            return
    link.write_text(f"{target.as_posix()}\n", encoding="utf-8")


def _remove_abandoned(folder: Path) -> None:
    """Remove the unfinished folders that killed processes left behind, once they are old."""
    for path in folder.glob(f"{_BUILDING}*"):
        try:
            if time.time() - path.lstat().st_mtime < _ABANDONED_AFTER:
                continue
        except OSError:
            continue
        if path.is_symlink() or path.is_file():
            path.unlink(missing_ok=True)
        else:
            shutil.rmtree(path, ignore_errors=True)
