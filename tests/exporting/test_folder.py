"""An export appears whole or not at all, and replaces nothing but an earlier export."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from recrun.errors import ConfigError
from recrun.exporting.folder import file_entries, made_whole, refuse_folder


def _make(folder: Path, text: str = "first") -> None:
    with made_whole(folder, force=True) as building:
        (building / "data").write_text(text)
        manifest = {"export_schema": 1, "files": file_entries(building, ["data"])}
        (building / "manifest.json").write_text(json.dumps(manifest))


def _make_half(folder: Path, error: BaseException) -> None:
    with made_whole(folder, force=True) as building:
        (building / "data").write_text("half")
        raise error


@pytest.mark.parametrize("place", ["new", "empty", "deep/er"])
def test_a_new_or_empty_folder_is_taken(place: str, tmp_path: Path) -> None:
    target = tmp_path / place
    if place == "empty":
        target.mkdir()
    refuse_folder(target, force=False)
    _make(target)
    assert (target / "data").read_text() == "first"
    assert [path.name for path in target.parent.iterdir()] == [target.name]  # nothing is left beside it


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _make_half(tmp_path / "deep" / "new", KeyboardInterrupt())
    assert list(tmp_path.iterdir()) == []


def test_an_export_is_replaced_by_force_only_and_survives_a_failure(tmp_path: Path) -> None:
    target = tmp_path / "out"
    _make(target)
    with pytest.raises(ConfigError, match="holds an export; replace it with --force"):
        refuse_folder(target, force=False)
    refuse_folder(target, force=True)
    with pytest.raises(ZeroDivisionError):
        _make_half(target, ZeroDivisionError())
    assert (target / "data").read_text() == "first"
    _make(target, "second")
    assert (target / "data").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_is_no_export_is_never_replaced(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="holds files, and no export"):
        refuse_folder(target, force=True)
    (target / "manifest.json").write_text('{"name": "a web app"}')
    with pytest.raises(ConfigError, match="holds files, and no export"):
        refuse_folder(target, force=True)
    other = tmp_path / "other"
    _make(other)
    (other / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"besides an export the folder holds notes\.txt"):
        refuse_folder(other, force=True)


def _make_beside(target: Path) -> None:
    with made_whole(target, force=True) as building:
        (building / "data").write_text("new")
        target.mkdir()
        (target / "thesis.tex").write_text("years of work")


def test_what_is_put_in_its_place_meanwhile_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds files, and no export"):
        _make_beside(tmp_path / "out")
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years of work"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_links_files_and_missing_places_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    with pytest.raises(ConfigError, match="it is not a folder"):
        refuse_folder(tmp_path / "file", force=True)
    with pytest.raises(ConfigError, match="it is a symbolic link"):
        refuse_folder(tmp_path / "link", force=True)
    with pytest.raises(ConfigError, match=r"file( is not a folder|: Not a directory)|Not a directory"):
        refuse_folder(tmp_path / "file" / "in", force=True)
    with pytest.raises(ConfigError, match="expected the name of a new folder"):
        refuse_folder(Path("/"), force=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ConfigError, match="cannot be written"):
            refuse_folder(tmp_path / "new", force=False)
    finally:
        tmp_path.chmod(0o700)
