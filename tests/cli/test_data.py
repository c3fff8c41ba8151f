"""`recrun data`: describing files and data sets, and fetching them, from the command line."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from .conftest import Outcome, modules_after

Run = Callable[..., Outcome]
HEAD = "user,item,rating,timestamp\n"
ROWS = [f"{u},{i},{1 + (u + i) % 5},{978300000 + 1000 * u + i}\n" for u in range(9) for i in range(12)]
DATASET = """
from recrun.data.datasets.base import RecDataSet
from recrun.data.datasets.preparation import Preparation
from recrun.data.datasets.source_files import SourceFile
from recrun.data.formats.table import Layout
from recrun.data.formats.delimited import read_csv


class Mine(RecDataSet):
    "Mine."

    folders = ("mine",)
    terms = "Be kind."
    downloads = (SourceFile("ratings.csv", "{url}/ratings.csv", "sha256:{sha256}"),)

    def __init__(self, root=".", *, valid_ratio: float = 0.1):
        super().__init__(root, Preparation(split="ratio", valid_ratio=valid_ratio))

    def read(self, files):
        return {{"all": read_csv(files["ratings.csv"], Layout())}}
"""


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """A folder that a server on this machine serves, `served`, with a file in it, and a data set that comes from it."""
    folder = tmp_path / "served"
    folder.mkdir()
    content = (HEAD + "".join(ROWS)).encode()
    (folder / "ratings.csv").write_bytes(content)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=folder))
    url = f"http://127.0.0.1:{server.server_address[1]}"
    (tmp_path / "mine.py").write_text(DATASET.format(url=url, sha256=hashlib.sha256(content).hexdigest()))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield url
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_file_is_described_with_figures_and_the_command_that_trains_on_it(recrun: Run, tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text(HEAD + "".join(ROWS))
    outcome = recrun("data", "describe", "ratings.csv")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("ratings.csv\n  format csv, utf-8, separator ',', with a header row\n")
    assert "9 users, 12 items, 108 interactions; density 100 %" in outcome.out
    assert "interactions of a user" in outcome.out
    assert "timestamp: from 2000-12-31 22:00:00 to 2001-01-01 00:13:31 (seconds since 1970)" in outcome.out
    assert "  recrun train bprmf dataset=File root=. path=ratings.csv\n" in outcome.out
    assert outcome.out.endswith('or add to a config\n  dataset: File\n  root: "."\n  path: ratings.csv\n')


def test_the_command_that_is_shown_runs(recrun: Run, tmp_path: Path) -> None:
    (tmp_path / "my data.txt").write_text("".join(ROWS).replace(",", "|"))
    document = json.loads(recrun("data", "describe", "my data.txt", "--json").out)
    words = shlex.split(document["command"])
    assert words[:3] == ["recrun", "train", "bprmf"]
    outcome = recrun(*words[1:], "--dry-run", "device=cpu")
    assert outcome.code == 0, outcome.err


def test_a_bad_file_has_every_fault_named_and_the_exit_code_of_bad_data(recrun: Run, tmp_path: Path) -> None:
    bad = ["1,50\n", "1,51,good,978300000\n", "1,52,3,-1\n", "1,53\n"]
    (tmp_path / "ratings.csv").write_text(HEAD + "".join([*ROWS, *bad]))
    outcome = recrun("data", "describe", "ratings.csv", "--lines", "1")
    assert outcome.code == 2
    assert "refuse: training refuses the file\n" in outcome.out
    assert "    ratings.csv:110: expected 4 columns, found 2: '1,50'\n    and 1 more\n" in outcome.out
    assert (
        "    ratings.csv:111: expected a number as rating (column 'rating'), found 'good'; rating_column="
        in outcome.out
    )
    assert "    ratings.csv:112: expected a time >= 0, found -1; is it a missing one?" in outcome.out
    assert outcome.out.endswith("This data cannot be trained on.\n")
    trained = recrun("train", "bprmf", "dataset=File", "root=.", "path=ratings.csv", "device=cpu")
    assert (trained.code, trained.is_untouched) == (2, True)
    assert trained.err.splitlines()[-1] == "error: ratings.csv:110: expected 4 columns, found 2: '1,50'"


def test_the_same_as_json(recrun: Run, tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text(HEAD + "".join(ROWS) + "1,50\n")
    outcome = recrun("data", "describe", "ratings.csv", "--json")
    document = json.loads(outcome.out)
    assert (outcome.code, document["usable"]) == (2, False)
    (file,) = document["files"]
    (fault,) = file["faults"]
    assert (fault["kind"], fault["action"], fault["count"]) == ("ragged", "refuse", 1)
    assert fault["lines"] == [{"line": 110, "found": "expected 4 columns, found 2: '1,50'"}]
    assert document["config"] == {"dataset": "File", "root": ".", "path": "ratings.csv"}
    assert document["statistics"]["interactions"] == 108


def test_settings_name_what_cannot_be_found_out(recrun: Run, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n" + "".join(f"{i % 3},{i}\n" for i in range(20)))
    assert recrun("data", "describe", "x.csv").code == 2
    assert recrun("data", "describe", "x.csv", "user_column=a", "item_column=b").code == 0
    for wrong, message in (
        ("user_colum=a", "error: argument 1:1: user_colum: unknown setting; did you mean 'user_column'?"),
        ("header=perhaps", "error: argument 1:8: header: expected true or false or null, found 'perhaps' (text)"),
        ("path=y.csv", "error: argument 1:1: path: unknown setting"),
    ):
        outcome = recrun("data", "describe", "x.csv", wrong)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.startswith(message), outcome.err


def test_a_folder_and_given_parts_are_described_together(recrun: Run, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.txt").write_text("0 1 2 3\n1 1 2 4\n")
    (tmp_path / "set" / "test.txt").write_text("0 4\n1 3 2\n")
    outcome = recrun("data", "describe", "set")
    assert outcome.code == 2
    assert "    set/test.txt:2: user 1 and item 2 are in set/train.txt:2 too\n" in outcome.out
    other = recrun("data", "describe", "set/train.txt", "test_path=test.txt")
    assert other.out == outcome.out


def test_a_registered_data_set_is_described(recrun: Run, tmp_path: Path, served: str) -> None:
    outcome = recrun("data", "describe", "Synthetic", "n_users=50", "n_items=40", "n_interactions=900")
    assert outcome.code == 0
    assert "50 users, 40 items, 900 interactions" in outcome.out
    assert "recrun train bprmf dataset=Synthetic n_users=50 n_items=40 n_interactions=900" in outcome.out
    missing = recrun("data", "describe", "./mine.py:Mine", "root=data")
    assert (missing.code, missing.out) == (2, "")
    assert missing.err.startswith("error: Mine is not at root=data (there is no such folder)")
    assert recrun("data", "describe", "./mine.py:Mine", "rot=x").err.startswith("error: argument 1:1: rot: unknown")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("describe", "nowhere.csv"), "error: nowhere.csv: there is no such file, and no data set of that name"),
        (("describe",), "Error: Missing argument"),
        (("fetch",), "Error: Missing argument"),
        (("fetch", "Gowala_m1"), "error: unknown dataset 'Gowala_m1'; did you mean 'Gowalla_m1'?"),
        (("fetch", "Synthetic"), "error: Synthetic names no files that could be downloaded"),
        (("fetch", "LastFM", "rot=x"), "error: argument 1:1: rot: unknown setting; did you mean 'root'?"),
        (("fetch", "LastFM", "--timeout", "0"), "Error: Invalid value for '--timeout'"),
        (("nonsense",), "Error: No such command 'nonsense'"),
    ],
)
def test_wrong_usage_is_said_and_nothing_is_made(recrun: Run, arguments: tuple[str, ...], message: str) -> None:
    outcome = recrun("data", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert list(outcome.folder.iterdir()) == []


def test_a_data_set_is_fetched_described_and_trained_on(recrun: Run, tmp_path: Path, served: str) -> None:
    outcome = recrun("data", "fetch", "./mine.py:Mine", "root=data")
    assert outcome.code == 0
    assert outcome.err == f"downloading ratings.csv ({len(HEAD + ''.join(ROWS)):,} bytes)\n"
    assert "ratings.csv  downloaded  yes       data/mine/ratings.csv" in outcome.out
    assert "terms: Be kind.\n" in outcome.out
    assert outcome.out.endswith("next: recrun train bprmf dataset=./mine.py:Mine root=data\n")
    document = json.loads(recrun("data", "fetch", "./mine.py:Mine", "root=data", "--json", "-q").out)
    assert [(file["name"], file["status"]) for file in document["files"]] == [("ratings.csv", "present")]
    assert "108 interactions" in recrun("data", "describe", "./mine.py:Mine", "root=data").out
    words = shlex.split(outcome.out.rpartition("next: ")[2])
    assert recrun(*words[1:], "--dry-run", "device=cpu").code == 0


def test_a_download_that_fails_is_a_failure_and_leaves_nothing_with_the_name(
    recrun: Run, tmp_path: Path, served: str
) -> None:
    (tmp_path / "served" / "ratings.csv").write_text("<html>Sorry.</html>")
    outcome = recrun("data", "fetch", "./mine.py:Mine", "-q")
    assert (outcome.code, outcome.out) == (1, "")
    assert "its content is not ratings.csv (sha256" in outcome.err
    assert not list((tmp_path / "data").rglob("*.csv*"))
    (tmp_path / "served" / "ratings.csv").unlink()
    outcome = recrun("data", "fetch", "./mine.py:Mine", "-q")
    assert (outcome.code, "the server answers 404" in outcome.err) == (1, True)


def test_torch_is_not_imported() -> None:
    assert modules_after("data", "describe", "nowhere.csv", names=("torch", "matplotlib")) == []
    assert modules_after("data", "--help", names=("torch", "numpy", "polars", "rich")) == []


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    """A file of labelled rows."""
    path = tmp_path / "log.txt"
    path.write_text("click,age,city\n" + "".join(f"{n % 2},{n},{'AB'[n % 2]}\n" for n in range(40)), encoding="utf-8")
    return path


def test_labelled_rows_are_described_as_such(recrun: Run, clicks: Path) -> None:
    shown = recrun("data", "describe", str(clicks))
    assert shown.code == 0, shown.err
    assert "labelled rows: 40, 50 % labelled 1" in shown.out
    document = json.loads(recrun("data", "describe", str(clicks), "label_column=click", "--json").out)
    assert document["config"]["dense_columns"] == ["age"]
    wrong = recrun("data", "describe", str(clicks), "label_column=clik")
    assert wrong.code == 2
    assert "there is no column 'clik', which label_column names; did you mean 'click'?" in wrong.out


def test_labelled_rows_are_not_written_as_interactions(recrun: Run, clicks: Path, tmp_path: Path) -> None:
    settings = [f"root={tmp_path}", "path=log.txt", "label_column=click", "sparse_columns=[city]"]
    outcome = recrun("data", "split", "LabelledFile", *settings, "--to", str(tmp_path / "out"))
    assert outcome.code == 2
    assert "which cannot be exported" in outcome.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (
            "1,2,01/09/2024\n1,3,02/10/2024\n",
            None,
            "train.csv:2: the timestamp '01/09/2024' can be 1 September 2024 (%d/%m/%Y) or 9 January 2024 (%m/%d/%Y), "
            'and all values of the column can be read either way; set time_format="%d/%m/%Y" or time_format="%m/%d/%Y"',
        ),
        (
            "1,2,1600000000000\n1,3,1600000000001\n",
            "1,4,1600000000\n",
            "test.csv: its times are seconds since 1970 (such as 1600000000), and those of train.csv are milliseconds "
            "since 1970 (such as 1600000000000); write both alike, or time_column= reads all files without times",
        ),
        (
            "1,2,1600000000\n1,3,1600000001\n",
            "1.0,4,1600000000\n",
            "test.csv:2: the user is '1.0', which differs from '1' (train.csv:2) only by a point and zeros, which "
            "programs write behind integers where values were missing; write both alike",
        ),
    ],
)
def test_values_that_do_not_compare_end_a_run_before_it_starts(
    recrun: Run, tmp_path: Path, train: str, test: str | None, message: str
) -> None:
    (tmp_path / "train.csv").write_text(f"user,item,time\n{train}")
    (tmp_path / "test.csv").write_text(f"user,item,time\n{test}")
    paths = ["path=train.csv"] if test is None else ["train_path=train.csv", "test_path=test.csv"]
    trained = recrun("train", "bprmf", "dataset=File", "root=.", *paths, "device=cpu")
    assert (trained.code, trained.is_untouched) == (2, True)
    assert trained.err.splitlines()[-1] == f"error: {message}"
    described = recrun("data", "describe", "train.csv", *paths[1:])
    assert described.code == 2
    # A message is printed in full, whatever the width of the terminal.
    assert message.partition(": ")[2] in described.out


def write_clicks(folder: Path) -> None:
    """Write a file laid out as Yoochoose's clicks: session, time, item, category."""
    rows = [
        f"{user},2014-04-0{1 + (user + item) % 9}T10:5{item % 10}:09.{user:03d}Z,{214536000 + item},{item % 3}"
        for user in range(1, 31)
        for item in range(1, 13)
    ]
    (folder / "clicks.csv").write_text("\n".join(rows) + "\n")


def test_columns_without_names_in_another_order_are_refused_until_they_are_named(recrun: Run) -> None:
    write_clicks(Path.cwd())
    train = ("train", "popularity", "dataset=File", "root=.", "path=clicks.csv")
    outcome = recrun(*train, "split=leave_one_out")
    assert (outcome.code, outcome.is_untouched) == (2, True)
    second, third = "dates such as '2014-04-03T10:51:09.001Z'", "whole numbers from 214536001 to 214536012"
    assert outcome.err.endswith(
        f"error: clicks.csv:1: there is no header row, and column 2 would be the item, but holds {second}; column 3 "
        f"would be the rating, but holds {third}; set item_column=3 rating_column= time_column=2. The columns "
        f"are 1: whole numbers from 1 to 30; 2: {second}; 3: {third}; 4: whole numbers from 0 to 2\n"
    )
    described = recrun("data", "describe", "clicks.csv")
    assert described.code == 0
    command = next(line for line in described.out.splitlines() if line.strip().startswith("recrun train"))
    assert shlex.split(command)[3:] == [
        "dataset=File",
        "root=.",
        "path=clicks.csv",
        "item_column=3",
        "rating_column=",
        "time_column=2",
    ]
    assert recrun("train", "popularity", *shlex.split(command)[3:], "split=leave_one_out").code == 0


@pytest.mark.parametrize("verb", ["describe", "split", "convert"])
def test_a_condition_that_names_no_column_ends_every_command_with_2(recrun: Run, verb: str) -> None:
    Path("a.csv").write_text("user,item,event\n1,2,buy\n")
    to = ("--to", "out") if verb == "split" else ("--to", "out.csv") if verb == "convert" else ()
    outcome = recrun("data", verb, "a.csv", "filter=evnt == 'buy'", *to)
    assert outcome.code == 2
    assert "there is no column 'evnt', which filter names; did you mean 'event'?" in outcome.out + outcome.err


@pytest.mark.parametrize("name", ["fifo.csv", "/dev/zero"])
def test_what_is_described_or_trained_on_is_a_regular_file(
    recrun: Callable[..., Any], tmp_path: Path, name: str
) -> None:
    os.mkfifo(tmp_path / "fifo.csv")
    for command in (("data", "describe", name), ("train", "bprmf", "dataset=File", f"path={name}")):
        outcome = recrun(*command)
        assert outcome.code == 2
        assert name in outcome.err


@pytest.mark.parametrize(
    ("size", "text", "message"),
    [
        (
            0,
            ",".join(["1"] * 60_000) + "\n" + ",".join(["1"] * 60_000) + "\n",
            "has 60,000 columns, and at most 50,000 are",
        ),
        (4 << 30, "user,item\n", "the line is longer than 8 MiB; is this a text of lines?"),
    ],
)
def test_a_file_that_is_no_table_is_refused_at_once(
    recrun: Callable[..., Any], tmp_path: Path, size: int, text: str, message: str
) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    if size:
        os.truncate(tmp_path / "a.csv", size)
    outcome = recrun("data", "describe", "a.csv")
    assert outcome.code == 2
    assert message in outcome.out
