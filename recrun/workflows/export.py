"""Export the model of a run to a folder that is used without recrun."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import recrun
from recrun.config.find import read_overrides
from recrun.data.datasets.base import RecDataSet
from recrun.data.entities import find_entities
from recrun.errors import ConfigError, ExportError
from recrun.exporting.catalogue import write_tables
from recrun.exporting.folder import MANIFEST, SCHEMA, file_entries, made_whole, refuse_folder
from recrun.exporting.formats import FORMATS, choose_formats, formats_for, require_packages
from recrun.exporting.material import Material, gather
from recrun.exporting.readme import has_unit_length, readme
from recrun.exporting.written import IndexKind, Request
from recrun.files import atomic_write, to_json
from recrun.recommendation.recommender import AsOf
from recrun.registry.user_files import short_name
from recrun.runs.folder import RunFolder, now
from recrun.runs.records import read_json_if_there
from recrun.workflows.load import Loaded
from recrun.workflows.recommender import open_recommender

README = "README.md"


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
    refuse_folder(target, force=wish.force)
    if "device" in read_overrides(overrides):
        raise ConfigError("device cannot be changed here: an export is computed on the CPU, for anyone to repeat")
    notice("loading the model and its data")
    recommender, loaded = open_recommender(path, [*overrides, "device=cpu"], as_of=wish.as_of, trust=trust)
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
    if wish.index != "auto" and "faiss" not in formats:
        raise ConfigError(f"--index {wish.index} has no effect without --format faiss")
    dataset = recommender.base
    has_file = isinstance(dataset, RecDataSet)
    entities = find_entities(dataset, "item", config.item_file, config.root) if has_file else None
    with made_whole(target) as folder:
        notice("writing the catalogue")
        names = write_tables(material, folder, entities)
        checks = {}
        for name in formats:
            notice(f"writing {name}")
            written = _written(name, material, folder, Request(notice, wish.index))
            names += written[0]
            if written[1]:
                checks[name] = written[1]
        manifest = _manifest(material, loaded, formats, checks)
        atomic_write(folder / README, readme(material, formats, manifest))
        manifest["files"] = file_entries(folder, [README, *names])
        atomic_write(folder / MANIFEST, to_json(manifest, indent=2) + "\n")
    also = [each for each in formats_for(material.holds) if each not in formats]
    return {"export": str(target), "also": also, "seconds": perf_counter() - began, **manifest}


def _written(name: str, material: Material, folder: Path, request: Request) -> tuple[list[str], dict[str, Any]]:
    try:
        written = FORMATS[name].write(material, folder, request)
    except MemoryError as error:
        raise ExportError(f"there is not enough memory to write {name}") from error
    return list(written.files), dict(written.checks)


def _manifest(
    material: Material, loaded: Loaded, formats: Sequence[str], checks: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return what manifest.json holds besides the files; it has no path of this machine."""
    config, base = loaded.resolved.config, material.recommender.base
    found: dict[str, Any] = {
        "export_schema": SCHEMA,
        "recrun": recrun.__version__,
        "created": now(),
        **_of_run(loaded.run),
        "checkpoint": loaded.file.parent.name,
        "model": material.model,
        "dataset": short_name(config.dataset),
        "data": {Path(name).name: digest for name, digest in base.hashes.items()},
        "as_of": material.as_of,
        "formats": list(formats),
        "counts": {
            "users": len(material.user_ids),
            "items": len(material.item_ids),
            "known_interactions": len(material.known.users_N),
        },
        "holds_users": material.with_users,
        "holds_seen": material.with_seen,
        "seen_items_are_excluded": False,
    }
    if material.vectors is not None:
        items_ID = material.vectors.items_ID
        found["vectors"] = {
            "similarity": "dot",
            "items_have_unit_length": has_unit_length(material),
            "dim": items_ID.shape[1],
            "dtype": str(items_ID.dtype),
        }
    if material.weights is not None:
        found["weights"] = {"entries": material.weights.n_entries, "kept_of_each_item": material.n_cut}
    if material.network is not None and "onnx" in formats:
        found["network"] = {"reads": material.network.reads, "outputs": list(material.network.outputs)}
    return {**found, "checks": checks}


def _of_run(run: RunFolder | None) -> dict[str, Any]:
    """Return the name of a run, without the folder that it lies in, and its metrics."""
    if run is None:
        return {"run": None, "metrics": None}
    result = read_json_if_there(run.metrics_file)
    metrics = None
    if result is not None:
        metrics = {key: result.get(key) for key in ("which4best", "best_epoch", "valid", "test")}
    return {"run": "/".join(run.path.parts[-3:]), "metrics": metrics}
