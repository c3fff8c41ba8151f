"""Sessions: cut at gaps of inactivity, held out by their ends, and tested at each position."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recrun.config.resolve import resolve
from recrun.data.datasets.cached import made_from
from recrun.data.datasets.file import File
from recrun.data.datasets.preparation import Preparation, Prepared, prepare
from recrun.data.datasets.synthetic import Synthetic
from recrun.data.export import write_parts
from recrun.data.postprocessing.sequences import Prefixes, Sequences
from recrun.errors import ConfigError, DataError
from recrun.evaluation.protocol import Protocol
from recrun.time_span import seconds_of
from tests.data.datasets.test_preparation import table

START = 1_600_000_000
DAY, HOUR, MINUTE = 86_400, 3_600, 60

# (session, item, minutes since the start): A and B end on day 0, C on day 2, D and E on day 3.
SESSIONS = [
    *[("A", 1, 0), ("A", 2, 1), ("A", 1, 2), ("A", 3, 3)],
    *[("B", 2, 5), ("B", 3, 6)],
    *[("C", 3, 2880), ("C", 9, 2881), ("C", 1, 2882)],
    *[("D", 1, 4320), ("D", 8, 4321), ("D", 2, 4322), ("D", 1, 4323), ("D", 1, 4324)],
    *[("E", 3, 4400), ("E", 8, 4401)],
]


def _rows(rows: list[tuple[Any, Any, float]]) -> list[tuple[Any, Any, int]]:
    return [(user, item, START + int(minute * MINUTE)) for user, item, minute in rows]


def _prepare(rows: list[tuple[Any, Any, float]], **options: Any) -> Prepared:
    return prepare({"all": table(_rows(rows), "timestamp")}, Preparation(**options))


def _by_user(prepared: Prepared, part: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    rows = prepared.parts[part]
    for user, item in zip(prepared.user_ids[rows.users].tolist(), prepared.item_ids[rows.items].tolist(), strict=True):
        found.setdefault(str(user), []).append(item)
    return found


BY_DAYS: dict[str, Any] = {"split": "sessions", "duplicates": "all", "test_days": 1, "valid_days": 1}


def test_a_user_is_cut_where_the_next_interaction_is_more_than_the_gap_later() -> None:
    rows = [(7, 1, 0), (7, 2, 30), (7, 1, 60.5), (7, 3, 61), (8, 4, 61), (8, 5, 200), (10, 6, 0)]
    cut = _prepare(rows, session_gap="30m", test_ratio=0, valid_ratio=0)
    assert _by_user(cut, "train") == {"7:1": [1, 2], "7:2": [1, 3], "8:1": [4], "8:2": [5], "10:1": [6]}
    assert cut.user_ids.tolist() == sorted(["7:1", "7:2", "8:1", "8:2", "10:1"])
    assert cut.notes == ("the interactions of 3 users are 5 sessions, cut at gaps above 30m",)
    longer = _prepare(rows, session_gap=1831, test_ratio=0, valid_ratio=0)
    assert _by_user(longer, "train")["7:1"] == [2, 1, 3]  # item 1 was in it twice, and the last one is kept
    assert (np.diff(cut.parts["train"].users) >= 0).all()


def test_short_sessions_and_rare_items_are_dropped_after_the_cut() -> None:
    rows = [(7, 1, 0), (7, 2, 1), (7, 1, 99), (8, 1, 0), (8, 2, 1), (8, 3, 2)]
    cut = _prepare(
        rows, session_gap="30m", test_ratio=0, valid_ratio=0, min_user_interactions=2, min_item_interactions=2
    )
    assert _by_user(cut, "train") == {"7:1": [1, 2], "8:1": [1, 2]}


@pytest.mark.parametrize(("scale", "gap"), [(1000, "30m"), (1, 1800), (1, "0.5h"), (1, "1800s")])
def test_the_gap_is_in_seconds_whatever_the_unit_of_times(scale: int, gap: str | float) -> None:
    rows = [(7, 1, START * scale), (7, 2, (START + 1800) * scale), (7, 3, (START + 3601) * scale)]
    made = prepare({"all": table(rows, "timestamp")}, Preparation(session_gap=gap, test_ratio=0, valid_ratio=0))
    assert _by_user(made, "train") == {"7:1": [1, 2], "7:2": [3]}


def test_times_of_no_known_unit_are_refused() -> None:
    with pytest.raises(
        DataError, match="session_gap needs dates, or times since 1970; those of x are numbers such as 1"
    ):
        prepare({"all": table([(7, 1, 1), (7, 2, 2)], "timestamp")}, Preparation(session_gap="30m"))
    with pytest.raises(DataError, match="session_gap needs the time of each interaction"):
        prepare({"all": table([(7, 1), (7, 2)])}, Preparation(session_gap="30m"))
    with pytest.raises(DataError, match="session_gap needs the time of each interaction"):
        prepare({"all": table([(7, 1, 0), (7, 2, 1)], "timestamp", time_is_order=True)}, Preparation(session_gap="1h"))
    with pytest.raises(DataError, match="split by days needs dates"):
        prepare({"all": table([(7, 1, 1), (8, 2, 2)], "timestamp")}, Preparation(**BY_DAYS))


def test_the_sessions_of_the_last_days_are_held_out_whole_and_each_item_is_to_be_found_from_those_before() -> None:
    made = _prepare(SESSIONS, **BY_DAYS)
    # E ends last, at minute 4401. D and E end within a day of it, C within a day of C: A and B are left for train.
    assert _by_user(made, "train") == {"A": [1, 2, 1, 3], "B": [2, 3]}
    # Items 8 and 9 are not in train. Of E a single item is left, which is given and not tested.
    assert _by_user(made, "valid") == {"C": [1]}
    assert _by_user(made, "test") == {"D": [1], "D@2": [2], "D@3": [1]}
    assert _by_user(made, "given") == {"C": [3], "D": [1, 2, 1], "D@2": [1], "D@3": [1, 2], "E": [3]}
    assert made.beginnings is not None
    assert made.user_ids[made.beginnings].tolist() == ["D@2", "D@3"]
    assert made.user_ids.tolist() == ["A", "B", "C", "D", "D@2", "D@3", "E"]
    assert made.notes == (
        "3 interactions of held-out users are left out: no train user has their 2 items",
        "4 items of 2 held-out sessions are to be found, each as one of a user of its own",
        "1 of 5 held-out users have too few interactions to hold any of them out; they are not tested on",
    )
    for part in made.parts.values():
        assert (np.diff(part.users) >= 0).all()
        same = np.diff(part.users) == 0
        assert (np.diff(part.columns["timestamp"])[same] >= 0).all()


def test_the_last_item_alone_may_be_to_be_found() -> None:
    made = _prepare(SESSIONS, **BY_DAYS, session_targets="last")
    assert _by_user(made, "test") == {"D": [1]}
    assert _by_user(made, "given") == {"C": [3], "D": [1, 2, 1], "E": [3]}
    assert made.beginnings is None


def test_a_share_of_the_sessions_is_held_out_by_their_ends() -> None:
    rows = [(session, item, 100 * session + item) for session in range(10) for item in (1, 2, 3)]
    made = _prepare(rows, split="sessions", test_ratio=0.2, valid_ratio=0.1, session_targets="last")
    assert _by_user(made, "test").keys() == {"8", "9"}
    assert _by_user(made, "valid").keys() == {"7"}
    assert len(_by_user(made, "train")) == 7
    without = _prepare(rows, split="sessions", test_ratio=0.2, valid_ratio=0, session_targets="last")
    assert len(_by_user(without, "train")) == 8
    with pytest.raises(DataError, match="split=sessions leaves no session for train"):
        _prepare(rows, **{**BY_DAYS, "test_days": 30})


def test_ids_of_beginnings_that_are_taken_are_refused() -> None:
    rows = [*SESSIONS, ("D@2", 1, 2), ("D@2", 2, 3)]
    with pytest.raises(DataError, match="the id D@2 is needed for the beginning of a session"):
        _prepare(rows, **BY_DAYS)


def test_numbers_as_ids_of_sessions_stay_their_text() -> None:
    rows = [({"A": 10, "B": 9, "C": 3, "D": 20, "E": 4}[session], item, at) for session, item, at in SESSIONS]
    made = _prepare(rows, **BY_DAYS)
    assert _by_user(made, "given") == {"3": [3], "20": [1, 2, 1], "20@2": [1], "20@3": [1, 2], "4": [3]}
    assert _by_user(made, "train") == {"10": [1, 2, 1, 3], "9": [2, 3]}


@pytest.fixture
def data(tmp_path: Path) -> File:
    lines = "".join(f"{user},{item},{at}\n" for user, item, at in _rows(SESSIONS))
    (tmp_path / "a.csv").write_text("session_id,item_id,timestamp\n" + lines)
    return File(tmp_path, path="a.csv", user_column="session_id", **BY_DAYS)


def test_what_is_known_of_a_position_is_what_came_before_it(data: File) -> None:
    def items(row: np.ndarray) -> list[int]:
        return [int(item) for item in data.item_ids[row]]

    place = {name: place for place, name in enumerate(data.user_ids.tolist())}
    for split in ("valid", "test"):
        histories = data.histories(split)  # type: ignore[arg-type]
        assert items(histories.row(place["D@3"])) == [1, 2]
        assert items(histories.row(place["D"])) == [1, 2, 1]
        assert items(data.seen(split).row(place["D"])) == [1, 2]  # type: ignore[arg-type]
    assert items(data.csr("test").row(place["D"])) == [1]
    assert Protocol.of({"mask_seen": False}).masked(data, "test").nnz == 0
    data.refuse_torn_histories()


def test_it_is_cached_with_its_beginnings(data: File, tmp_path: Path) -> None:
    again = File(tmp_path, path="a.csv", user_column="session_id", **BY_DAYS)
    assert data.beginnings is not None
    assert again.beginnings is not None
    assert again.beginnings.tolist() == data.beginnings.tolist()
    assert again.hashes == data.hashes
    assert again.notes == data.notes
    others = [{"session_targets": "last"}, {"test_days": 0.01}, {"valid_days": 1.999}, {"session_gap": "1d"}]
    made = {
        File(tmp_path, path="a.csv", user_column="session_id", **{**BY_DAYS, **other}).hashes["split"]
        for other in others
    }
    assert len(made | {data.hashes["split"]}) == 5


def test_settings_of_sessions_do_not_count_where_there_are_none(tmp_path: Path) -> None:
    data = Synthetic(n_users=50, n_items=40, n_interactions=600)
    keys = {"session_gap", "session_targets", "test_days", "valid_days"}
    assert not keys & made_from(Synthetic, data.settings, {}, data.preparation)["settings"].keys()
    cut = Synthetic(n_users=50, n_items=40, n_interactions=600, session_gap="30d")
    assert keys & made_from(Synthetic, cut.settings, {}, cut.preparation)["settings"].keys() == {"session_gap"}
    assert cut.n_users > data.n_users
    assert data.beginnings is None
    assert len(data.interactions("train")) + len(data.interactions("valid")) + len(data.interactions("test")) == 600


DIGESTS = {
    "ratio": "9295e9d93547ac6a",
    "leave_one_out": "bc35e5e49be95516",
    "time": "3ecc78980a322ec5",
    "user_time": "5bc5e6e7ab6d83a5",
    "new_users": "a2c89b9eed76a3ae",
    "cold_users": "8e22b997b5805709",
    "k_fold": "fba7c627c2315fc8",
    "cold_items": "48330b7cc70b82b2",
    "leave_k": "bc35e5e49be95516",
}
"""The beginnings of digests of the three parts, computed before there were sessions."""


@pytest.mark.parametrize("split", list(DIGESTS))
def test_other_splits_hold_the_same_rows_as_before_there_were_sessions(split: str) -> None:
    data = Synthetic(n_users=60, n_items=40, n_interactions=900, split=split)
    assert data.hashes["split"].startswith(DIGESTS[split])
    assert data.preparation == Preparation(split=split)


def test_training_on_valid_takes_whole_sessions_and_no_beginnings(tmp_path: Path) -> None:
    rows = _rows([*SESSIONS, ("F", 1, 4323), ("G", 2, 9000), ("G", 3, 9001)])
    lines = "".join(f"{user},{item},{at}\n" for user, item, at in rows)
    (tmp_path / "b.csv").write_text("session_id,item_id,timestamp\n" + lines)
    data = File(tmp_path, path="b.csv", user_column="session_id", **BY_DAYS)
    valid = {str(user) for user in data.user_ids[data.interactions("valid").users]}
    assert valid == {"D", "D@2", "D@3"}
    data.train_on_valid()
    together = data.training_data().interactions.histories(data.n_users)
    found = {str(name): data.item_ids[together.row(row)].tolist() for row, name in enumerate(data.user_ids)}
    held = {name: items for name, items in found.items() if items}
    assert held == {"A": [1, 2, 1, 3], "B": [2, 3], "C": [3, 9, 1], "D": [1, 2, 1, 1]}


def test_rows_of_training_hold_the_sessions_with_their_repeats(data: File) -> None:
    windows = next(iter(Sequences(data, 3, step=1).iterate("train", seed=1, epoch=1)))
    found = {
        tuple(data.item_ids[row[:length]].tolist())
        for row, length in zip(windows["item"], windows["length"][:, 0], strict=True)
    }
    assert found == {(1, 2, 1), (2, 1, 3), (2, 3)}
    prefixes = next(iter(Prefixes(data, 4).iterate("train", seed=1, epoch=1)))
    assert len(prefixes["item"]) == 4


def test_an_export_of_rows_that_the_files_do_not_hold_is_refused(data: File, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"sessions .* cannot be exported"):
        write_parts(data, tmp_path / "parts", "csv")
    cut = File(tmp_path, path="a.csv", user_column="session_id", session_gap="1h")
    with pytest.raises(DataError, match=r"sessions .* cannot be exported"):
        write_parts(cut, tmp_path / "parts", "csv")
    last = File(tmp_path, path="a.csv", user_column="session_id", **BY_DAYS, session_targets="last")
    written = write_parts(last, tmp_path / "parts", "csv")
    assert written["rows"] == {"train": 6, "valid": 1, "test": 1, "given": 5}
    assert written["settings"]["duplicates"] == "all"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_days": 1}, "session_targets, test_days and valid_days are for split=sessions, found split=ratio"),
        ({"session_gap": "soon"}, "expected a session_gap such as 30m"),
        ({"split": "given", "session_gap": "1h"}, "session_gap cuts one file"),
        ({"split": "sessions", "fold_in_by": "time"}, "fold_in_by are for split=new_users, found split=sessions"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Preparation(**options).check()


FILE = ["dataset=File", "path=a.csv", "duplicates=all", "mask_seen=false"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["session_gap=soon"], "session_gap: expected a span of time above 0 such as 30m, 1.5h or 1800, found soon"),
        (["session_gap=0"], "session_gap: expected a span of time above 0"),
        (
            ["split=user_time", "test_days=1"],
            "test_days: does not apply: it is for split=sessions, found split=user_time",
        ),
        (["test_days=1", "test_ratio=0.2"], "test_ratio: does not apply: test_days says which sessions"),
        (["valid_days=1", "valid_ratio=0.2"], "valid_ratio: does not apply: valid_days says which sessions"),
        (["fold_in_by=time"], "fold_in_by: does not apply: it is for split=new_users, found split=sessions"),
        (["time_column="], "split=sessions needs the time of each interaction"),
        (["format=pairs"], "split=sessions compares the times of users"),
        (
            ["split=ratio", "session_gap=1h", "format=sequences", "shuffled_time=true"],
            "which format sequences does not",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused_before_anything_starts(
    options: list[str], message: str
) -> None:
    split = [] if any(option.startswith("split=") for option in options) else ["split=sessions"]
    with pytest.raises(ConfigError, match=message):
        resolve("gru4rec", [*FILE, *split, *options])


@pytest.mark.parametrize("model", ["gru4rec", "stamp", "itemknn", "popularity"])
def test_models_that_score_new_users_take_sessions_and_others_are_refused(model: str) -> None:
    config = resolve(model, [*FILE, "split=sessions", "session_gap=30m", "test_days=1"]).config
    assert (config.session_gap, config.test_days, config.session_targets) == ("30m", 1.0, "each")
    for other in ("caser", "neumf"):
        with pytest.raises(ConfigError, match="split"):
            resolve(other, [*FILE, "split=sessions"])


@pytest.mark.parametrize(
    ("span", "seconds"), [("30m", 1800), ("2h", 7200), ("1.5d", 129_600), (7, 7), ("7", 7), ("-1s", None), (0, None)]
)
def test_a_span_of_time_is_read(span: str | float, seconds: float | None) -> None:
    assert seconds_of(span) == seconds
