"""The run folder: what lies where, written atomically, and read back.

    <runs>/<description>/<dataset>/<id>/
        config.yaml        the resolved config; itself a valid CONFIG
        run.json           status, provenance, environment, and the ledger of test evaluations
        log.txt            what was said
        metrics.jsonl      a line per epoch and split, while running
        metrics.json       the final numbers
        checkpoints/last/  everything a resume needs
        checkpoints/best/  the model that was best on validation
        summary/           SUMMARY.md, plots, event files
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from recrun.errors import CheckpointError, ConfigError, Fault
from recrun.utils import atomic_write
from recrun.yamltext import dump_mapping

SCHEMA_VERSION: Final = 1
CHECKPOINT_FILE: Final = "checkpoint.safetensors"
LATEST: Final = "latest"


class RunFolder:
    """One run's folder.

    Args:
        path: the folder; see `create` and `open_run` for how to come by one.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    config_file = property(lambda self: self.path / "config.yaml")
    run_file = property(lambda self: self.path / "run.json")
    log_file = property(lambda self: self.path / "log.txt")
    metrics_lines_file = property(lambda self: self.path / "metrics.jsonl")
    metrics_file = property(lambda self: self.path / "metrics.json")
    summary_folder = property(lambda self: self.path / "summary")

    def checkpoint_file(self, which: str) -> Path:
        """Return the path of the checkpoint `last` or `best`."""
        return self.path / "checkpoints" / which / CHECKPOINT_FILE

    @classmethod
    def create(cls, root: str | Path, description: str, dataset: str, id: str | None = None) -> RunFolder:
        """Make a new run folder and point `latest` at it.

        Raises:
            ConfigError: the folder exists already, or cannot be made.
        """
        parent = Path(root) / folder_name(description) / folder_name(dataset)
        try:
            parent.mkdir(parents=True, exist_ok=True)
            path = parent / (id or _new_id())
            path.mkdir()
            run = cls(path)
            for folder in (run.checkpoint_file("last").parent, run.checkpoint_file("best").parent, run.summary_folder):
                folder.mkdir(parents=True)
        except FileExistsError:
            message = f"there is a run in {path} already; choose another id, or continue it with --resume {path}"
            raise ConfigError(Fault(message, key="id")) from None
        except OSError as error:
            raise ConfigError(f"cannot make a run folder in {root}: {error.strerror}") from error
        _link_latest(Path(root), path)
        return run

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write the resolved config, in a form that can be run again."""
        atomic_write(self.config_file, _config_text(config))

    def has_settings(self, settings: Mapping[str, Any]) -> bool:
        """Return whether the run was started with exactly these settings."""
        try:
            return self.config_file.read_text(encoding="utf-8") == _config_text(settings)
        except OSError:
            return False

    def write_json(self, path: Path, document: Mapping[str, Any]) -> None:
        """Write a JSON document atomically; numbers are not rounded, and NaN is refused."""
        atomic_write(path, json.dumps(document, indent=2, allow_nan=False) + "\n")

    def read_run(self) -> dict[str, Any]:
        """Return run.json.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        return read_json(self.run_file)

    def update_run(self, **changes: Any) -> None:
        """Change some entries of run.json, keeping the others."""
        document = self.read_run() if self.run_file.exists() else {"schema_version": SCHEMA_VERSION}
        self.write_json(self.run_file, {**document, **changes})

    def record_test_evaluation(self, values: Mapping[str, float], checkpoint: str, by: str) -> None:
        """Enter an evaluation on test into the run's ledger.

        Args:
            values: the metrics.
            checkpoint: which model was scored.
            by: the command that asked for it.
        """
        document = self.read_run()
        entry = {"at": now(), "by": by, "checkpoint": checkpoint, "metrics": dict(values)}
        self.update_run(test_evaluations=[*document.get("test_evaluations", []), entry])

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for this process; the lock of a process that died is free.

        Raises:
            CheckpointError: another process runs it.
        """
        try:
            descriptor = os.open(self.path / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
        except OSError as error:
            raise CheckpointError(f"cannot lock the run {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise CheckpointError(f"the run {self.path} is being trained by another process") from None
        try:
            yield
        finally:
            os.close(descriptor)


def open_run(path: str | Path) -> RunFolder:
    """Return the run that lies in a folder.

    Raises:
        CheckpointError: there is no run there.
    """
    folder = Path(path)
    if not (folder / "run.json").is_file():
        raise CheckpointError(f"there is no run in {path}: expected a folder with run.json")
    return RunFolder(folder.resolve())


def locate_checkpoint(path: str | Path) -> tuple[RunFolder | None, Path]:
    """Return the run and the checkpoint file that a path means.

    Args:
        path: a run folder (its best checkpoint, else its last), one of its checkpoint folders, or a checkpoint file.

    Raises:
        CheckpointError: there is no checkpoint there.
    """
    given = Path(path)
    if not given.exists():
        raise CheckpointError(f"there is nothing at {path}; expected a run folder or a checkpoint")
    given = given.resolve()
    if (given / "run.json").is_file():
        run = RunFolder(given)
        for which in ("best", "last"):
            if run.checkpoint_file(which).is_file():
                return run, run.checkpoint_file(which)
        raise CheckpointError(f"the run {path} holds no checkpoint yet")
    file = given / CHECKPOINT_FILE if given.is_dir() else given
    if not file.is_file():
        raise CheckpointError(f"{path} is neither a run folder nor a checkpoint")
    top = file.parent.parent.parent
    return (RunFolder(top) if (top / "run.json").is_file() else None), file


def find_runs(root: str | Path) -> list[RunFolder]:
    """Return the runs below a folder, oldest first; damaged ones are among them."""
    folders = {file.parent for file in Path(root).glob("*/*/*/config.yaml")}
    folders |= {file.parent for file in Path(root).glob("*/*/*/run.json")}
    return [RunFolder(folder) for folder in sorted(folders, key=lambda folder: (folder.stat().st_mtime, folder))]


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON document that recrun wrote.

    Raises:
        CheckpointError: the file is missing, or does not hold a JSON object.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise CheckpointError(f"{path} is damaged: it is not JSON") from None
    if not isinstance(document, dict):
        raise CheckpointError(f"{path} is damaged: expected a JSON object")
    return document


def folder_name(text: str) -> str:
    """Return a text as the name of a folder: `./mf.py:MyMF` becomes `MyMF`, other separators become dashes."""
    name = text.rpartition(":")[2] if ".py:" in text else text
    return "".join("-" if character in '/\\:*?"<>|' or not character.isprintable() else character for character in name)


def now() -> str:
    """Return the current time in ISO 8601, UTC."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _config_text(settings: Mapping[str, Any]) -> str:
    # Neither the folder's name nor how the run was started is part of what it computes.
    return dump_mapping({**settings, "id": None, "resume": False})


def _new_id() -> str:
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _link_latest(root: Path, path: Path) -> None:
    temporary = root / f".{LATEST}.{secrets.token_hex(4)}"
    try:
        temporary.symlink_to(path.relative_to(root), target_is_directory=True)
        os.replace(temporary, root / LATEST)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigError(f"cannot point {root / LATEST} at the new run: {error.strerror}") from error


def run_for(settings: Mapping[str, Any], root: str | Path = "runs") -> RunFolder:
    """Open the folder of a run: a new one, or with `resume: true` the one to be continued.

    That is the run called `id`, else the newest unfinished run whose settings are these; where there is none, a new
    run begins.

    Raises:
        ConfigError: the folder of a new run exists already.
        CheckpointError: the run to be continued has other settings.
    """
    description, dataset = settings.get("description") or settings.get("model") or "run", settings["dataset"]
    id = settings.get("id")
    if settings.get("resume"):
        parent = Path(root) / folder_name(description) / folder_name(dataset)
        named = [parent / id] if id else []
        candidates = [run for run in find_runs(root) if run.path.parent == parent] if not id else []
        for run in [RunFolder(path) for path in named if (path / "run.json").is_file()] + candidates[::-1]:
            if run.has_settings(settings) and (id or run.read_run().get("status") != "done"):
                return run
            if id:
                raise CheckpointError(f"the run {run.path} has other settings; choose another id, or resume: false")
    run = RunFolder.create(root, description, dataset, id)
    run.write_config(settings)
    return run
