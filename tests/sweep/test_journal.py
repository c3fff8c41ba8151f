from __future__ import annotations

import resource
from pathlib import Path

import pytest

from recrun.errors import ConfigError, TrainingError
from recrun.sweep.journal import Journal, entry_of, step_from
from recrun.sweep.schedules.schedule import Step

LINES = b'{"schema": 1, "generation": 2}\n{"lane": 0, "step": 0, "point": 0, "repeat": 0}\n'


def test_entries_are_read_back_in_order_and_the_first_has_the_version(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    assert journal.entries == []
    assert not path.exists()
    journal.append({"generation": 2})
    journal.append({"given_up": "a"})
    assert Journal(path).entries == journal.entries == [{"schema": 1, "generation": 2}, {"given_up": "a"}]


@pytest.mark.parametrize("torn", [b'{"lane": 0, "st', b"\x00\x00\x00", b'{"lane": 0}', b"\xff"])
def test_a_last_line_that_is_not_whole_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(LINES + torn)
    journal = Journal(path)
    assert len(journal.entries) == 2
    assert path.read_bytes() == LINES
    journal.append({"given_up": "a"})
    assert Journal(path).entries[2:] == [{"given_up": "a"}]


def test_a_journal_whose_first_line_is_torn_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"sche')
    Journal(path).append({"generation": 1})
    assert path.read_bytes() == b'{"schema": 1, "generation": 1}\n'


@pytest.mark.parametrize(
    "garbage", [b"nonsense", b"", b"[1]", b"null", b'{"a": NaN}', b"\xff\xfe", b"\x00", b"[" * 9999]
)
def test_garbage_in_the_middle_is_refused_with_its_line(tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(LINES + garbage + b"\n" + LINES)
    with pytest.raises(ConfigError, match=r"journal\.jsonl:3: is damaged; cut the file before this line"):
        Journal(path)
    assert path.read_bytes() == LINES + garbage + b"\n" + LINES


@pytest.mark.parametrize("version", [b"2", b"null", b'"1"'])
def test_a_journal_of_another_version_is_refused(tmp_path: Path, version: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"schema": ' + version + b"}\n")
    with pytest.raises(ConfigError, match=r"is of another version of recrun: schema .*, expected 1"):
        Journal(path)


def test_what_a_full_disk_cuts_short_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(LINES)
    journal = Journal(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(LINES) + 5, before[1]))
    try:
        with pytest.raises(TrainingError, match=r"^cannot write the sweep .*: File too large"):
            journal.append({"given_up": "a long name"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == LINES
    journal.append({"given_up": "a"})
    assert len(Journal(path).entries) == 3


def test_a_decision_is_read_back_as_it_was_written() -> None:
    for step in (Step(0, 0), Step(3, 1, 9), Step(2, 0, None, {3: 0.5, 9: -1.25})):
        entry = entry_of(1, 4, step, {"lr": 0.1})
        assert (entry["lane"], entry["step"], entry["draw"]) == (1, 4, {"lr": 0.1})
        assert step_from(entry) == step


@pytest.mark.parametrize(
    "change",
    [
        {"point": -1}, {"point": None}, {"point": True}, {"point": 0.0}, {"repeat": "0"}, {"until": 0}, {"until": "9"},
        {"until": 1.5}, {"floors": []}, {"floors": {"x": 1.0}}, {"floors": {"1": "a"}}, {"floors": {"-1": 1.0}},
    ],
)  # fmt: skip
def test_a_decision_with_values_of_other_types_is_none(change: dict[str, object]) -> None:
    assert step_from({"lane": 0, "step": 0, "point": 0, "repeat": 0, **change}) is None


@pytest.mark.parametrize(
    "entry",
    [
        b'{"given_up": ["a"]}', b'{"given_up": null}', b'{"generation": 0}', b'{"generation": "2"}',
        b'{"generation": true}', b'{"generation": 1.5}',
    ],
)  # fmt: skip
def test_an_entry_with_values_of_other_types_is_refused_with_its_line(tmp_path: Path, entry: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(LINES + entry + b"\n")
    with pytest.raises(ConfigError, match=r"journal\.jsonl:3: is damaged; cut the file before this line"):
        Journal(path)


def test_floors_of_thousands_of_digits_are_no_decision() -> None:
    for floors in ({"9" * 5000: 1.0}, {"1": 10**400}):
        assert step_from({"lane": 0, "step": 0, "point": 0, "repeat": 0, "floors": floors}) is None
