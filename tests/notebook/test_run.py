"""`recrun.load` and the run that it returns: numbers, tables, the model, and lists of items."""

from __future__ import annotations

import json
import math
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import recrun
from recrun.errors import CheckpointError, ConfigError, DataError
from recrun.metrics.undefined import Undefined


def _message(call: Any, *arguments: Any, **keywords: Any) -> str:
    with pytest.raises((ConfigError, CheckpointError, DataError)) as error:
        call(*arguments, **keywords)
    return str(error.value)


def test_metrics_config_and_history_are_those_of_the_runs_files(run: recrun.Run) -> None:
    document = json.loads((run.path / "metrics.json").read_text())
    assert run.metrics == {"valid": document["valid"], "test": document["test"]}
    assert (run.config.epochs, run.config["model"], run.status) == (2, "bprmf", "done")
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    history = run.history
    assert history.columns[:2] == ["epoch", "split"]
    assert history.columns[-2:] == ["seconds", "best"]
    assert history["epoch"].to_list() == [line["epoch"] for line in lines]
    assert history["split"].to_list() == ["valid", "train", "valid", "train", "valid", "test"]
    for name in ("loss", "ndcg@20"):
        assert history[name].to_list() == [line["values"].get(name) for line in lines]
    per_user = run.per_user("valid")
    assert per_user["ndcg@20"].mean() == pytest.approx(run.metrics["valid"]["ndcg@20"])


def test_an_undefined_metric_is_nan_and_says_why(run: recrun.Run) -> None:
    file = run.path / "metrics.json"
    document = json.loads(file.read_text())
    document["test"]["ndcg@20"], document["undefined"] = None, {"test": {"ndcg@20": "no reason at all"}}
    file.write_text(json.dumps(document))
    value = run.metrics["test"]["ndcg@20"]
    assert isinstance(value, Undefined)
    assert math.isnan(value)
    assert value.reason == "no reason at all"
    assert "<td>-</td>" in str(run._repr_html_())


def test_a_part_that_was_not_evaluated_has_no_metrics(small: dict[str, Any], tmp_path: Path) -> None:
    run = recrun.train("popularity", runs=tmp_path, eval_test=False, progress=False, **small)
    assert run.metrics["test"] == {}
    assert run.metrics["valid"]


def test_a_run_shows_itself_on_a_line_and_as_a_table(run: recrun.Run) -> None:
    value = run.metrics["test"]["ndcg@20"]
    path = str(Path("runs", "bprmf", "Synthetic", "a"))
    assert repr(run) == f"Run({path!r}, done, test ndcg@20 {value:.4f})"
    html = str(run._repr_html_())
    assert html.startswith("<div><p><b>run</b>")
    assert f"<td>{value:.4f}</td>" in html
    shutil.rmtree(run.path)
    assert repr(run) == f"Run({path!r}, damaged)"


def test_what_a_run_holds_is_escaped(run: recrun.Run) -> None:
    file = run.path / "run.json"
    record = json.loads(file.read_text())
    record["settings"]["model"] = "<script>alert(1)</script>"
    record["status"], record["cause"] = "failed", "<img src=x onerror=alert(1)>"
    (run.path / "config.yaml").write_text('model: "<script>alert(1)</script>"\ndataset: Synthetic\n')
    file.write_text(json.dumps(record))
    html = str(run._repr_html_())
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;img" in html


def test_the_model_is_the_best_one_in_evaluation_mode(run: recrun.Run) -> None:
    assert isinstance(run.model, torch.nn.Module)
    assert not run.model.training
    assert run.model is run.model
    assert run.dataset.n_users == 60


def test_lists_are_those_of_the_command(run: recrun.Run, tmp_path: Path) -> None:
    from recrun.cli.main import main

    with pytest.raises(SystemExit):
        main(["recommend", "--checkpoint", str(run.path), "-k", "5", "--to", "lists.parquet", "-q"])
    expected = pl.read_parquet("lists.parquet")
    found = run.recommend(k=5)
    assert found.columns == ["user", "item", "rank", "score"]
    assert found.equals(expected)
    assert run.recommend([3, 1], k=5)["user"].unique(maintain_order=True).to_list() == [3, 1]
    for users in (3, "3", np.array([3]), pl.Series([3]), (3,), np.int64(3)):
        assert run.recommend(users, k=5).equals(expected.filter(pl.col("user") == 3))
    (tmp_path / "users.txt").write_text("3\n")
    assert run.recommend(Path("users.txt"), k=5).equals(expected.filter(pl.col("user") == 3))


def test_seen_items_are_left_out_unless_they_are_asked_for(run: recrun.Run) -> None:
    everything = run.recommend(exclude=None, k=40)
    assert len(everything) == 60 * 40
    seen = run.dataset.csr("train").lengths.sum() + run.dataset.csr("valid").lengths.sum()
    assert len(run.recommend(k=40)) == 60 * 40 - seen
    assert len(run.recommend(k=40, as_of="valid")) == 60 * 40 - run.dataset.csr("train").lengths.sum()
    assert set(run.recommend(k=40, exclude=None, items=[3, 5])["item"]) == {3, 5}


def test_faults_of_a_wish_name_its_arguments(run: recrun.Run) -> None:
    assert _message(run.recommend, [1, 999]) == (
        "the data has no user 999 (nearest: 9); correct it, or skip what is not known: skip_unknown=True"
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert set(run.recommend([1, 999], skip_unknown=True)["user"]) == {1}
    assert [(str(each.message), Path(each.filename).name) for each in caught] == [
        ("the data has no user 999 (nearest: 9); skipped", "test_run.py")
    ]
    assert _message(run.recommend, k=0) == "k: expected an integer >= 1, found 0"
    assert _message(run.recommend, k=True) == "k: expected an integer >= 1, found True"
    assert _message(run.recommend, as_of="now") == "as_of: unknown moment 'now'. Available: end, test, valid"
    assert _message(run.recommend, exclude=["none", "seen"]) == "exclude=None contradicts the others; leave it out"
    assert _message(run.per_user, "tset") == "split: unknown split 'tset'; did you mean 'test'? Available: test, valid"


@pytest.mark.parametrize("users", [b"1", [[1]], [[1, 2], [3]], [b"1"], np.array([[1], [2]])])
def test_ids_that_are_bytes_or_several_in_one_place_are_refused(run: recrun.Run, users: Any) -> None:
    with pytest.raises(ConfigError, match="an id is a text or a number"):
        run.recommend(users)


@pytest.mark.parametrize("items", ["12", b"12", 3, None, [[3]]])
def test_a_history_that_is_no_list_of_ids_is_refused(run: recrun.Run, items: Any) -> None:
    with pytest.raises(ConfigError, match=r"expected a list of items|an id is a text or a number"):
        run.recommend_to_new({"ada": items})


def test_similar_items_and_users_are_those_of_the_recommender(run: recrun.Run) -> None:
    vectors = torch.nn.functional.normalize(run.model.vectors()[1].detach().double(), dim=1)
    products = vectors[3] @ vectors.T
    products[3] = -2
    found = run.similar_items(3, k=4)
    assert found.columns == ["item", "similar", "rank", "score"]
    assert found["item"].to_list() == [3] * 4
    assert found["similar"].to_list() == products.topk(4).indices.tolist()
    assert found["score"].to_list() == pytest.approx(products.topk(4).values.tolist())
    assert run.similar_users([1, 2], k=2)["user"].to_list() == [1, 1, 2, 2]


def test_an_evaluation_is_that_of_the_command_and_is_recorded(run: recrun.Run) -> None:
    document = run.evaluate("valid", monitors=["recall@5"], device="cpu")
    assert list(document["metrics"]) == ["recall@5"]
    assert document["split"] == "valid"
    assert run.evaluate()["metrics"] == run.metrics["test"]
    record = json.loads((run.path / "run.json").read_text())
    assert [entry["by"] for entry in record["test_evaluations"]] == ["train", "eval"]
    assert _message(run.evaluate, lr=1) == "lr: cannot be changed for an evaluation; only settings of evaluation can"


def test_a_run_is_given_more_epochs(run: recrun.Run) -> None:
    before = run.model
    assert run.resume(epochs=3, progress=False) is run
    assert run.config.epochs == 3
    assert run.history["epoch"].max() == 3
    assert run.model is not before
    assert _message(run.resume, lr=1.0).startswith("lr: cannot be changed when a run is resumed: was 0.001, now 1.0;")


def test_new_users_are_told_of_by_a_mapping_a_frame_or_a_file(small: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text(
        "import torch\nfrom recrun.models.popularity import Popularity\n\n\nclass Told(Popularity):\n"
        "    def vectors(self):\n        return None\n\n    def score(self, users):\n"
        "        return torch.zeros(len(users), 40)\n\n    def score_histories(self, histories):\n"
        "        last = histories.indices[histories.indptr[1:] - 1]\n"
        "        return (torch.arange(40)[None, :] + torch.from_numpy(last)[:, None]) % 40 + 0.0\n"
    )
    run = recrun.train(small, model=f"{tmp_path}/told.py:Told", runs=tmp_path, progress=False)
    told = {"ann": [3, 5, 7], "bob": [1]}
    found = run.recommend_to_new(told, k=3)
    assert found["user"].to_list() == ["ann"] * 3 + ["bob"] * 3
    assert found["item"].to_list() == [32, 31, 30, 38, 37, 36]
    assert run.recommend_to_new({"ann": [5, 32, 7]}, k=2)["item"].to_list() == [31, 30]
    frame = pl.DataFrame({"user": ["ann", "bob", "ann", "ann"], "item": [7, 1, 3, 5], "timestamp": [3, 0, 1, 2]})
    assert run.recommend_to_new(frame, k=3).equals(found)
    frame.write_csv(tmp_path / "new.csv")
    assert run.recommend_to_new(tmp_path / "new.csv", k=3).equals(found)
    assert "has no item 99 " in _message(run.recommend_to_new, {"ann": [99]})
    assert _message(run.recommend_to_new, {"ann": []}).startswith("the history of ann is empty")
    assert _message(run.recommend_to_new, pl.DataFrame({"u": [1]})) == (
        "histories: expected {user: [item, ...]}, or a frame with the columns user and item, found columns u"
    )


def test_every_path_that_leads_to_a_run_loads_it(run: recrun.Run, tmp_path: Path) -> None:
    for path in ("runs/latest", run.path, str(run.path)):
        assert recrun.load(path).metrics == run.metrics
    last = recrun.load(run.path / "checkpoints" / "last")
    assert last.metrics == run.metrics
    assert last.recommend(1, k=1)["rank"].to_list() == [1]
    shutil.copy(run.path / "checkpoints" / "best" / "checkpoint.safetensors", tmp_path / "stray.safetensors")
    stray = recrun.load("stray.safetensors", device="cpu", threads=1)
    assert stray.recommend(k=3).equals(run.recommend(k=3))
    assert stray.config.lr == run.config.lr
    assert repr(stray) == "Run('stray.safetensors', a checkpoint outside of a run)"
    told = "stray.safetensors is a checkpoint outside of a run: only its model is known"
    for name in ("metrics", "history"):
        assert _message(getattr, stray, name) == told
    assert _message(recrun.load, "runs/none") == (
        "there is nothing at runs/none; expected a run folder or a checkpoint"
    )
    assert _message(recrun.load, run.path, roof="x") == (
        "roof: cannot be changed here; only root, device, threads, eval_memory can; did you mean 'root'?"
    )


def test_a_model_that_predicts_labels_has_no_lists(tmp_path: Path) -> None:
    run = recrun.train("fm", dataset="SyntheticClicks", epochs=1, plots=False, runs=tmp_path, progress=False)
    assert "predicts labels" in _message(run.recommend)


def test_a_run_stands_for_its_path(run: recrun.Run, small: dict[str, Any]) -> None:
    started = recrun.train("bprmf", epochs=0, init_from=run, progress=False, **small)
    assert started.metrics["test"] == run.metrics["test"]
    assert recrun.load(run).metrics == run.metrics
    assert recrun.compare([started, run], descriptive=True).groups["group"].n_unique() == 2


def test_code_of_a_stranger_is_not_run(small: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.py").write_text(
        "from recrun.models.popularity import Popularity\n\n\nclass Own(Popularity):\n    pass\n"
    )
    run = recrun.train(model=f"{tmp_path}/own.py:Own", config={**small}, runs=tmp_path, progress=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    other = recrun.load(run.path)
    assert "if you trust it, add trust=True" in _message(lambda: other.model)
    assert recrun.load(run.path, trust=True).recommend(k=1).shape == (60, 4)
