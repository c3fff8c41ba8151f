"""Say where the data of another program's config is, and find it where --data says."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recrun.errors import ConfigError, DataError
from recrun.importing.draft import Draft
from recrun.importing.yaml_tree import Entry
from recrun.registry import DATASETS
from recrun.registry.other_names import same_name

_ENDINGS = ("", ".gz", ".zst")


def put_files(
    draft: Draft,
    entry: Entry,
    files: Mapping[str, Sequence[str]],
    *,
    root: str,
    data: str | None,
    name: str | None = None,
    optional: Sequence[str] = (),
    layout: Mapping[str, Any] | None = None,
) -> None:
    """Set the data of a config: files of the data set `File`, or a registered data set.

    Args:
        draft: the config in the making.
        entry: the key that names the data.
        files: for each setting that names a file, where it may be below the root, the usual place first.
        root: the root without --data.
        data: the folder that --data names; None if it was not given, and nothing is looked for.
        name: the name of the data set there; a registered one of that name is used if its files are in `data` instead.
        optional: the settings whose file need not be there.
        layout: how the files are written.

    Raises:
        ConfigError: `data` has no such files.
    """
    if data is None:
        found = {setting: places[0] for setting, places in files.items()}
        why = "whether the files are there was not looked at; --data DIR does"
        draft.put(entry, {"dataset": "File", "root": root, **found, **(layout or {})}, why)
        return
    here = {setting: _find(data, places) for setting, places in files.items()}
    kept = {setting: place for setting, place in here.items() if place is not None}
    if all(setting in kept or setting in optional for setting in files):
        draft.put(entry, {"dataset": "File", "root": data, **kept, **(layout or {})})
        return
    registered = same_name("datasets", name, DATASETS.names()) if name else None
    if registered is not None and _has_files(registered, data):
        why = f"the published files of {registered}, whose rows, ids and parts may differ from those of {draft.program}"
        draft.put(entry, {"dataset": registered, "root": data}, why)
        return
    missing = [
        place for setting in files if setting not in kept and setting not in optional for place in files[setting]
    ]
    tried = ", ".join(os.path.join(data, place) for place in missing)
    also = f"; nor has it the files of {registered}" if registered else ""
    raise ConfigError(entry.fault(f"--data {data} has no such file: {tried}{also}"))


def not_taken(settings: Mapping[str, Any]) -> list[str]:
    """Return the settings of `File` that another chosen data set does not take."""
    chosen = settings.get("dataset", "File")
    if chosen == "File":
        return []
    of_file, taken = ({each.name for each in DATASETS.describe(name).parameters} for name in ("File", chosen))
    return [setting for setting in settings if setting in of_file - taken]


def _find(folder: str, places: Sequence[str]) -> str | None:
    """Return the first of the places below a folder where a file is, compressed or not."""
    for place in places:
        if any(os.path.isfile(os.path.join(folder, place + ending)) for ending in _ENDINGS):
            return place
    return None


def _has_files(name: str, root: str) -> bool:
    from recrun.data.datasets.source_files import locate

    dataset = DATASETS.get(name)
    if not dataset.downloads:
        return False
    try:
        locate(name, dataset.locations(Path(root)), dataset.downloads)
    except DataError:
        return False
    return True
