"""Files laid out as widely used data sets are published: described, and read with the one command of the docs."""

from __future__ import annotations

import gzip
import json
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
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
CLOCK = "%Y-%m-%d %H:%M:%S"
WRITE = Callable[[int, int, int, int], str]


def date(seconds: int, format: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    return (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)).strftime(format)


def sha(number: int, length: int = 40) -> str:
    return f"{number * 2654435761 % 2**32:08x}".ljust(length, "a")


def us_date(seconds: int) -> str:
    """Return a date as MIND writes it: the hour without a leading zero."""
    return date(seconds, "%m/%d/%Y %I:%M:%S %p").replace(" 0", " ", 1)


def isbn(number: int, escaped: bool = False) -> str:
    """Return an ISBN; some have a quote, as in Book-Crossing, after a backslash in the file."""
    quote = ("\\" if escaped else "") + '"'
    return (
        f"{quote}{34545104 + number}"
        if number % 4 == 0
        else f"{34545104 + number}\xfd"
        if number == 3
        else f"0{number}X"
    )


def day(seconds: int) -> int:
    return seconds // 86400 * 86400


def write_blocks(folder: Path) -> None:
    """Write two files as the Netflix Prize has four: a line for each movie, and its ratings below."""
    for number, movies in enumerate((range(1, 9), range(9, 21)), start=1):
        blocks = (
            f"{movie}:\n" + "".join(f"{u},{r},{date(t, '%Y-%m-%d')}\n" for u, i, r, t in ROWS if i == movie)
            for movie in movies
        )
        (folder / f"combined_data_{number}.txt").write_text("".join(blocks))


def write_spark(folder: Path) -> None:
    """Write a folder as Spark does."""
    parts = folder / "ratings.parquet"
    parts.mkdir()
    for number in range(3):
        frame = pl.DataFrame(ROWS[number::3], schema=["userId", "movieId", "rating", "timestamp"], orient="row")
        frame.write_parquet(parts / f"part-{number:05d}-c000.snappy.parquet")
    (parts / "_SUCCESS").touch()


def write_hours(folder: Path) -> None:
    """Write a file of events for each hour."""
    (folder / "clicks").mkdir()
    for hour in sorted({t // 3600 for *_, t in ROWS}):
        lines = "".join(f"{u},{i},{date(t)}\n" for u, i, _, t in ROWS if t // 3600 == hour)
        name = date(3600 * hour, "%Y-%m-%dT%H.csv")
        (folder / "clicks" / name).write_text("user_id,item_id,timestamp\n" + lines)


@dataclass(frozen=True)
class Layout:
    """A published layout.

    Args:
        name: of the file, as a path.
        write: returns the line of an interaction.
        settings: those of the docs.
        head: the header row.
        read: returns (user, item, rating, time) as which the documented settings read an interaction; None if not.
        write_files: writes several files.
    """

    name: str
    write: WRITE
    settings: str = ""
    head: str = ""
    read: Callable[[int, int, int, int], tuple[Any, ...] | None] = lambda u, i, r, t: (u, i, r, t)
    write_files: Callable[[Path], None] | None = None

    def make(self, folder: Path) -> None:
        if self.write_files is not None:
            self.write_files(folder)
            return
        lines = "\n".join(self.write(*row) for row in sorted(ROWS, key=lambda row: row[3] * 7 % 1000))
        encoding = "latin-1" if "latin-1" in self.settings else "utf-8"
        content = f"{self.head}\n{lines}\n".removeprefix("\n").encode(encoding)
        (folder / self.name).write_bytes(gzip.compress(content) if self.name.endswith(".gz") else content)

    @property
    def command(self) -> str:
        """What is typed after `recrun`."""
        return f"train popularity dataset=File root=. path={shlex.quote(self.name)} {self.settings}".strip()

    @property
    def expected(self) -> set[tuple[str, ...]]:
        """The interactions that are read."""
        return {as_text(found) for row in ROWS if (found := self.read(*row)) is not None}


def as_text(row: Sequence[Any]) -> tuple[str, ...]:
    """Return ids as text, and numbers with as many digits as float32 keeps of ratings, and float64 of times."""
    user, item, rating, time = row
    return (
        str(user),
        str(item),
        "" if rating is None else f"{rating:.4f}",
        "" if time is None else f"{time:.3f}",
    )


def rows_of(data: File) -> list[tuple[str, ...]]:
    """Return the interactions of all parts of a data set, with their original ids."""
    found = []
    for part in ("train", "valid", "test"):
        rows = data.interactions(part)
        ids = data.user_ids[rows.users].tolist(), data.item_ids[rows.items].tolist()
        nothing = [None] * len(rows)
        columns = (rows.columns[name].tolist() if name in rows.columns else nothing for name in ("rating", "timestamp"))
        found += [as_text(row) for row in zip(*ids, *columns, strict=True)]
    return found


LAYOUTS = {
    "MovieLens 100K": Layout("u.data", lambda u, i, r, t: f"{u}\t{i}\t{r}\t{t}"),
    "MovieLens 1M, 10M": Layout("ratings.dat", lambda u, i, r, t: f"{u}::{i}::{r}::{t}", "format=csv"),
    "MovieLens 20M, 25M, 32M": Layout(
        "ratings.csv", lambda u, i, r, t: f"{u},{i},{r}.0,{t}", head="userId,movieId,rating,timestamp"
    ),
    "Amazon 2014": Layout(
        "ratings_Beauty.csv",
        lambda u, i, r, t: f"A{u:013d},B00{i:07d},{r}.0,{t // 86400 * 86400}",
        "",
        read=lambda u, i, r, t: (f"A{u:013d}", f"B00{i:07d}", r, day(t)),
    ),
    "Amazon 2018": Layout(
        "All_Beauty.csv",
        lambda u, i, r, t: f"B00{i:07d},A{u:013d},{r}.0,{t // 86400 * 86400}",
        "user_column=2 item_column=1",
        read=lambda u, i, r, t: (f"A{u:013d}", f"B00{i:07d}", r, day(t)),
    ),
    "Amazon 2023": Layout(
        "All_Beauty.csv",
        lambda u, i, r, t: f"AE{u:026d},B00{i:07d},{r}.0,{t}123",
        head="user_id,parent_asin,rating,timestamp",
        read=lambda u, i, r, t: (f"AE{u:026d}", f"B00{i:07d}", r, 1000 * t + 123),
    ),
    "Yoochoose clicks": Layout(
        "yoochoose-clicks.dat",
        lambda u, i, r, t: f"{u},{date(t)[:-1]}.{i:03d}Z,{214536000 + i},{('0', 'S', '12')[r % 3]}",
        "format=csv item_column=3 time_column=2",
        read=lambda u, i, r, t: (u, 214536000 + i, None, t + i / 1000),
    ),
    "Yoochoose buys": Layout(
        "yoochoose-buys.dat",
        lambda u, i, r, t: f"{u},{date(t)[:-1]}.{i:03d}Z,{214536000 + i},{1000 * r},1",
        "format=csv item_column=3 time_column=2",
        read=lambda u, i, r, t: (u, 214536000 + i, None, t + i / 1000),
    ),
    "Diginetica": Layout(
        "train-item-views.csv",
        lambda u, i, r, t: f"{u};{'NA' if u % 3 else u};{i};{1000 * r + i};{date(t, '%Y-%m-%d')}",
        "user_column=sessionId time_column=eventdate",
        head="sessionId;userId;itemId;timeframe;eventdate",
        read=lambda u, i, r, t: (u, i, None, day(t)),
    ),
    "RetailRocket": Layout(
        "events.csv",
        lambda u, i, r, t: f"{t}123,{u},{'transaction' if r > 2 else 'view'},{i},{u * 100 + i if r > 2 else ''}",
        "filter=\"event == 'transaction'\"",
        head="timestamp,visitorid,event,itemid,transactionid",
        read=lambda u, i, r, t: (u, i, None, 1000 * t + 123) if r > 2 else None,
    ),
    "Taobao UserBehavior": Layout(
        "UserBehavior.csv",
        lambda u, i, r, t: f"{u},{2268300 + i},{2520300 + i % 4},{'buy' if r > 2 else 'pv'},{t}",
        "time_column=5 rating_column= filter=\"4 == 'buy'\"",
        read=lambda u, i, r, t: (u, 2268300 + i, None, t) if r > 2 else None,
    ),
    "H&M": Layout(
        "transactions_train.csv",
        lambda u, i, r, t: f"{date(t, '%Y-%m-%d')},{sha(u, 64)},0{663713000 + i},0.0{50830 + r},{r % 2 + 1}",
        "time_column=t_dat",
        head="t_dat,customer_id,article_id,price,sales_channel_id",
        read=lambda u, i, r, t: (sha(u, 64), f"0{663713000 + i}", None, day(t)),
    ),
    "Gowalla, Brightkite": Layout(
        "loc-gowalla_totalCheckins.txt",
        lambda u, i, r, t: f"{u}\t{date(t)}\t{30.2 + i / 777:.10f}\t{-97.7 - i / 333:.10f}\t{22847 + i}",
        "format=tsv item_column=5 time_column=2 rating_column=",
        read=lambda u, i, r, t: (u, 22847 + i, None, t),
    ),
    "Last.fm 1K": Layout(
        "userid-timestamp-artid-artname-traid-traname.tsv",
        lambda u, i, r, t: f'user_{u:06d}\t{date(t)}\t{sha(i) if i % 5 else ""}\tArtist {i} é\t\tTrack "{r}',
        "item_column=4 time_column=2 rating_column=",
        read=lambda u, i, r, t: (f"user_{u:06d}", f"Artist {i} é", None, t),
    ),
    "Last.fm 360K": Layout(
        "usersha1-artmbid-artname-plays.tsv",
        lambda u, i, r, t: f"{sha(u)}\t{sha(i, 36) if i % 5 else ''}\tartist {i}\t{r * i * 37}",
        "rating_column=4 drop_missing=[2]",
        read=lambda u, i, r, t: (sha(u), sha(i, 36), r * i * 37, None) if i % 5 else None,
    ),
    "Foursquare TSMC2014": Layout(
        "dataset_TSMC2014_NYC.txt",
        lambda u, i, r, t: (
            f"{u}\t{sha(i, 24)}\t{sha(i % 4, 24)}\tCaf\xe9 {i % 4}\t{40.7 + i / 777:.12f}\t{-74 - i / 333:.12f}\t-240\t"
            f"{date(t, '%a %b %d %H:%M:%S +0000 %Y')}"
        ),
        "format=tsv encoding=latin-1 rating_column= time_column=8",
        read=lambda u, i, r, t: (u, sha(i, 24), None, t),
    ),
    "BookCrossing": Layout(
        "BX-Book-Ratings.csv",
        lambda u, i, r, t: f'"{276725 + u}";"{isbn(i, True)}";"{r - 1}"\r',
        "encoding=latin-1 escape='\\' rating_threshold=1",
        head='"User-ID";"ISBN";"Book-Rating"\r',
        read=lambda u, i, r, t: (276725 + u, isbn(i), r - 1, None) if r > 1 else None,
    ),
    "Steam-200k": Layout(
        "steam-200k.csv",
        lambda u, i, r, t: f'{151603712 + u},"Game {i}, The",{"purchase" if r > 2 else "play"},{r * 13.7:.1f},0',
        "rating_column= time_column= filter=\"3 == 'purchase'\"",
        read=lambda u, i, r, t: (151603712 + u, f"Game {i}, The", None, None) if r > 2 else None,
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
        read=lambda u, i, r, t: (u, i, r / 2.7, t + 0.253) if u % 7 else None,
    ),
    "Tenrec": Layout(
        "QB-video.csv",
        lambda u, i, r, t: f"{u},{i},{int(r > 2)},0,{r % 2},0,{r},{r - 1},1,{u % 8}",
        "filter='click == 1'",
        head="user_id,item_id,click,follow,like,share,video_category,watching_times,gender,age",
        read=lambda u, i, r, t: (u, i, None, None) if r > 2 else None,
    ),
    "Amazon 2014, reviews": Layout(
        "reviews_Beauty_5.json.gz",
        lambda u, i, r, t: json.dumps(
            {"reviewerID": f"A{u:013d}", "asin": f"{i:010d}", "reviewerName": 'J. "K"', "helpful": [0, i]}
            | {"reviewText": "it's, {fine}", "overall": float(r), "summary": "é\n"}
            | {"unixReviewTime": day(t), "reviewTime": date(t, "%m %d, %Y")}
        ),
        read=lambda u, i, r, t: (f"A{u:013d}", f"{i:010d}", r, day(t)),
    ),
    "Amazon 2018, reviews": Layout(
        "All_Beauty_5.json.gz",
        lambda u, i, r, t: json.dumps(
            {"overall": float(r)}
            | ({"vote": str(i)} if i % 3 == 0 else {})
            | {"verified": bool(r % 2), "reviewTime": date(t, "%m %d, %Y"), "reviewerID": f"A{u:013d}"}
            | {"asin": f"B00{i:07d}"}
            | ({"style": {"Size:": " 7 oz", "Color:": " red"}} if u % 2 else {})
            | {"reviewerName": "x", "reviewText": "y", "summary": "z", "unixReviewTime": day(t)}
            | ({"image": ["https://a/b.jpg"]} if u == 7 else {})
        ),
        read=lambda u, i, r, t: (f"A{u:013d}", f"B00{i:07d}", r, day(t)),
    ),
    "Amazon 2023, reviews": Layout(
        "All_Beauty.jsonl.gz",
        lambda u, i, r, t: json.dumps(
            {"rating": float(r), "title": "x", "text": "y <br />", "images": [], "asin": f"B07{i:05d}{u % 3:02d}"}
            | {"parent_asin": f"B08{i:07d}", "user_id": f"AE{u:026d}", "timestamp": 1000 * t + 7}
            | {"helpful_vote": u % 3, "verified_purchase": True}
        ),
        "item_column=parent_asin",
        read=lambda u, i, r, t: (f"AE{u:026d}", f"B08{i:07d}", r, 1000 * t + 7),
    ),
    "Yelp": Layout(
        "yelp_academic_dataset_review.json",
        lambda u, i, r, t: json.dumps(
            {"review_id": sha(100 * u + i, 22), "user_id": sha(u, 22), "business_id": "-" + sha(i, 21)}
            | {"stars": float(r), "useful": 0, "funny": 0, "cool": u % 2, "text": "a\n\nb", "date": date(t, CLOCK)}
        ),
        read=lambda u, i, r, t: (sha(u, 22), "-" + sha(i, 21), r, t),
    ),
    "Steam, reviews": Layout(
        "steam_reviews.json.gz",
        lambda u, i, r, t: (
            f"{{u'username': u'name {u} \\u2122', "
            + (f"u'user_id': u'765611980{u:08d}', u'found_funny': {r}, " if u % 2 else "")
            + f"u'hours': {r * 0.7:.1f}, u'products': {u}, u'product_id': u'{725280 + i}', u'page_order': 0, "
            f"u'date': u'{date(t, '%Y-%m-%d')}', u'text': u\"it's \\xe9\", u'early_access': False, u'page': 1}}"
        ),
        "format=pylines user_column=username",
        read=lambda u, i, r, t: (f"name {u} \u2122", 725280 + i, None, day(t)),
    ),
    "Netflix Prize": Layout(
        "combined_data_*.txt",
        lambda u, i, r, t: "",
        "format=netflix",
        read=lambda u, i, r, t: (u, i, r, day(t)),
        write_files=write_blocks,
    ),
    "MIND": Layout(
        "behaviors.tsv",
        lambda u, i, r, t: (
            f"{100 * u + i}\tU{u}\t{us_date(t)}\t{'N1 N2' if u % 4 else ''}\t"
            f"N{i % 20 + 1}-0 N{i}-1 N{(i + 5) % 20 + 1}-0"
        ),
        "format=mind",
        read=lambda u, i, r, t: (f"U{u}", f"N{i}", None, t),
    ),
    "a folder that Spark wrote": Layout("ratings.parquet", lambda u, i, r, t: "", write_files=write_spark),
    "a folder of hourly files": Layout(
        "clicks", lambda u, i, r, t: "", read=lambda u, i, r, t: (u, i, None, t), write_files=write_hours
    ),
}
NEEDS_NO_SETTINGS_TO_BE_RIGHT = {"RetailRocket", "Tenrec", "H&M"}
"""Layouts that are read without the settings too, only with more rows or without times."""
NEED_A_DECISION = {"Diginetica", "KuaiRec", "Amazon 2023, reviews", "Steam, reviews"}
"""Layouts with missing values, and with two columns of items."""


@pytest.fixture
def layout(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.chdir(tmp_path)
    found = LAYOUTS[request.param]
    found.make(tmp_path)
    return found


def documented(docs: Path) -> dict[str, str]:
    """Return the command of each row of the table in the docs."""
    table = docs.read_text(encoding="utf-8").partition("### Published files")[2].partition("### Formats")[0]
    before = re.search(r"`recrun (train [^`]*path=)FILE`", table)
    assert before is not None
    rows = re.findall(r"^\| (.+?) \| `(.+?)` \| (none|`.+`) \|$", table, re.MULTILINE)
    return {
        name: f"{before[1]}{file} {'' if settings == 'none' else settings.strip('`')}".strip()
        for name, file, settings in rows
    }


def test_the_docs_hold_these_settings(repository: Path) -> None:
    found = documented(repository / "docs" / "data.md")
    assert found == {name: layout.command for name, layout in LAYOUTS.items()}


@pytest.mark.parametrize("layout", LAYOUTS, indirect=True)
def test_the_documented_command_trains_on_what_the_file_holds(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit:
        main(shlex.split(layout.command))
    assert exit.value.code in (0, None), capsys.readouterr().err
    found = find_data(layout.name, shlex.split(layout.settings))
    data = File(".", path=layout.name, **found.settings)
    rows = rows_of(data)
    assert set(rows) == layout.expected
    assert len(rows) == len(layout.expected)
    assert set(map(str, data.user_ids)) == {row[0] for row in layout.expected}
    assert set(map(str, data.item_ids)) == {row[1] for row in layout.expected}


@pytest.mark.parametrize("layout", LAYOUTS, indirect=True)
def test_describe_reads_it_with_the_documented_settings(layout: Layout) -> None:
    description = describe_data(layout.name, shlex.split(layout.settings))
    assert description.is_usable, [fault.message for report in description.files for fault in report.faults]
    assert description.statistics["items"] == len({row[1] for row in layout.expected})
    assert description.statistics["users"] == len({row[0] for row in layout.expected})


@pytest.mark.parametrize("layout", LAYOUTS, indirect=True)
def test_describe_proposes_settings_that_train_without_being_told_any(layout: Layout) -> None:
    description = describe_data(layout.name)
    assert description.is_usable == (layout not in [LAYOUTS[name] for name in NEED_A_DECISION])
    if not description.is_usable:
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
    format, *others = shlex.split(layout.settings)
    given = {"format": format.removeprefix("format=")} if format.startswith("format=") and others else {}
    with pytest.raises(DataError) as error:
        File(".", path=layout.name, **given)
    assert any(word in str(error.value) for word in ("column", "set escape=", "a missing value?", "set format"))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_quotes_after_a_backslash_are_pointed_out_whatever_ends_the_lines(
    tmp_path: Path, end: str, encoding: str
) -> None:
    rows = [f'"{276725 + u}";"{isbn(i, u == 5)}";"{r}"' for u, i, r, _ in ROWS if i != 3 and (i % 4 or u == 5)]
    text = end.join(['"User-ID";"ISBN";"Book-Rating"', *rows, ""])
    (tmp_path / "x.csv").write_bytes(text.encode(encoding))
    with pytest.raises(DataError, match=r"x\.csv:\d+: a quote after a backslash: .* set escape='\\'"):
        File(tmp_path, path="x.csv", encoding=encoding)
