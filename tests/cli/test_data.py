"""`recrun data`: describing files and data sets, and fetching them, from the command line."""

from __future__ import annotations

import hashlib
import json
import shlex
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

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
        "    ratings.csv:111: expected a number as rating (column 'rating'), found 'good'; 'rating_column="
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
    assert "ratings.csv   downloaded   yes        data/mine/ratings.csv" in outcome.out
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
