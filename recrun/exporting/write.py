"""Write the files of an export into a folder: the catalogue, the formats, the README and the manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from recrun.data.entities import Entities
from recrun.errors import ExportError
from recrun.exporting.catalogue import write_tables
from recrun.exporting.folder import MANIFEST, SCHEMA, file_entries
from recrun.exporting.formats import FORMATS
from recrun.exporting.material import Material
from recrun.exporting.readme import has_unit_length, readme
from recrun.exporting.written import Request, Written
from recrun.files import atomic_write, to_json

README: Final = "README.md"


def write_export(
    material: Material,
    folder: Path,
    formats: Sequence[str],
    about: Mapping[str, Any],
    *,
    entities: Entities | None = None,
    request: Request | None = None,
) -> dict[str, Any]:
    """Write all files of an export, and return what its manifest holds.

    Args:
        material: what is exported.
        folder: an empty folder.
        formats: the formats, which fit the model.
        about: the entries of the manifest that say where the model comes from: "recrun", "dataset", ...
        entities: the table of items whose columns are added to the catalogue.
        request: how formats are written.

    Raises:
        ConfigError: the model has more than can be written.
        ExportError: a format cannot be written, or does not compute what the model does.
    """
    request = request or Request()
    request.notice("writing the catalogue")
    names = write_tables(material, folder, entities)
    checks: dict[str, Any] = {} if material.was_cut is None else {"cut": asdict(material.was_cut)}
    for name in formats:
        request.notice(f"writing {name}")
        written = _write(name, material, folder, request)
        names += written.files
        if written.checks:
            checks[name] = dict(written.checks)
    manifest = {"export_schema": SCHEMA, **about, **_described(material, formats), "checks": checks}
    atomic_write(folder / README, readme(material, formats, manifest))
    manifest["files"] = file_entries(folder, [README, *names])
    atomic_write(folder / MANIFEST, to_json(manifest, indent=2) + "\n")
    return manifest


def _write(name: str, material: Material, folder: Path, request: Request) -> Written:
    try:
        return FORMATS[name].write(material, folder, request)
    except MemoryError as error:
        raise ExportError(f"there is not enough memory to write {name}") from error


def _described(material: Material, formats: Sequence[str]) -> dict[str, Any]:
    """Return the entries of the manifest that describe what was exported."""
    found: dict[str, Any] = {
        "model": material.model,
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
        kept = None if material.was_cut is None else material.was_cut.kept
        found["weights"] = {"entries": material.weights.n_entries, "kept_of_each_item": kept}
    if material.network is not None and "onnx" in formats:
        found["network"] = {"reads": material.network.reads, "outputs": list(material.network.outputs)}
    return found
