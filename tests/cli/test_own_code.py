"""Mistakes in files that users write: each ends in one clear line, and none changes a number in silence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recrun.registry import METRICS
from recrun.registry.user_files import is_foreign

from .conftest import OWN, SMALL, Outcome

Recrun = Callable[..., Outcome]

RANKING = "\n\ndef mine(hits, n_relevant, k):\n    'Return a number for each user.'\n    {}\n"
KIND = """
from recrun.registry import METRICS


@METRICS.register("{0}", kind="{1}")
def {0}(*given):
    "Own."
    {2}
"""


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    """Take the metrics of these tests out of the registry again."""
    yield
    for name in [name for name, thing in METRICS._objects.items() if is_foreign(thing)]:
        del METRICS._objects[name], METRICS._registered[name]


def train(recrun: Recrun, *settings: str) -> Outcome:
    given = [setting.partition("=")[0] for setting in settings]
    small = [setting for setting in SMALL if setting.partition("=")[0] not in given]
    return recrun("train", "bprmf", *small, *settings, "--runs", "runs")


def error_of(outcome: Outcome, code: int) -> str:
    """Return the only line that was printed."""
    assert outcome.code == code, outcome.err
    assert outcome.err.count("\n") == 1, outcome.err
    return outcome.err.removeprefix("error: ").rstrip()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("hits[:] = True; return hits[:, 0]", "changes its argument 1 in place"),
        ("n_relevant[:] = 9; return hits[:, 0]", "changes its argument 2 in place"),
        ("return hits * 1.0", "must return one number for each user"),
        ("return hits[:-1, 0]", "must return one number for each user"),
        ("return hits[:, 0] * 1j", "returned complex128 of shape (3,)"),
        ("return hits.mean()", "must return one number for each user"),
        ("hits.mean(axis=1)", "and returned None"),
        ("return 'high'", "and returned 'high'"),
        ("return nowhere", "failed on made-up data: NameError: name 'nowhere' is not defined [{file}:5]"),
        ("raise SystemExit(0)", "failed on made-up data: SystemExit: 0 [{file}:5]"),
    ],
)
def test_a_wrong_metric_of_rankings_is_refused_before_the_run(
    recrun: Recrun, tmp_path: Path, body: str, told: str
) -> None:
    (tmp_path / "m.py").write_text(RANKING.format(body), encoding="utf-8")
    line = error_of(train(recrun, "monitors=[ndcg@5,./m.py:mine@5]"), 2)
    assert line.startswith(f"metric {tmp_path / 'm.py'}:mine@5 ")
    assert told.format(file=tmp_path / "m.py") in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("kind", ["exposure", "auc"])
@pytest.mark.parametrize("body", ["return None", "return given[0] * 1j", "given[0][:] = 7; return 0.5"])
def test_a_wrong_metric_of_another_kind_is_refused_before_the_run(
    recrun: Recrun, tmp_path: Path, kind: str, body: str
) -> None:
    name = f"own_{kind}"
    (tmp_path / "m.py").write_text(KIND.format(name, kind, body), encoding="utf-8")
    cutoff = "@5" if kind == "exposure" else ""
    line = error_of(train(recrun, f"monitors=[ndcg@5,./m.py:{name}{cutoff}]"), 2)
    assert line.startswith(f"metric {tmp_path / 'm.py'}:{name}{cutoff} ")


@pytest.mark.parametrize("body", ["return None", "return given[0]", "given[1][:] = 1; return 0.5"])
def test_a_wrong_metric_of_predictions_is_refused_before_the_run(recrun: Recrun, tmp_path: Path, body: str) -> None:
    (tmp_path / "m.py").write_text(KIND.format("own_rows", "pointwise", body), encoding="utf-8")
    settings = ["n_rows=600", "n_users=20", "n_items=10", "epochs=1", "device=cpu", "threads=1", "verbose=0"]
    settings += ["monitors=[auc,./m.py:own_rows]", "which4best=auc"]
    line = error_of(recrun("train", "synthetic/deepfm", *settings, "--runs", "runs"), 2)
    assert line.startswith(f"metric {tmp_path / 'm.py'}:own_rows ")


def test_a_metric_that_fails_on_real_rankings_alone_fails_the_run(recrun: Recrun, tmp_path: Path) -> None:
    body = "return hits[:, 0] if len(hits) == 3 else None"
    (tmp_path / "m.py").write_text(RANKING.format(body), encoding="utf-8")
    line = error_of(train(recrun, "monitors=[ndcg@5,./m.py:mine@5]"), 1)
    assert "mine@5 must return one number for each user, here real numbers of shape (60,), and returned None" in line
    assert "(evaluating valid after epoch 0)" in line


def test_a_metric_that_changes_a_copy_leaves_the_others_as_they_are(recrun: Recrun, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(RANKING.format("hits = hits.copy(); hits[:] = 1; return hits[:, 0]"), "utf-8")
    both = json.loads(train(recrun, "monitors=[./m.py:mine@5,ndcg@5]", "--json").out)
    alone = json.loads(train(recrun, "monitors=[ndcg@5]", "--json").out)
    assert both["valid"]["ndcg@5"] == alone["valid"]["ndcg@5"]
    assert both["valid"][f"{tmp_path / 'm.py'}:mine@5"] == 1.0


@pytest.mark.parametrize("place", ["__init__", "forward"])
@pytest.mark.parametrize("exit", ["SystemExit(0)", "SystemExit", "SystemExit('bye')"])
def test_a_model_that_ends_the_process_fails_the_command(recrun: Recrun, tmp_path: Path, place: str, exit: str) -> None:
    text = OWN.replace("super().__init__()" if place == "__init__" else "return (self.users", f"raise {exit}  # ", 1)
    (tmp_path / "m.py").write_text(text, encoding="utf-8")
    line = 1 + text[: text.index("raise")].count("\n")
    found = error_of(train(recrun, "model=./m.py:Own"), 1)
    assert found.startswith("SystemExit")
    assert found.endswith(f" [{tmp_path / 'm.py'}:{line}]: code of your own must not end the process")
    checked = recrun("check", "./m.py:Own", "--json")
    assert checked.code == 1
    assert json.loads(checked.out)["ok"] is False
    assert f"[{tmp_path / 'm.py'}:{line}]" in json.loads(checked.out)["rules"][0]["message"]


def test_a_file_that_ends_the_process_is_named(recrun: Recrun, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("import sys\nsys.exit(0)\n" + OWN, encoding="utf-8")
    found = error_of(train(recrun, "model=./m.py:Own"), 2)
    assert f"cannot be imported: SystemExit: 0 [{tmp_path / 'm.py'}:2]" in found
    checked = recrun("check", "./m.py:Own")
    assert checked.code == 1
    assert f"cannot be imported: SystemExit: 0 [{tmp_path / 'm.py'}:2]" in checked.out


def test_an_error_that_is_no_exception_is_one_line(recrun: Recrun, tmp_path: Path) -> None:
    text = OWN.replace("return (self.users", "raise type('Odd', (BaseException,), {})('why')  # ")
    (tmp_path / "m.py").write_text(text, encoding="utf-8")
    assert error_of(train(recrun, "model=./m.py:Own"), 1).startswith(f"Odd: why [{tmp_path / 'm.py'}:")


def test_an_error_inside_torch_is_named_with_the_line_of_ones_own_file(recrun: Recrun, tmp_path: Path) -> None:
    text = OWN.replace("self.items(items)", "self.items(items.float())")
    (tmp_path / "m.py").write_text(text, encoding="utf-8")
    line = 1 + text[: text.index("items.float")].count("\n")
    assert f" [{tmp_path / 'm.py'}:{line}] (--debug shows" in error_of(train(recrun, "model=./m.py:Own"), 1)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("torch.zeros(3, 3, requires_grad=True)", "shape (3, 3)"),
        ("(self.users(users) * self.items(items)).sum()", "shape ()"),
        ("(self.users(users) * self.items(items)).sum(-1)[:, :1]", "shape (128, 1)"),
        ("None", "NoneType"),
    ],
)
def test_scores_of_another_shape_fail_the_first_step(recrun: Recrun, tmp_path: Path, body: str, found: str) -> None:
    text = OWN.replace("return (self.users(users) * self.items(items)).sum(-1)", f"return {body}")
    (tmp_path / "m.py").write_text(text, encoding="utf-8")
    wanted = "forward() of Own must return a score for each pair, of shape (128, 2); found "
    assert error_of(train(recrun, "model=./m.py:Own"), 1) == wanted + found


LOSS = """
from recrun.criterions import BaseCriterion


class Mine(BaseCriterion):
    "Own."

    def forward(self, pos, neg):
        {}
"""


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("self.reduce(neg - pos)", "loss Mine returned NoneType, expected a tensor with one number"),
        ("return 1.0", "loss Mine returned float, expected a tensor with one number"),
        ("return (neg - pos).mean().item()", "loss Mine returned float, expected a tensor with one number"),
        ("return (neg - pos).mean(), 1", "loss Mine returned tuple, expected a tensor with one number"),
        ("return neg - pos", "loss Mine returned a tensor of shape (128, 1), expected a tensor with one number"),
        ("return (neg > pos).sum()", "the loss has no gradient, so nothing would be learned: BPRMF and Mine must"),
        ("return (neg - pos).mean().detach()", "the loss has no gradient, so nothing would be learned: BPRMF and Mine"),
    ],
)
def test_what_is_no_loss_fails_the_first_step(recrun: Recrun, tmp_path: Path, body: str, told: str) -> None:
    (tmp_path / "m.py").write_text(LOSS.format(body), encoding="utf-8")
    assert error_of(train(recrun, "loss=./m.py:Mine"), 1).startswith(told)


def test_a_loss_whose_base_was_not_set_up_is_refused(recrun: Recrun, tmp_path: Path) -> None:
    text = LOSS.format("return (neg - pos).mean()") + "\n    def __init__(self):\n        pass\n"
    (tmp_path / "m.py").write_text(text, encoding="utf-8")
    assert "does not set up its base class: it has no reduction; its __init__ must call super().__init__()" in error_of(
        train(recrun, "loss=./m.py:Mine"), 2
    )


SAMPLER = """
import numpy as np

from recrun.data.sampling.negatives import NegativeSampler
from recrun.types import PositiveInt


class Plain:
    "Own."

    def __init__(self, data, *, n_negatives: PositiveInt = 1) -> None:
        self.n_negatives = n_negatives

    def draw(self, users, rng):
        return {0}


class Derived(NegativeSampler):
    "Own."

    def __init__(self, data, *, n_negatives: PositiveInt = 1) -> None:
        super().__init__(data, n_negatives, None)

    def _propose(self, size, rng):
        users = np.zeros(size, dtype=np.int32)
        return {0}
"""


@pytest.mark.parametrize(
    ("drawn", "told"),
    [
        ("np.zeros((len(users), 7), dtype=np.int64)", "must return an array of integers of shape {shape}; found int64"),
        ("np.zeros((1, 1), dtype=np.int64)", "must return an array of integers of shape {shape}; found int64 of shape"),
        ("[0] * len(users)", "must return an array of integers of shape {shape}; found list"),
        ("None", "must return an array of integers of shape {shape}; found NoneType"),
    ],
)
@pytest.mark.parametrize(
    ("kind", "method", "shape"), [("Plain", "draw", "(726, 1)"), ("Derived", "_propose", "(726,)")]
)
def test_negatives_of_another_shape_are_refused(
    recrun: Recrun, tmp_path: Path, drawn: str, told: str, kind: str, method: str, shape: str
) -> None:
    (tmp_path / "s.py").write_text(SAMPLER.format(drawn), encoding="utf-8")
    line = error_of(train(recrun, f"sampler=./s.py:{kind}"), 1)
    assert line.startswith("sampler ")
    assert f"{kind}: {method}() {told.format(shape=shape)}" in line


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("0.5", "must return an array of integers of shape {shape}; found float64 of shape {shape}"),
        ("-1", "must return items from 0 to 39; found -1 to -1"),
        ("40", "must return items from 0 to 39; found 40 to 40"),
    ],
)
@pytest.mark.parametrize(("kind", "shape"), [("Plain", "(726, 1)"), ("Derived", "(726,)")])
def test_negatives_that_are_no_items_are_refused(
    recrun: Recrun, tmp_path: Path, value: str, told: str, kind: str, shape: str
) -> None:
    of = "(len(users), 1)" if kind == "Plain" else "len(users)"
    (tmp_path / "s.py").write_text(SAMPLER.format(f"np.full({of}, {value})"), encoding="utf-8")
    assert told.format(shape=shape) in error_of(train(recrun, f"sampler=./s.py:{kind}"), 1)


def test_log_probabilities_that_are_none_are_refused(recrun: Recrun, tmp_path: Path) -> None:
    text = SAMPLER.partition("class Derived")[0].format("np.zeros((len(users), 1), dtype=np.int32)").rstrip()
    text += "\n\n    def log_probability(self, users, items):\n        return {}\n"
    for value, told in (
        ("np.full(items.shape, 0.5)", "must return logarithms of probabilities of items that can be drawn; found 0.5"),
        ("np.zeros(len(users))", "must return an array of floats of shape (726, 1); found float64 of shape (726,)"),
    ):
        (tmp_path / f"{told[12]}.py").write_text(text.format(value), encoding="utf-8")
        settings = [f"sampler=./{told[12]}.py:Plain", "loss=sampled_softmax", "logq_correction=true"]
        assert told in error_of(train(recrun, *settings), 1)


def test_a_count_of_negatives_that_is_none_is_refused(recrun: Recrun, tmp_path: Path) -> None:
    text = SAMPLER.format("None").replace("self.n_negatives = n_negatives", "self.n_negatives = 1.5")
    (tmp_path / "s.py").write_text(text, encoding="utf-8")
    line = error_of(train(recrun, "sampler=./s.py:Plain"), 2)
    assert line.endswith("n_negatives must be an integer of at least 1, found 1.5")


def test_weights_of_items_that_are_none_are_refused(recrun: Recrun, tmp_path: Path) -> None:
    text = SAMPLER.format("None").replace("n_negatives, None", "n_negatives, integer_weights(np.full(40, np.nan), 60)")
    text = "from recrun.data.sampling.alias_table import integer_weights\n" + text
    (tmp_path / "s.py").write_text(text, encoding="utf-8")
    line = error_of(train(recrun, "sampler=./s.py:Derived"), 2)
    assert line == "the weights of items must be finite and not negative; found nan to nan"
