"""`recrun recommend` and `recrun similar`: the lists that the evaluation ranked, by original ids."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from .conftest import TINY, Outcome, trained_run

SETTINGS = ["monitors=[recall@5,ndcg@5,ndcg@20,coverage@5]", "which4best=ndcg@5", "device=cpu", "verbose=0", "seed=3"]
SPACE = [each for each in TINY if not each.startswith(("embedding_dim", "batch_size"))]
ROWS = (
    'user,item,time\n"a, b",x1,1\n"a, b",x2,2\n"a, b",x3,3\nbob,x1,1\nbob,x3,2\nbob,x4,3\ncy,x2,1\ncy,x4,2\ncy,x1,3\n'
)


def _train(runs: Path, *arguments: str) -> Path:
    return trained_run(runs, *arguments, *SETTINGS)


@pytest.fixture(scope="module")
def factors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a model with vectors."""
    return _train(tmp_path_factory.mktemp("factors"), "bprmf", *TINY, "epochs=2", "threads=1")


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a model that scores whole rows."""
    return _train(tmp_path_factory.mktemp("linear"), "ease", *SPACE, "threads=2")


@pytest.fixture(scope="module")
def sequential(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a model that reads histories."""
    settings = ["embedding_dim=8", "max_length=10", "epochs=1", "batch_size=16", "threads=1"]
    return _train(tmp_path_factory.mktemp("sequential"), "sasrec", *SPACE, *settings)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a file whose ids are text."""
    folder = tmp_path_factory.mktemp("named")
    (folder / "rows.csv").write_text(ROWS, encoding="utf-8")
    settings = ["dataset=File", f"root={folder}", "path=rows.csv", "split=leave_one_out", "embedding_dim=4"]
    return _train(folder / "runs", "bprmf", *settings, "epochs=1", "threads=1", "batch_size=4", "valid_ratio=0")


@pytest.fixture(params=["factors", "linear", "sequential"])
def run(request: pytest.FixtureRequest) -> Path:
    """A run of each kind of model."""
    found: Path = request.getfixturevalue(request.param)
    return found


def _relevant(run: Path, split: str) -> dict[Any, set[Any]]:
    """Return each user's items in a part, by original ids, read from the data set itself."""
    from recrun.workflows.load import load

    base = load(run).coach.dataset.base
    rows = base.interactions(split)
    found: dict[Any, set[Any]] = {}
    for user, item in zip(base.user_ids[rows.users].tolist(), base.item_ids[rows.items].tolist(), strict=True):
        found.setdefault(user, set()).add(item)
    return found


def _metrics(frame: pl.DataFrame, relevant: dict[Any, set[Any]], n_items: int) -> dict[str, float]:
    """Compute metrics from a file of recommendations, as docs/metrics.md defines them."""
    lists = {user: rows["item"].to_list() for (user,), rows in frame.sort("rank").group_by("user")}
    recall, ndcg = [], []
    for user, wanted in relevant.items():
        hits = [item in wanted for item in lists[user][:5]]
        recall.append(sum(hits) / len(wanted))
        ideal = sum(1 / np.log2(rank + 2) for rank in range(min(5, len(wanted))))
        ndcg.append(sum(hit / np.log2(rank + 2) for rank, hit in enumerate(hits)) / ideal)
    shown = {item for user in relevant for item in lists[user][:5]}
    return {
        "recall@5": float(np.mean(recall)),
        "ndcg@5": float(np.mean(ndcg)),
        "coverage@5": len(shown) / n_items,
    }


@pytest.mark.parametrize("split", ["valid", "test"])
@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_metrics_of_the_file_are_those_of_the_run(
    recrun: Callable[..., Outcome], run: Path, split: str, suffix: str
) -> None:
    outcome = recrun("recommend", "--checkpoint", str(run), "--as-of", split, "--to", f"found.{suffix}", "-k", "20")
    assert outcome.code == 0, outcome.err
    path = outcome.folder / f"found.{suffix}"
    frame = {"parquet": pl.read_parquet, "csv": pl.read_csv, "jsonl": pl.read_ndjson}[suffix](path)
    assert frame.columns == ["user", "item", "rank", "score"]
    result = json.loads((run / "metrics.json").read_text(encoding="utf-8"))[split]
    for name, value in _metrics(frame, _relevant(run, split), n_items=40).items():
        assert value == pytest.approx(result[name], abs=1e-12), name
    assert outcome.out == f"wrote found.{suffix} ({len(frame):,} rows, 60 users)\n"


def test_some_users_get_the_lists_that_they_get_among_all(recrun: Callable[..., Outcome], run: Path) -> None:
    everyone = json.loads(recrun("recommend", "--checkpoint", str(run), "--json").out)
    by_user = {entry["user"]: entry for entry in everyone["recommendations"]}
    (Path("wanted.txt")).write_text("7\n3\n59\n")
    for users in ("7,3,59", "wanted.txt"):
        some = json.loads(recrun("recommend", "--checkpoint", str(run), "--users", users, "--json").out)
        assert [entry["user"] for entry in some["recommendations"]] == [7, 3, 59]
        assert [entry["items"] for entry in some["recommendations"]] == [by_user[user]["items"] for user in (7, 3, 59)]
    assert (everyone["users"], everyone["k"], everyone["as_of"]) == (60, 20, "test")


def test_at_the_end_everything_is_seen(recrun: Callable[..., Outcome], factors: Path) -> None:
    train, valid, test = (_relevant(factors, split) for split in ("train", "valid", "test"))
    end = json.loads(recrun("recommend", "--checkpoint", str(factors), "--as-of", "end", "-k", "40", "--json").out)
    for entry in end["recommendations"]:
        user = entry["user"]
        seen = train.get(user, set()) | valid.get(user, set()) | test.get(user, set())
        assert set(entry["items"]) == set(range(40)) - seen


def test_nothing_is_left_out_if_none_is_excluded(recrun: Callable[..., Outcome], factors: Path) -> None:
    arguments = ["--checkpoint", str(factors), "--users", "1", "-k", "100", "--exclude", "none", "--json"]
    (entry,) = json.loads(recrun("recommend", *arguments).out)["recommendations"]
    assert sorted(entry["items"]) == list(range(40))
    assert entry["scores"] == sorted(entry["scores"], reverse=True)


def test_files_of_pairs_and_of_items_are_left_out_besides_what_is_seen(
    recrun: Callable[..., Outcome], factors: Path
) -> None:
    Path("pairs.csv").write_text("user,item\n1,0\n1,1\n2,2\n")
    Path("items.txt").write_text("5\n6\n")
    asked = ["--checkpoint", str(factors), "--users", "1,2", "-k", "100", "--json", "--exclude", "pairs.csv"]
    one, two = json.loads(recrun("recommend", *asked, "--exclude", "items.txt").out)["recommendations"]
    assert set(range(40)) - set(one["items"]) == {0, 1, 5, 6}
    assert set(range(40)) - set(two["items"]) == {2, 5, 6}
    both = json.loads(recrun("recommend", *asked, "--exclude", "seen").out)["recommendations"]
    seen = json.loads(recrun("recommend", *asked[:-2]).out)["recommendations"]
    for with_file, without, more in zip(both, seen, ({0, 1}, {2}), strict=True):
        assert set(with_file["items"]) == set(without["items"]) - more


def test_only_the_items_of_a_file_are_recommended_in_their_order(recrun: Callable[..., Outcome], run: Path) -> None:
    Path("items.csv").write_text("item,price\n3,1\n9,2\n27,3\n30,1\n")
    asked = ["recommend", "--checkpoint", str(run), "-k", "40", "--json"]
    every = json.loads(recrun(*asked).out)["recommendations"]
    some = json.loads(recrun(*asked, "--items", "items.csv").out)["recommendations"]
    lists = {entry["user"]: entry["items"] for entry in some}
    for entry in every:
        assert lists.get(entry["user"], []) == [item for item in entry["items"] if item in (3, 9, 27, 30)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--users", "1,6o"), "the data has no user 6o"),
        (("--users", "59,600"), "the data has no user 600"),
        (("--users", "none.csv"), "--users none.csv: there is no such file"),
        (("--users", ","), "--users: expected a file, ids of users, or all"),
        (("--users", "1", "--histories", "h.csv"), "give only one of the two"),
        (("--to", "found.json"), "expected a name that ends in .parquet, .csv, .jsonl; did you mean .jsonl?"),
        (("--to", "none/found.csv"), "there is no folder none"),
        (("--exclude", "none", "--exclude", "seen"), "--exclude none contradicts the others"),
        (("--exclude", "no.csv"), "no.csv"),
        (("--items", "no.txt"), "no.txt"),
        (("-k", "0"), "Invalid value for '-k'"),
        (("embedding_dim=3", "--users", "1"), "embedding_dim: cannot be changed here; only root, device"),
        (("lr=3", "--users", "1"), "lr: cannot be changed here"),
        ((), "lists of 60 users are too long to be shown"),
    ],
)
def test_what_cannot_be_done_is_one_error_and_no_file(
    recrun: Callable[..., Outcome], factors: Path, arguments: tuple[str, ...], message: str
) -> None:
    outcome = recrun("recommend", "--checkpoint", str(factors), *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert list(outcome.folder.iterdir()) == []


def test_unknown_ids_can_be_skipped_and_are_named(recrun: Callable[..., Outcome], factors: Path) -> None:
    asked = ["recommend", "--checkpoint", str(factors), "--skip-unknown", "--json"]
    outcome = recrun(*asked, "--users", "5,600,5")
    document = json.loads(outcome.out)
    assert [entry["user"] for entry in document["recommendations"]] == [5]
    assert "note: the data has no user 600" in outcome.err
    assert "1 users are named more than once" in outcome.err
    assert len(document["notes"]) == 2
    nobody = recrun(*asked, "--users", "600,700")
    assert (nobody.code, nobody.out) == (2, "")
    assert "none of the users is known" in nobody.err


def test_text_ids_come_back_as_they_are(recrun: Callable[..., Outcome], named: Path) -> None:
    outcome = recrun("recommend", "--checkpoint", str(named), "--exclude", "none", "-k", "2", "--to", "found.csv")
    assert outcome.code == 0, outcome.err
    frame = pl.read_csv("found.csv")
    assert set(frame["user"]) == {"a, b", "bob", "cy"}
    assert set(frame["item"]) <= {"x1", "x2", "x3", "x4"}
    Path("wanted.txt").write_text("a, b\n")
    shown = recrun("recommend", "--checkpoint", str(named), "--users", "wanted.txt", "-k", "1")
    assert shown.out.splitlines()[0] == "user a, b"
    wrong = recrun("recommend", "--checkpoint", str(named), "--users", "bib")
    assert "the data has no user bib (nearest: bob); correct it, or skip what is not known: --skip-unknown" in wrong.err


def _histories(run: Path, split: str) -> str:
    """Return the interactions before a part as CSV, users being called new-0, new-1, ..."""
    from recrun.workflows.load import load

    base = load(run).coach.dataset.base
    rows = base.histories(split)
    lines = ["user,item,time"]
    for user in range(base.n_users):
        lines += [f"new-{user},{base.item_ids[item]},{time}" for time, item in enumerate(rows.row(user))]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("kind", ["linear", "sequential"])
def test_new_users_with_the_histories_of_known_ones_get_their_lists(
    recrun: Callable[..., Outcome], request: pytest.FixtureRequest, kind: str
) -> None:
    run = request.getfixturevalue(kind)
    Path("new.csv").write_text(_histories(run, "valid"))
    asked = ["recommend", "--checkpoint", str(run), "--as-of", "valid", "--json"]
    known = {entry["user"]: entry["items"] for entry in json.loads(recrun(*asked).out)["recommendations"]}
    new = json.loads(recrun(*asked, "--histories", "new.csv").out)["recommendations"]
    assert {entry["user"]: entry["items"] for entry in new} == {f"new-{user}": items for user, items in known.items()}


@pytest.mark.parametrize("kind", ["linear", "sequential"])
def test_at_the_end_models_read_all_that_their_users_have(
    recrun: Callable[..., Outcome], request: pytest.FixtureRequest, kind: str
) -> None:
    run = request.getfixturevalue(kind)
    before = _histories(run, "test").splitlines()
    test = _relevant(run, "test")
    before += [f"new-{user},{item},{10**6}" for user, items in test.items() for item in sorted(items)]
    Path("new.csv").write_text("\n".join(before) + "\n")
    asked = ["recommend", "--checkpoint", str(run), "--json"]
    known = json.loads(recrun(*asked, "--as-of", "end").out)["recommendations"]
    new = json.loads(recrun(*asked, "--histories", "new.csv").out)["recommendations"]
    lists = {entry["user"]: entry["items"] for entry in new}
    same = [lists[f"new-{entry['user']}"] == entry["items"] for entry in known]
    assert all(same) if kind == "linear" else sum(same) > len(same) / 2  # the order of several test items may differ


def test_at_the_end_held_out_users_are_scored_by_all_that_they_have(
    recrun: Callable[..., Outcome], tmp_path: Path
) -> None:
    run = _train(tmp_path / "runs", "puresvd", *SPACE, "embedding_dim=8", "split=new_users", "threads=1")
    from recrun.workflows.load import load

    base = load(run).coach.dataset.base
    lines = ["user,item"]
    for part in ("train", "given", "valid", "test"):
        rows = base.interactions(part)
        lines += [f"new-{u},{i}" for u, i in zip(base.user_ids[rows.users], base.item_ids[rows.items], strict=True)]
    Path("new.csv").write_text("\n".join(lines) + "\n")
    asked = ["recommend", "--checkpoint", str(run), "--json"]
    known = json.loads(recrun(*asked, "--as-of", "end").out)["recommendations"]
    new = {
        entry["user"]: entry for entry in json.loads(recrun(*asked, "--histories", "new.csv").out)["recommendations"]
    }
    held_out = [entry for entry in known if base.given().lengths[entry["user"]]]
    assert len(held_out) > 5
    for entry in held_out:
        assert new[f"new-{entry['user']}"]["scores"] == pytest.approx(entry["scores"], abs=1e-5)


def test_a_file_that_is_called_like_a_user_is_asked_about(recrun: Callable[..., Outcome], factors: Path) -> None:
    Path("3").write_text("7\n")
    asked = ["recommend", "--checkpoint", str(factors), "--json", "--users"]
    refused = recrun(*asked, "3")
    assert refused.code == 2
    assert "is it the file of that name, or a user?" in refused.err
    for users, meant in (("./3", 7), ("3,", 3)):
        (entry,) = json.loads(recrun(*asked, users).out)["recommendations"]
        assert entry["user"] == meant


def test_by_a_single_number_nothing_is_similar(recrun: Callable[..., Outcome], tmp_path: Path) -> None:
    run = _train(tmp_path / "runs", "popularity", *SPACE, "threads=1")
    outcome = recrun("similar", "--checkpoint", str(run), "--item", "3")
    assert outcome.code == 2
    assert "Popularity knows a single number of each item and user, by which none are similar" in outcome.err


def test_new_users_of_a_factor_model_do_not_get_what_they_have(recrun: Callable[..., Outcome], factors: Path) -> None:
    Path("new.csv").write_text("user,item\nx,3\nx,5\ny,7\nz,900\n")
    asked = ["recommend", "--checkpoint", str(factors), "--histories", "new.csv", "-k", "40", "--json"]
    refused = recrun(*asked)
    assert (refused.code, refused.out) == (2, "")
    assert "new.csv: the data has no item 900" in refused.err
    outcome = recrun(*asked, "--skip-unknown")
    x, y = json.loads(outcome.out)["recommendations"]
    assert (x["user"], set(range(40)) - set(x["items"])) == ("x", {3, 5})
    assert (y["user"], set(range(40)) - set(y["items"])) == ("y", {7})
    assert "1 users are left out: none of their items is known" in outcome.err
    Path("bought.csv").write_text("user,item\ny,0\nx,1\nnobody,2\n")
    x, y = json.loads(recrun(*asked, "--skip-unknown", "--exclude", "bought.csv").out)["recommendations"]
    assert (set(range(40)) - set(x["items"]), set(range(40)) - set(y["items"])) == ({1}, {0})


def test_a_model_that_cannot_score_new_users_says_which_can(recrun: Callable[..., Outcome], tmp_path: Path) -> None:
    run = _train(tmp_path / "runs", "random", *SPACE, "threads=1")
    Path("new.csv").write_text("user,item\nx,3\n")
    outcome = recrun("recommend", "--checkpoint", str(run), "--histories", "new.csv")
    assert outcome.code == 2
    assert outcome.err.startswith("error: --histories: model random cannot score new users")
    assert "bprmf" in outcome.err


def test_items_similar_by_score_are_those_for_someone_who_has_only_this_one(
    recrun: Callable[..., Outcome], linear: Path
) -> None:
    document = json.loads(recrun("similar", "--checkpoint", str(linear), "--item", "7", "-k", "5", "--json").out)
    assert document["by"] == "score"
    Path("new.csv").write_text("user,item\nx,7\n")
    asked = ["--histories", "new.csv", "-k", "5", "--json"]
    (entry,) = json.loads(recrun("recommend", "--checkpoint", str(linear), *asked).out)["recommendations"]
    assert document["similar"][0]["similar"] == entry["items"]


def test_several_users_are_a_row_each(recrun: Callable[..., Outcome], factors: Path) -> None:
    outcome = recrun("recommend", "--checkpoint", str(factors), "--users", "1,2", "-k", "3")
    lines = outcome.out.splitlines()
    assert lines[0].split() == ["user", "items"]
    assert [line.split()[0] for line in lines[2:4]] == ["1", "2"]
    assert lines[4] == "as of test"


def test_an_interrupted_file_is_not_there(tmp_path: Path, factors: Path) -> None:
    code = (
        "import os, signal, recrun.recommendation.frames as f\n"
        "from recrun.cli.main import main\n"
        "made = f.Framer.__call__\n"
        "def call(self, lists):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return made(self, lists)\n"
        "f.Framer.__call__ = call\n"
        f"main(['recommend', '--checkpoint', {str(factors)!r}, '--to', 'found.csv'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 130, done.stderr
    assert os.listdir(tmp_path) == []


def test_similar_items_are_those_of_the_largest_cosine(recrun: Callable[..., Outcome], factors: Path) -> None:
    from recrun.workflows.load import load

    model = load(factors).coach.model.eval()
    for kind, vectors in zip(("user", "item"), model.vectors(), strict=True):
        unit = vectors.detach().double().numpy()
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        document = json.loads(
            recrun("similar", "--checkpoint", str(factors), f"--{kind}", "7", f"--{kind}", "3", "-k", "4", "--json").out
        )
        assert document["by"] == "cosine"
        for place, entry in zip((7, 3), document["similar"], strict=True):
            cosines = unit @ unit[place]
            cosines[place] = -np.inf
            best = np.argsort(-cosines)[:4]
            assert entry[kind] == place
            assert entry["similar"] == best.tolist()
            assert entry["scores"] == pytest.approx(cosines[best].tolist(), abs=1e-12)


def test_similar_items_are_shown_as_a_table(recrun: Callable[..., Outcome], factors: Path) -> None:
    outcome = recrun("similar", "--checkpoint", str(factors), "--item", "7", "-k", "2")
    lines = outcome.out.splitlines()
    assert lines[0] == "item 7"
    assert lines[1].split() == ["rank", "similar", "item", "score"]
    assert lines[-1] == "by the cosine of vectors"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "one of them is needed"),
        (("--item", "1", "--user", "1"), "both cannot be asked for at once"),
        (("--item", "400"), "the data has no item 400"),
        (("--item", "1", "lr=2"), "lr: cannot be changed here"),
        (("--item", "1", "bprmf"), "expected KEY=VALUE, found 'bprmf'"),
    ],
)
def test_what_cannot_be_compared_is_one_error(
    recrun: Callable[..., Outcome], factors: Path, arguments: tuple[str, ...], message: str
) -> None:
    outcome = recrun("similar", "--checkpoint", str(factors), *arguments)
    assert outcome.code == 2
    assert message in outcome.err


def test_users_without_vectors_are_not_compared(recrun: Callable[..., Outcome], linear: Path) -> None:
    outcome = recrun("similar", "--checkpoint", str(linear), "--user", "1")
    assert outcome.code == 2
    assert outcome.err == "error: EASE has no vectors of users, so it cannot say which users are similar\n"


def test_a_model_of_labels_recommends_nothing(recrun: Callable[..., Outcome], tmp_path: Path) -> None:
    assert recrun("train", "lr", "n_rows=4000", "epochs=1", "threads=1", "device=cpu", "-q").code == 0
    outcome = recrun("recommend", "--checkpoint", str(tmp_path / "runs" / "latest"), "--users", "1")
    assert outcome.code == 2
    assert "predicts labels; it has no items to recommend" in outcome.err


def test_a_run_that_ranks_candidates_is_said_to_rank_all_items_here(
    recrun: Callable[..., Outcome], tmp_path: Path
) -> None:
    run = _train(tmp_path / "runs", "popularity", *SPACE, "candidates=5", "threads=1")
    outcome = recrun("recommend", "--checkpoint", str(run), "--users", "1")
    assert outcome.code == 0
    assert "note: the evaluations of this run rank a few candidates for each user" in outcome.err


def test_the_data_of_the_run_is_not_written_over(recrun: Callable[..., Outcome], named: Path) -> None:
    data = named.parents[3] / "rows.csv"
    outcome = recrun("recommend", "--checkpoint", str(named), "--to", str(data))
    assert outcome.code == 2
    assert f"--to {data}: it is a file of the data, which would be lost" in outcome.err
    assert data.read_text(encoding="utf-8") == ROWS


@pytest.mark.parametrize("name", ["metrics.jsonl", "per_user/test.parquet"])
def test_files_of_the_run_are_not_written_over(recrun: Callable[..., Outcome], factors: Path, name: str) -> None:
    before = (factors / name).read_bytes()
    outcome = recrun("recommend", "--checkpoint", str(factors), "--to", str(factors / name))
    assert outcome.code == 2
    assert "it is a file of the run, which would be lost" in outcome.err
    assert (factors / name).read_bytes() == before


@pytest.mark.parametrize("option", ["--users", "--items", "--exclude", "--histories"])
def test_a_file_that_is_read_is_not_written_over(
    recrun: Callable[..., Outcome], factors: Path, tmp_path: Path, option: str
) -> None:
    file = tmp_path / "ids.csv"
    file.write_text("user,item\n1,1\n", encoding="utf-8")
    outcome = recrun(
        "recommend", "--checkpoint", str(factors), option, str(file), "--to", str(tmp_path / "." / "ids.csv")
    )
    assert outcome.code == 2
    assert f"it is the file of {option}, which would be lost" in outcome.err
    assert file.read_text(encoding="utf-8") == "user,item\n1,1\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sold_out", "1\n2\n"),
        ("sold_out.txt.gz", "1\n2\n"),
        ("sold_out.csv.gz", "item\n1\n2\n"),
        ("sold_out.csv", '"item","title"\n1,"A, B"\n2,"C"\n'),
        ("sold_out.jsonl", '{"item": 1}\n{"item": 2}\n'),
        ("sold_out.ndjson.gz", "1\n2\n"),
    ],
)
def test_items_are_left_out_for_everyone_by_any_file_that_lists_ids(
    recrun: Callable[..., Outcome], factors: Path, tmp_path: Path, name: str, content: str
) -> None:
    written = content.encode()
    (tmp_path / name).write_bytes(gzip.compress(written) if name.endswith(".gz") else written)
    asked = ["recommend", "--checkpoint", str(factors), "--users", "1,2", "-k", "100", "--json"]
    everything = json.loads(recrun(*asked, "--exclude", "none").out)["recommendations"]
    outcome = recrun(*asked, "--exclude", name)
    assert outcome.code == 0, outcome.err
    for one, other in zip(json.loads(outcome.out)["recommendations"], everything, strict=True):
        assert one["items"] == [item for item in other["items"] if item not in (1, 2)]
        assert len(one["items"]) == len(other["items"]) - 2


def test_nothing_is_said_of_the_file_if_quiet(recrun: Callable[..., Outcome], factors: Path) -> None:
    outcome = recrun("recommend", "--checkpoint", str(factors), "--to", "found.csv", "-q")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert Path("found.csv").exists()


@pytest.mark.parametrize("form", [("--to", "found.csv"), ("--json",), ()])
def test_users_for_whom_nothing_is_left_are_counted(
    recrun: Callable[..., Outcome], factors: Path, tmp_path: Path, form: tuple[str, ...]
) -> None:
    rows = recrun("recommend", "--checkpoint", str(factors), "--users", "1", "-k", "1", "--json", "--exclude", "none")
    (item,) = json.loads(rows.out)["recommendations"][0]["items"]
    (tmp_path / "one.txt").write_text(f"{item}\n", encoding="utf-8")
    (tmp_path / "had.csv").write_text(f"user,item\n1,{item}\n", encoding="utf-8")
    asked = ["--users", "1,2", "--items", "one.txt", "--exclude", "had.csv"]
    outcome = recrun("recommend", "--checkpoint", str(factors), *asked, *form)
    assert outcome.code == 0
    assert "note: no item is left for 1 of the users; they have no list" in outcome.err


@pytest.mark.parametrize("option", ["--to", "--items", "--exclude"])
def test_a_name_that_no_file_can_have_is_one_error(
    recrun: Callable[..., Outcome], factors: Path, tmp_path: Path, option: str
) -> None:
    (tmp_path / "found.csv").touch()
    arguments = [] if option == "--to" else ["--to", "found.csv"]
    outcome = recrun("recommend", "--checkpoint", str(factors), option, f"{'a' * 300}.csv", *arguments)
    assert outcome.code == 2
    assert "File name too long" in outcome.err
    assert "OSError" not in outcome.err


@pytest.mark.slow
def test_lists_of_all_users_of_gowalla_are_those_that_were_evaluated(
    recrun: Callable[..., Outcome], shared_data: Path, tmp_path: Path
) -> None:
    settings = [f"root={shared_data}", "epochs=1", "--no-plots", "-q"]
    assert recrun("train", "gowalla/bprmf", *settings).code == 0
    run = (tmp_path / "runs" / "latest").resolve()
    assert recrun("recommend", "--checkpoint", str(run), "--to", "found.parquet").code == 0
    frame = pl.read_parquet("found.parquet")
    test = pl.read_parquet(run / "per_user" / "test.parquet")
    relevant = _relevant(run, "test")
    lists = {user: items for (user,), items in frame.group_by("user", maintain_order=True)}
    recalls = [
        len(relevant[user] & set(lists[user]["item"].head(20).to_list())) / len(relevant[user])
        for user in test["user"].to_list()
    ]
    assert len(lists) == 29_858
    assert recalls == test["recall@20"].to_list()
