"""Export the model of a run to a folder that is used without recrun."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from recrun.config.given.arguments import read_overrides
from recrun.data.datasets.base import RecDataSet
from recrun.data.entities import find_entities
from recrun.errors import ConfigError
from recrun.exporting.folder import made_whole, refuse_folder
from recrun.exporting.formats import choose_formats, formats_for, require_packages
from recrun.exporting.material import gather
from recrun.exporting.write import write_export
from recrun.exporting.written import IndexKind, Request
from recrun.recommendation.recommender import AsOf
from recrun.registry.user_files import short_name
from recrun.runs.folder import RunFolder, now
from recrun.runs.records import read_json_if_there
from recrun.version import __version__
from recrun.workflows.load import Loaded
from recrun.workflows.recommender import open_recommender


@dataclass(frozen=True)
class Wish:
    """What an export is to hold.

    Args:
        formats: the formats; none for the one that suits the model.
        as_of: which interactions are known: those that precede valid or test, or all.
        with_users: whether it holds anything of users.
        with_seen: whether it holds their known interactions.
        neighbors: how many weights of each item are kept; None for all.
        index: the kind of an index of nearest neighbours.
        force: whether it may replace an earlier export.
    """

    formats: tuple[str, ...] = ()
    as_of: AsOf = "end"
    with_users: bool = True
    with_seen: bool = True
    neighbors: int | None = None
    index: IndexKind = "auto"
    force: bool = False


def export(
    path: str | Path,
    to: str | Path,
    overrides: Sequence[str] = (),
    wish: Wish | None = None,
    *,
    trust: bool = False,
    notice: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Write the model of a checkpoint to a folder, which appears whole or not at all.

    Args:
        path: a run folder, one of its checkpoints, or a checkpoint file.
        to: the folder to be made.
        overrides: `KEY=VALUE` for root, threads and eval_memory.
        wish: what the folder is to hold.
        trust: whether code of the user's own that the checkpoint names may be run although it was not run here before.
        notice: called with what is being done.

    Returns:
        "export": the folder, "formats", "also": the further formats that fit the model, "seconds", and what
        manifest.json holds.

    Raises:
        ConfigError: the folder or a format is refused, or a package is missing.
        CheckpointError, DataError: as by `recrun.workflows.load.load`.
        ExportError: a format cannot be written, or does not compute what the model does.
    """
    began, target, wish = perf_counter(), Path(to), wish or Wish()
    require_packages(wish.formats)
    if wish.index != "auto" and "faiss" not in wish.formats:
        raise ConfigError(f"--index {wish.index} has no effect without --format faiss")
    refuse_folder(target, force=wish.force)
    if "device" in read_overrides(overrides):
        raise ConfigError("device cannot be changed here: an export is computed on the CPU, for anyone to repeat")
    notice("loading the model and its data")
    recommender, loaded = open_recommender(path, [*overrides, "device=cpu"], as_of=wish.as_of, trust=trust)
    if loaded.run is not None and target.resolve().is_relative_to(loaded.run.path.resolve()):
        raise ConfigError(f"--to {target}: it lies in the folder of the run, which holds files of the run only")
    config = loaded.resolved.config
    material = gather(
        recommender,
        short_name(config.model),
        with_users=wish.with_users,
        with_seen=wish.with_seen,
        neighbors=wish.neighbors,
    )
    formats = choose_formats(wish.formats, material.holds, material.model)
    require_packages(formats)
    dataset = recommender.base
    has_file = isinstance(dataset, RecDataSet)
    entities = find_entities(dataset, "item", config.item_file, config.root) if has_file else None
    request = Request(notice, wish.index)
    with made_whole(target, force=wish.force) as folder:
        manifest = write_export(material, folder, formats, _about(loaded), entities=entities, request=request)
    also = [each for each in formats_for(material.holds) if each not in formats]
    return {"export": str(target), "also": also, "seconds": perf_counter() - began, **manifest}


def _about(loaded: Loaded) -> dict[str, Any]:
    """Return where a model comes from, without a path of this machine."""
    return {
        "recrun": __version__,
        "created": now(),
        **_of_run(loaded.run),
        "checkpoint": loaded.file.parent.name,
        "dataset": short_name(loaded.resolved.config.dataset),
        "data": {Path(name).name: digest for name, digest in loaded.coach.dataset.base.hashes.items()},
    }


def _of_run(run: RunFolder | None) -> dict[str, Any]:
    """Return the name of a run, without the folder that it lies in, and its metrics."""
    if run is None:
        return {"run": None, "metrics": None}
    result = read_json_if_there(run.metrics_file)
    metrics = None
    if result is not None:
        metrics = {key: result.get(key) for key in ("which4best", "best_epoch", "valid", "test")}
    return {"run": "/".join(run.path.parts[-3:]), "metrics": metrics}
