"""Files laid out as widely used data sets are published: described, and read with the one command of the docs."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from recrun.cli.main import main
from recrun.data.datasets.file import File
from recrun.data.describe.find_data import describe_data, find_data
from recrun.errors import DataError

ROWS = [
    (user, item, 1 + (user + item) % 5, 1_577_836_800 + 7919 * user + 3571 * item)
    for user in range(1, 31)
    for item in range(1, 21)
    if (user * item + item * item) % 5 < 2
]
"""User, item, rating and time of made-up interactions, no pair twice."""
WRITE = Callable[[int, int, int, int], str]


def date(seconds: int, format: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    return (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)).strftime(format)


def sha(number: int, length: int = 40) -> str:
    return f"{number * 2654435761 % 2**32:08x}".ljust(length, "a")


@dataclass(frozen=True)
class Layout:
    """A published layout: the file's name, its lines, the settings of the docs, and whether it needs none of them."""

    name: str
    write: WRITE
    settings: str = ""
    head: str = ""
    n_items: int = 20

    def make(self, folder: Path) -> Path:
        path = folder / self.name
        lines = "\n".join(self.write(*row) for row in sorted(ROWS, key=lambda row: row[3] * 7 % 1000))
        encoding = "latin-1" if "latin-1" in self.settings else "utf-8"
        path.write_text(f"{self.head}\n{lines}\n".removeprefix("\n"), encoding=encoding)
        return path


LAYOUTS = {
    "MovieLens 100K": Layout("u.data", lambda u, i, r, t: f"{u}\t{i}\t{r}\t{t}"),
    "MovieLens 1M, 10M": Layout("ratings.dat", lambda u, i, r, t: f"{u}::{i}::{r}::{t}", "format=csv"),
    "MovieLens 20M, 25M, 32M": Layout(
        "ratings.csv", lambda u, i, r, t: f"{u},{i},{r}.0,{t}", head="userId,movieId,rating,timestamp"
    ),
    "Amazon 2014": Layout(
        "ratings_Beauty.csv", lambda u, i, r, t: f"A{u:013d},B00{i:07d},{r}.0,{t // 86400 * 86400}", ""
    ),
    "Amazon 2018": Layout(
        "All_Beauty.csv",
        lambda u, i, r, t: f"B00{i:07d},A{u:013d},{r}.0,{t // 86400 * 86400}",
        "user_column=2 item_column=1",
    ),
    "Amazon 2023": Layout(
        "All_Beauty.csv",
        lambda u, i, r, t: f"AE{u:026d},B00{i:07d},{r}.0,{t}123",
        head="user_id,parent_asin,rating,timestamp",
    ),
    "Yoochoose clicks": Layout(
        "yoochoose-clicks.dat",
        lambda u, i, r, t: f"{u},{date(t)[:-1]}.{i:03d}Z,{214536000 + i},{('0', 'S', '12')[r % 3]}",
        "format=csv item_column=3 time_column=2",
    ),
    "Yoochoose buys": Layout(
        "yoochoose-buys.dat",
        lambda u, i, r, t: f"{u},{date(t)[:-1]}.{i:03d}Z,{214536000 + i},{1000 * r},1",
        "format=csv item_column=3 time_column=2",
    ),
    "Diginetica": Layout(
        "train-item-views.csv",
        lambda u, i, r, t: f"{u};{'NA' if u % 3 else u};{i};{1000 * r + i};{date(t, '%Y-%m-%d')}",
        "user_column=sessionId time_column=eventdate",
        head="sessionId;userId;itemId;timeframe;eventdate",
    ),
    "RetailRocket": Layout(
        "events.csv",
        lambda u, i, r, t: f"{t}123,{u},{'transaction' if r > 2 else 'view'},{i},{u * 100 + i if r > 2 else ''}",
        "filter=\"event == 'transaction'\"",
        head="timestamp,visitorid,event,itemid,transactionid",
        n_items=16,
    ),
    "Taobao UserBehavior": Layout(
        "UserBehavior.csv",
        lambda u, i, r, t: f"{u},{2268300 + i},{2520300 + i % 4},{'buy' if r > 2 else 'pv'},{t}",
        "time_column=5 rating_column= filter=\"4 == 'buy'\"",
        n_items=16,
    ),
    "H&M": Layout(
        "transactions_train.csv",
        lambda u, i, r, t: f"{date(t, '%Y-%m-%d')},{sha(u, 64)},0{663713000 + i},0.0{50830 + r},{r % 2 + 1}",
        "time_column=t_dat",
        head="t_dat,customer_id,article_id,price,sales_channel_id",
    ),
    "Gowalla, Brightkite": Layout(
        "loc-gowalla_totalCheckins.txt",
        lambda u, i, r, t: f"{u}\t{date(t)}\t{30.2 + i / 777:.10f}\t{-97.7 - i / 333:.10f}\t{22847 + i}",
        "format=tsv item_column=5 time_column=2 rating_column=",
    ),
    "Last.fm 1K": Layout(
        "userid-timestamp-artid-artname-traid-traname.tsv",
        lambda u, i, r, t: f'user_{u:06d}\t{date(t)}\t{sha(i) if i % 5 else ""}\tArtist {i} é\t\tTrack "{r}',
        "item_column=4 time_column=2 rating_column=",
    ),
    "Last.fm 360K": Layout(
        "usersha1-artmbid-artname-plays.tsv",
        lambda u, i, r, t: f"{sha(u)}\t{sha(i, 36) if i % 5 else ''}\tartist {i}\t{r * i * 37}",
        "rating_column=4 drop_missing=[2]",
        n_items=16,
    ),
    "Foursquare TSMC2014": Layout(
        "dataset_TSMC2014_NYC.txt",
        lambda u, i, r, t: (
            f"{u}\t{sha(i, 24)}\t{sha(i % 4, 24)}\tCaf\xe9 {i % 4}\t{40.7 + i / 777:.12f}\t{-74 - i / 333:.12f}\t-240\t"
            f"{date(t, '%a %b %d %H:%M:%S +0000 %Y')}"
        ),
        "format=tsv encoding=latin-1 rating_column= time_column=8",
    ),
    "BookCrossing": Layout(
        "BX-Book-Ratings.csv",
        lambda u, i, r, t: f'"{276725 + u}";"{34545104 + i}X";"{r}"',
        "encoding=latin-1 escape='\\' rating_threshold=1",
        head='"User-ID";"ISBN";"Book-Rating"',
    ),
    "Steam-200k": Layout(
        "steam-200k.csv",
        lambda u, i, r, t: f'{151603712 + u},"Game {i}, The",{"purchase" if r > 2 else "play"},{r * 13.7:.1f},0',
        "rating_column= time_column= filter=\"3 == 'purchase'\"",
        n_items=16,
    ),
    "KuaiRec": Layout(
        "small_matrix.csv",
        lambda u, i, r, t: (
            f"{u},{i},{r * 4321},10867,{date(t, '%Y-%m-%d %H:%M:%S.%f')},{date(t, '%Y%m%d')}.0,{t}.253,{r / 2.7:.6f}"
            if u % 7
            else f"{u},{i},{r * 4321},10867,,,,{r / 2.7:.6f}"
        ),
        "rating_column=watch_ratio drop_missing=[timestamp]",
        head="user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio",
    ),
    "Tenrec": Layout(
        "QB-video.csv",
        lambda u, i, r, t: f"{u},{i},{int(r > 2)},0,{r % 2},0,{r},{r - 1},1,{u % 8}",
        "filter='click == 1'",
        head="user_id,item_id,click,follow,like,share,video_category,watching_times,gender,age",
        n_items=16,
    ),
}
NEEDS_NO_SETTINGS_TO_BE_RIGHT = {"BookCrossing", "RetailRocket", "Tenrec", "H&M"}
"""Layouts that are read without the settings too, only with more rows or without times."""
NEED_A_DECISION = {"Diginetica", "Last.fm 360K", "KuaiRec", "Foursquare TSMC2014"}
"""Layouts with missing values, and times that only some readers know."""


@pytest.fixture
def layout(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.chdir(tmp_path)
    found = LAYOUTS[request.param]
    found.make(tmp_path)
    return found


def test_the_docs_hold_these_settings(repository: Path) -> None:
    docs = (repository / "docs" / "data.md").read_text(encoding="utf-8")
    for name, layout in LAYOUTS.items():
        settings = f"`{layout.settings}`" if layout.settings else "none"
        assert f"| {name} | `{layout.name}` | {settings} |" in docs


@pytest.mark.parametrize("layout", LAYOUTS, indirect=True)
def test_the_documented_command_trains(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    command = f"train popularity dataset=File root=. path={layout.name} {layout.settings}"
    with pytest.raises(SystemExit) as exit:
        main(shlex.split(command))
    assert exit.value.code in (0, None), capsys.readouterr().err
    found = find_data(layout.name, shlex.split(layout.settings))
    data = File(".", path=layout.name, **found.settings)
    assert data.n_items == layout.n_items
    assert not [note for note in data.notes if "have no interaction in train" in note]


@pytest.mark.parametrize("layout", LAYOUTS, indirect=True)
def test_describe_reads_it_with_the_documented_settings(layout: Layout) -> None:
    description = describe_data(layout.name, shlex.split(layout.settings))
    assert description.is_usable, [fault.message for report in description.files for fault in report.faults]
    assert description.statistics["items"] == layout.n_items


@pytest.mark.parametrize("layout", LAYOUTS, indirect=True)
def test_describe_proposes_settings_that_train_without_being_told_any(layout: Layout) -> None:
    description = describe_data(layout.name)
    if not description.is_usable:
        assert layout in [LAYOUTS[name] for name in NEED_A_DECISION]
        return
    settings = {key: value for key, value in description.settings.items() if key not in ("dataset", "root")}
    data = File(".", **settings)
    assert data.n_items == 20
    assert data.n_users == 30


@pytest.mark.parametrize(
    "layout",
    [name for name in LAYOUTS if LAYOUTS[name].settings and name not in NEEDS_NO_SETTINGS_TO_BE_RIGHT],
    indirect=True,
)
def test_without_the_settings_nothing_is_read_wrongly(layout: Layout) -> None:
    given = {"format": "csv" if layout.name.endswith(".dat") else "tsv"} if "format=" in layout.settings else {}
    if layout.name == "ratings.dat":
        assert File(".", path=layout.name, **given).n_items == 20
        return
    with pytest.raises(DataError) as error:
        File(".", path=layout.name, **given)
    assert any(word in str(error.value) for word in ("column", "encoding", "a missing value?"))
