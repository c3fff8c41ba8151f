"""JSON as every file and every `--json` of recrun holds it: readable by any other program, or refused."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recrun.errors import CheckpointError
from recrun.files import from_json, open_regular, open_to_append, read_regular, to_json
from recrun.metrics.undefined import Undefined
from recrun.runs.folder import RunFolder
from recrun.runs.history import History, read_history
from recrun.runs.records import read_json
from recrun.sweep.trial_results import latest_value

NOT_FINITE = [math.nan, math.inf, -math.inf, Undefined("there are no rows")]
WORDS = ["NaN", "Infinity", "-Infinity", "1e999", "-1e400", "123456789e400"]
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
    | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
)


needs_posix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs and links of POSIX")


def test_a_regular_file_is_read_whole_up_to_its_limit(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert read_regular(file, limit=5) == b"12345"
    with pytest.raises(OSError, match="it has 5 bytes, and at most 4 are read"):
        read_regular(file, limit=4)


@needs_posix
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (tmp_path / "fifo", tmp_path / "link", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match="it is not a regular file"):
            open_regular(path)


@needs_posix
def test_a_link_is_refused_where_none_may_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "nowhere").symlink_to("nothing")
    assert read_regular(tmp_path / "link", limit=1) == b"1"
    for name in ("link", "nowhere"):
        with pytest.raises(OSError, match="it is a symbolic link"):
            read_regular(tmp_path / name, limit=1, follow=False)


def test_nothing_is_added_to_a_file_that_has_another_name(tmp_path: Path) -> None:
    with open_to_append(tmp_path / "file") as file:
        file.write(b"1")
    (tmp_path / "other").hardlink_to(tmp_path / "file")
    with pytest.raises(OSError, match="it has another name elsewhere, by a hard link"):
        open_to_append(tmp_path / "file")
    assert (tmp_path / "other").read_bytes() == b"1"


@needs_posix
def test_a_file_is_read_whole_whatever_its_size(tmp_path: Path) -> None:
    for size in (0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20):
        content = os.urandom(size)
        (tmp_path / "file").write_bytes(content)
        assert read_regular(tmp_path / "file", limit=size) == content
        if size:
            with pytest.raises(OSError, match="and at most"):
                read_regular(tmp_path / "file", limit=size - 1)
    if Path("/proc/self/status").exists():  # its size is 0
        assert read_regular("/proc/self/status", limit=1 << 20).startswith(b"Name:")
        with pytest.raises(OSError, match="at most 10 bytes are read"):
            read_regular("/proc/self/status", limit=10)


@given(PLAIN)
def test_a_document_comes_back_to_the_last_digit(document: Any) -> None:
    assert from_json(to_json(document)) == document
    assert to_json(document, indent=2) == json.dumps(document, indent=2)


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], lambda x: {"a": {"b": [0, x]}}])
def test_a_number_that_is_not_finite_is_never_written(wrap: Any, value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(wrap(value))


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("text", ["{}", "[0, {}]", '{{"a": {{"b": {}}}}}'])
def test_a_number_that_is_not_finite_is_never_read(text: str, word: str) -> None:
    with pytest.raises(ValueError, match=rf"it holds {word}, and JSON has finite numbers only"):
        from_json(text.format(word))


@pytest.mark.parametrize("value", NOT_FINITE)
def test_a_run_folder_takes_finite_numbers_only(tmp_path: Any, value: float) -> None:
    run = RunFolder(tmp_path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.write_json(run.metrics_file, {"valid": {"auc": value}})
    assert not run.metrics_file.exists()


@pytest.mark.parametrize("word", WORDS)
def test_a_damaged_file_is_named_with_what_it_holds(tmp_path: Any, word: str) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(f'{{"valid": {{"auc": {word}}}}}', encoding="utf-8")
    with pytest.raises(CheckpointError, match=rf"metrics\.json is damaged: it holds {word}, and JSON has finite"):
        read_json(path)


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "null", '"x"', "nan", "{'a': 1}", '{"a": 1}}', "[" * 100_000, '{"a": .5}']
)
def test_a_file_that_holds_no_json_object_is_damaged(tmp_path: Any, text: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"run\.json is damaged: (it is not JSON|expected a JSON object)"):
        read_json(path)


BAD_LINES = [
    *(f'{{"epoch": 1, "split": "valid", "values": {{"auc": {word}}}}}' for word in WORDS),
    '{"epoch": 1, "split": "valid", "values": [0.5]}',
    '{"epoch": 1, "split": "valid", "values": null}',
    '{"epoch": 1, "split": "valid"}',
    '{"epoch": 1, "split": "val',
    "NaN",
    "[]",
    "",
]


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_bad_line_of_metrics_is_left_out(tmp_path: Any, line: str) -> None:
    path = tmp_path / "metrics.jsonl"
    good = '{"epoch": 0, "split": "valid", "values": {"auc": 0.5}, "seconds": 1.0, "best": true}'
    path.write_text(f"{good}\n{line}\n", encoding="utf-8")
    assert [found["values"] for found in read_history(path)] == [{"auc": 0.5}]
    run = RunFolder(tmp_path)
    assert latest_value(run, "auc") == 0.5
    assert not History(path).go_back_to({"bytes": path.stat().st_size, "digest": "0" * 64}, 0)
    assert path.read_text(encoding="utf-8") == f"{good}\n"


def test_a_line_of_metrics_has_null_and_the_reason(tmp_path: Any) -> None:
    path = tmp_path / "metrics.jsonl"
    History(path).append(3, "valid", {"auc": 0.5, "gauc": Undefined("no user has rows")}, 1.0, best=True)
    assert from_json(path.read_text(encoding="utf-8")) == {
        "epoch": 3,
        "split": "valid",
        "values": {"auc": 0.5, "gauc": None},
        "seconds": 1.0,
        "best": True,
        "undefined": {"gauc": "no user has rows"},
    }
    (line,) = read_history(path)
    assert repr(line["values"]["gauc"]) == "Undefined('no user has rows')"
    assert latest_value(RunFolder(tmp_path), "gauc") is None
