"""Kinds of metrics: those of a user's own file are computed like the built-in ones, and what is wrong is named."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recrun.config.monitor_names import MetricName, kind_of, parse_monitor
from recrun.config.resolve import describe_anything, resolve
from recrun.data.interactions import CSR
from recrun.errors import CheckpointError, ConfigError, RegistryError
from recrun.evaluation.predictions import measure
from recrun.evaluation.ranking import evaluate_ranking
from recrun.metrics import dense_metrics
from recrun.registry import METRIC_KINDS, METRICS
from recrun.runs.checkpoint import load_checkpoint, save_checkpoint
from recrun.runs.folder import RunFolder
from recrun.workflows.build import prepare
from recrun.workflows.check_model import check
from recrun.workflows.evaluate import evaluate

OUTSIDE = '''
"""Metrics over lists of items, over groups of users, over scores and over labels."""

import math

import numpy as np

from recrun.metrics.kinds import MeanOverUsers, MetricKind
from recrun.registry import METRIC_KINDS, METRICS


@METRIC_KINDS.register("own_lists", cutoff=True)
class Lists(MeanOverUsers):
    """Means over users of `(items (B, k), data) -> (B,)`."""

    def of_users(self, metric, rankings):
        return metric.compute(rankings.items_BK[:, : metric.k], self.data)


@METRICS.register("parity", kind="own_lists")
def parity(items_BK, data):
    """Return the share of pairs of a list whose items differ in parity."""
    odd_B = (items_BK % 2).sum(axis=1)
    k = items_BK.shape[1]
    return odd_B * (k - odd_B) / (k * (k - 1) / 2)


@METRICS.register("longtail", kind="own_lists")
def longtail(items_BK, data):
    """Return the mean popularity of a list."""
    return data.popularity_I[items_BK].mean(axis=1)


@METRIC_KINDS.register("own_groups", cutoff=True)
class Groups(MetricKind):
    """Functions `(hits (U, K), n_relevant (U,), is_active (U,), k) -> float` of all ranked users."""

    def __init__(self, metrics, data):
        super().__init__(metrics, data)
        self.batches = []

    def add_rankings(self, rankings):
        n_seen = self.data.seen.lengths
        is_active = n_seen[rankings.users_B] >= np.median(n_seen)
        self.batches.append((rankings.hits_BK, rankings.n_relevant_B, is_active))

    def values(self):
        if not self.batches:
            return [math.nan] * len(self.metrics)
        arrays = [np.concatenate(part) for part in zip(*self.batches)]
        return [metric.compute(*arrays, metric.k) for metric in self.metrics]


@METRICS.register("recallgap", kind="own_groups", smaller_is_better=True)
def recallgap(hits, n_relevant, is_active, k):
    """Return by how much the mean recall of active users exceeds that of the others."""
    recall = hits[:, :k].sum(axis=1) / n_relevant
    return recall[is_active].mean() - recall[~is_active].mean()


@METRIC_KINDS.register("margins")
class Margins(MeanOverUsers):
    """Means over users of `(scores (B, K),) -> (B,)`; without a cutoff."""

    needs = frozenset({"scores"})

    def of_users(self, metric, rankings):
        return metric.compute(rankings.scores_BK)


@METRICS.register("topscore", kind="margins")
def topscore(scores_BK):
    """Return the score of the first item."""
    return scores_BK[:, 0]


@METRIC_KINDS.register("calibration", evaluations=("predictions",))
class Calibration(MetricKind):
    """Functions `(preds (N,), targets (N,)) -> float` of all rows."""

    def add_predictions(self, predictions):
        self.rows = predictions

    def values(self):
        return [metric.compute(self.rows.preds_N, self.rows.targets_N) for metric in self.metrics]


@METRICS.register("bias", kind="calibration")
def bias(preds_N, targets_N):
    """Return the mean prediction less the mean label."""
    return preds_N.mean() - targets_N.mean()


def first_hit(hits_BK, n_relevant_B, k):
    """Return 1 for a user whose first item is a hit; a metric of the kind ranking, without a decorator."""
    return hits_BK[:, 0].astype(float)
'''

SMALL = ["n_users=60", "n_items=40", "n_interactions=900", "dataset=Synthetic", "device=cpu", "threads=1", "verbose=0"]
CLICKS = ["n_rows=2000", "n_users=50", "n_items=30", "device=cpu", "threads=1", "epochs=2", "verbose=0"]


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    """Leave the registries as they were."""
    kept = [(names, dict(names)) for r in (METRICS, METRIC_KINDS) for names in (r._objects, r._registered)]
    yield
    for names, before in kept:
        names.clear()
        names.update(before)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file outside the package that has new kinds, and metrics of them."""
    path = tmp_path_factory.mktemp("Own@Kinds") / "kinds.py"  # capital letters and "@" are left as they are
    path.write_text(OUTSIDE, encoding="utf-8")
    path.with_name("other.py").write_text("def first_hit(hits_BK, n_relevant_B, k): 'Return 1.'", encoding="utf-8")
    return path


class Fixed:
    """A model whose scores are given."""

    def __init__(self, scores: Sequence[Sequence[float]]) -> None:
        self.scores = torch.tensor(scores)

    def score(self, users: torch.Tensor) -> torch.Tensor:
        return self.scores[users]


def rows(lists: Sequence[Sequence[int]]) -> CSR:
    pairs = np.array([(user, item) for user, items in enumerate(lists) for item in items], dtype=np.int64)
    return CSR.from_pairs(pairs[:, 0], pairs[:, 1], len(lists))


def test_metrics_of_new_kinds_have_the_values_worked_by_hand(own: Path) -> None:
    model = Fixed([[5, 4, 3, 2, 1], [1, 2, 3, 4, 5], [2, 5, 1, 4, 3]])
    seen = rows([[4], [0, 1], [3, 4]])
    relevant = rows([[0, 3], [4], [2]])
    # Ranked: user 0: 0 1 2 3; user 1: 4 3 2; user 2: 1 0 2.
    names = [f"{own}:{name}" for name in ("parity@3", "longtail@2", "recallgap@2", "topscore", "first_hit@1")]
    metrics = [*map(parse_monitor, names), MetricName("recall", 2)]
    found = evaluate_ranking(model, seen=seen, relevant=relevant, n_items=5, metrics=metrics, device="cpu").values
    assert list(found) == [*names, "recall@2"]
    # Each list of three has one odd item, hence 2 of 3 pairs.
    assert found[names[0]] == pytest.approx(2 / 3)
    # Popularity: items 0, 1, 3 by one or more: [1, 1, 0, 1, 2].
    assert found[names[1]] == pytest.approx(((1 + 1) / 2 + (2 + 1) / 2 + (1 + 1) / 2) / 3)
    # Recall@2: 1/2 for user 0, who is not active; 1 and 0 for the active ones.
    assert found[names[2]] == pytest.approx((1 + 0) / 2 - 1 / 2)
    assert found[names[3]] == pytest.approx((5 + 5 + 5) / 3)
    assert found[names[4]] == pytest.approx((1 + 1 + 0) / 3)
    assert found["recall@2"] == pytest.approx((1 / 2 + 1 + 0) / 3)


def test_nobody_to_rank_is_a_value_that_is_undefined(own: Path) -> None:
    nobody = CSR.empty(2)
    metrics = [parse_monitor(f"{own}:{name}@2") for name in ("parity", "recallgap")]
    arguments: dict[str, Any] = {"seen": nobody, "relevant": nobody, "n_items": 3, "device": "cpu"}
    found = evaluate_ranking(Fixed([[1, 2, 3]] * 2), metrics=metrics, **arguments)
    assert all(math.isnan(value) for value in found.values.values())


def test_a_new_kind_of_predictions_has_the_value_worked_by_hand(own: Path) -> None:
    preds, labels, users = np.array([0.5, 0.75, 1.0]), np.array([0.0, 1.0, 0.0]), np.array([0, 0, 1])
    metric = parse_monitor(f"{own}:bias")
    assert measure(preds, labels, users, [metric])[str(metric)] == pytest.approx(2.25 / 3 - 1 / 3)
    with pytest.raises(ConfigError, match=r"kinds\.py:bias is not a metric of rankings"):
        evaluate_ranking(
            Fixed([[1]]), seen=rows([[0]]), relevant=rows([[0]]), n_items=1, metrics=[metric], device="cpu"
        )
    with pytest.raises(ConfigError, match=r"kinds\.py:parity@3 is a metric of rankings"):
        measure(preds, labels, users, [parse_monitor(f"{own}:parity@3")])


def test_a_mean_over_users_of_a_new_kind_is_computed_from_dense_predictions(own: Path) -> None:
    preds, targets = torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]]), torch.tensor([[0, 1, 0], [0, 0, 0]])
    metrics = [parse_monitor(f"{own}:{name}") for name in ("parity@2", "topscore")]
    found = dense_metrics(preds, targets, [*metrics, MetricName("recall", 2)])
    assert [values.tolist()[0] for values in found.values()] == [1.0, 3.0, 1.0]
    assert all(math.isnan(values.tolist()[1]) for values in found.values())
    with pytest.raises(ConfigError, match="is not a mean over rows"):
        dense_metrics(preds, targets, [parse_monitor(f"{own}:recallgap@2")])


def test_a_run_is_trained_chosen_and_evaluated_by_them(own: Path, tmp_path: Path) -> None:
    config = own.with_name("mine.yaml")  # the file is found beside the config
    text = "extends: bprmf\nmonitors: [ndcg@5, ./kinds.py:parity@3, './kinds.py:recallgap@5']\n"
    config.write_text(text + "which4best: ./kinds.py:recallgap@5\n", encoding="utf-8")
    resolved = resolve(config, [*SMALL, "epochs=2"])
    gap, parity = f"{own}:recallgap@5", f"{own}:parity@3"
    assert resolved.config["monitors"] == ["ndcg@5", parity, gap]
    assert resolved.config["which4best"] == gap
    coach = prepare(resolved, runs=tmp_path / "runs")
    result = coach.fit()
    base, model = coach.dataset.base, coach.model
    scores = model.score(torch.arange(base.n_users)).detach().numpy().copy()
    found = {"parity": 0.0, "users": 0}
    seen, relevant = base.seen("test"), base.csr("test")
    for user in range(base.n_users):
        if len(relevant.row(user)):
            scores[user, seen.row(user)] = -np.inf
            odd = int((np.argsort(-scores[user], kind="stable")[:3] % 2).sum())
            found["parity"] += odd * (3 - odd) / 3
            found["users"] += 1
    assert result["test"][parity] == pytest.approx(found["parity"] / found["users"])
    courses = [json.loads(line) for line in RunFolder(result["run"]).metrics_lines_file.read_text().splitlines()]
    gaps = {line["epoch"]: line["values"][gap] for line in courses if line["split"] == "valid"}
    assert result["best_epoch"] == min(gaps, key=lambda epoch: gaps[epoch])  # smaller is better
    assert (Path(result["run"]) / "summary" / "validparity@3.png").exists()
    record = RunFolder(result["run"]).read_run()
    assert list(record["code"]) == [str(own)]
    again = evaluate(result["run"])
    assert again["metrics"] == result["test"]
    more = evaluate(result["run"], [f"monitors=[{own}:topscore,ndcg@5]"])
    assert more["metrics"]["ndcg@5"] == result["test"]["ndcg@5"]


def test_a_run_that_predicts_labels_is_evaluated_by_them(own: Path, tmp_path: Path) -> None:
    result = prepare(resolve("fm", [*CLICKS, f"monitors=[auc,{own}:bias]", "which4best=auc"]), runs=tmp_path).fit()
    assert abs(result["test"][f"{own}:bias"]) < 1
    assert evaluate(result["run"])["metrics"] == result["test"]
    with pytest.raises(ConfigError, match=r"parity@3 measures a ranking, but model fm predicts labels"):
        resolve("fm", [*CLICKS, f"monitors=[auc,{own}:parity@3]"])
    with pytest.raises(ConfigError, match=r"kinds\.py:bias compares predicted with true values"):
        resolve("bprmf", [f"monitors=[ndcg@5,{own}:bias]"])


def test_the_examples_in_the_docs_are_trained_and_evaluated(tmp_path: Path, repository: Path) -> None:
    text = (repository / "docs" / "extending.md").read_text(encoding="utf-8")
    for name in ("mymetrics", "diversity", "groups"):
        (example,) = re.findall(rf"```python\n# {name}\.py\n(.*?)```", text, re.DOTALL)
        (tmp_path / f"{name}.py").write_text(example, encoding="utf-8")
    monitors = [f"{tmp_path}/{each}@5" for each in ("mymetrics.py:first_hit", "diversity.py:surprise")]
    monitors += [f"{tmp_path}/groups.py:recall_gap@5", "hitrate@1"]
    overrides = [*SMALL, "epochs=1", f"monitors=[{','.join(monitors)}]", "which4best=null"]
    result = prepare(resolve("bprmf", overrides), runs=tmp_path / "runs").fit()
    assert list(result["test"]) == monitors
    assert result["test"][monitors[0]] == result["test"]["hitrate@1"]
    assert 0 <= result["test"][monitors[1]] <= 5
    assert -1 <= result["test"][monitors[2]] <= 1
    assert evaluate(result["run"])["metrics"] == result["test"]


def test_a_model_is_checked_with_them(own: Path) -> None:
    assert all(verdict.ok for verdict in check("bprmf", [f"monitors=[{own}:parity@3]", "which4best=null"]))


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("monitors", ["ndcg@5", "{own}:parity@3"], r"\[ndcg@5,.*:parity@3\]"),
        ("which4best", "{own}:parity@3", ".*:parity@3"),
        ("split", "{own}:parity", ".*:parity"),
    ],
)
def test_a_checkpoint_that_names_code_of_an_evaluation_does_not_run_it(
    run_with: Callable[[str], Path], tmp_path: Path, own: Path, key: str, value: Any, shown: str
) -> None:
    file = run_with("ndcg@5") / "checkpoints/best/checkpoint.safetensors"
    content = load_checkpoint(file)
    content["config"][key] = json.loads(json.dumps(value).replace("{own}", str(own)))
    save_checkpoint(tmp_path / "alone.safetensors", content)
    message = f"names code that you have not run here before: {key}={shown}; .* name it yourself: {key}="
    with pytest.raises(CheckpointError, match=message):
        evaluate(tmp_path / "alone.safetensors")


@pytest.fixture
def run_with(tmp_path: Path) -> Callable[[str], Path]:
    """A function that trains a small run with some monitors, and returns its folder."""

    def train(monitors: str) -> Path:
        overrides = [*SMALL, "epochs=1", f"monitors=[{monitors}]", "which4best=null"]
        return Path(prepare(resolve("bprmf", overrides), runs=tmp_path / "runs").fit()["run"])

    return train


@pytest.mark.parametrize(
    ("monitor", "message"),
    [
        ("{own}:parity", r"parity needs a cutoff; write for example '.*parity@10'"),
        ("{own}:topscore@5", r"topscore takes no cutoff"),
        ("{own}:parityy@3", r"unknown class or function 'parityy'; did you mean 'parity'"),
        ("{own}:parity@0", r"must be an integer >= 1, found '0'"),
        ("./nowhere.py:parity@3", r"nowhere\.py"),
        ("{own}:first_hit@3,{own}:first_hit@3,{other}:first_hit@3", r"another metric is called first_hit@3 too"),
        ("ndgc@3", r"unknown metric 'ndgc' \(available: .*did you mean 'ndcg@3'"),
    ],
)
def test_what_is_wrong_with_a_monitor_of_a_file_is_said(own: Path, monitor: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve("bprmf", [f"monitors=[{monitor.format(own=own, other=own.with_name('other.py'))}]"])


def test_an_unknown_kind_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    text = OUTSIDE.replace('"parity", kind="own_lists"', '"parity", kind="own_list"')
    text = text.replace('"longtail", kind="own_lists"', '"longtail", kind="rankin"')
    path = tmp_path / "misspelt.py"
    path.write_text(text, encoding="utf-8")
    for name, guess in (("parity", "own_lists"), ("longtail", "ranking")):
        with pytest.raises(RegistryError, match=f"unknown metric kind .*; did you mean '{guess}'"):
            kind_of(METRICS.describe(f"{path}:{name}"))
        with pytest.raises(ConfigError, match=f"argument 1.*monitors.*unknown metric kind .*; did you mean '{guess}'"):
            resolve("bprmf", [f"monitors=[{path}:{name}@3]"])


def test_a_kind_that_is_no_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "nokind.py"
    lines = ["from recrun.registry import METRIC_KINDS, METRICS", "@METRIC_KINDS.register('odd')", "class Odd: 'Odd.'"]
    lines += ["@METRICS.register('strange', kind='odd')", "def strange(): 'Return nothing.'"]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(RegistryError, match=r"must be a class derived from recrun\.metrics\.kinds\.MetricKind"):
        measure_ranking(parse_monitor(f"{path}:strange"))


def measure_ranking(metric: MetricName) -> dict[str, float]:
    arguments: dict[str, Any] = {"seen": rows([[0]]), "relevant": rows([[1]]), "n_items": 2, "device": "cpu"}
    return evaluate_ranking(Fixed([[1, 2]]), metrics=[metric], **arguments).values


def test_both_are_described_like_registered_ones(own: Path) -> None:
    shown = [describe_anything(f"{own}:{name}")[0] for name in ("parity", "Lists")]
    assert [(each.kind, each.summary[:6]) for each in shown] == [("metric", "Return"), ("metric kind", "Means ")]


def test_expected_values_may_be_of_them(own: Path) -> None:
    config = own.with_name("expected.yaml")
    entry = "{metric: ./kinds.py:parity@3, split: test, value: 0.5, tolerance: 0.1, from: ours}"
    text = f"extends: bprmf\nmonitors: [./kinds.py:parity@3]\nwhich4best: null\nexpected:\n  - {entry}\n"
    config.write_text(text, encoding="utf-8")
    assert [each.metric for each in resolve(config).expected] == [f"{own}:parity@3"]


@pytest.mark.parametrize("name", ["ranking", "exposure", "auc", "pointwise"])
def test_the_built_in_kinds_are_registered(name: str) -> None:
    assert METRIC_KINDS.describe(name).summary
    assert METRIC_KINDS.get(name)
