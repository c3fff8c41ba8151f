"""YAML of other programs: every key keeps its place, and what is no such YAML is one clear fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from recrun.config.yaml_reader import MAX_BYTES
from recrun.errors import ConfigError
from recrun.importing.yaml_tree import read_tree


def _write(folder: Path, text: str | bytes) -> Path:
    path = folder / "theirs.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_keys_keep_their_lines_at_every_depth(tmp_path: Path) -> None:
    tree = read_tree(_write(tmp_path, "experiment:\n  models:\n    A:\n      lr: [1.e-3, 2]\n"))
    lr = tree.child("experiment", "models", "A", "lr")
    assert lr is not None
    assert lr.name == "experiment.models.A.lr"
    assert lr.value == [0.001, 2]
    assert lr.place is not None
    assert (lr.place.line, lr.place.column) == (4, 7)
    assert [(place.line, place.column) for place in lr.items] == [(4, 12), (4, 19)]
    assert tree.child("experiment", "nothing", "A") is None


def test_an_empty_file_has_no_entries(tmp_path: Path) -> None:
    assert list(read_tree(_write(tmp_path, "# nothing\n"))) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("model: !!python/object:os.system x\n", "the tag"),
        ("a: &x 1\nb: *x\n", "anchors and aliases are not supported"),
        ("a: 1\n  b: 2\n", "not valid YAML"),
        ("- a\n- b\n", "expected a mapping of settings, found a list"),
        ("just text\n", "expected a mapping of settings, found text"),
        ("a: 1\na: 2\n", "the key 'a' is set twice"),
        ("a:\n  b: 1\n  b: 2\n", "the key 'b' is set twice"),
        ("[a, b]: 1\n", "a key must be text"),
        ("a: " + "[" * 40 + "]" * 40 + "\n", "nested too deeply"),
        ("a: 1\x07\n", "U+0007 is not allowed"),
        (b"a: \xff\n", "is not UTF-8 text"),
        ("a: 1\n---\nb: 2\n", "a second YAML document begins here"),
        ("a: " + "x" * MAX_BYTES + "\n", "is larger than"),
    ],
)
def test_what_is_no_config_is_one_fault_with_the_file(tmp_path: Path, text: str | bytes, fault: str) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        read_tree(path)
    assert len(error.value.faults) == 1
    assert fault in str(error.value)
    assert str(error.value).startswith(str(path))


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.yaml", Path("/dev/zero")):
        with pytest.raises(ConfigError, match=r"is a folder|cannot be read"):
            read_tree(path)
