"""The rules of models, each broken on purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

from recrun.errors import ConfigError, RegistryError
from recrun.workflows.check_model import RULES, check
from tests.own_code import PRODUCT_OF_EMBEDDINGS

HEAD = f"""
import torch
from recrun.architectures import ClosedFormArch, RecSysArch


class Good(RecSysArch):
    \"\"\"Score by the product of embeddings.\"\"\"

{PRODUCT_OF_EMBEDDINGS}

class Model(Good):
    \"\"\"Break something.\"\"\"

"""

CLAIM = "from recrun.registry import MODELS\n\n\n@MODELS.register('mine', new_users=True)\n"

BROKEN = {
    "shapes": ("def score(self, users):\n        return super().score(users)[:, :-1]", "has shape (120, 79)"),
    "finite": ("def score(self, users):\n        return super().score(users) / 0", "are NaN or infinite"),
    "vectors": (
        "def score(self, users):\n        return super().score(users) + 1",
        "are not the scores of score(users)",
    ),
    "pairs": (
        "def forward(self, users, items):\n        return super().forward(users, items) - 0.02 * items",
        "is trained on other scores than it ranks by",
    ),
    "rows": (
        "def score(self, users):\n        scores = super().score(users)\n        return scores - scores.mean(0)",
        "differs from those rows",
    ),
    "new users": (
        "def score_histories(self, histories):\n"
        "        rows = torch.from_numpy(histories.distinct().to_scipy(len(self.items.weight)).toarray())\n"
        "        return -(rows @ self.items.weight) @ self.items.weight.T",
        "users have 0% of their first 10 items in common with their rankings as known users",
    ),
    "loss falls": (
        "def forward(self, users, items):\n        scores = super().forward(users, items)\n"
        "        return scores.detach() + 0 * scores",
        "in the first epoch and is",
    ),
    "same seed": (
        "def training_loss(self, batch, criterion):\n        import random\n"
        "        return super().training_loss(batch, criterion) * (1 + random.SystemRandom().random())",
        "the losses differ",
    ),
    "checkpoint": (
        "hidden = None\n\n    def vectors(self):\n        if self.hidden is None:\n"
        "            self.hidden = torch.rand(self.items.weight.shape) * 1e-4\n"
        "        return self.users.weight, self.items.weight + self.hidden",
        "keep all state in parameters or buffers",
    ),
    "warm start": (
        "def __init__(self, data, **settings):\n        super().__init__(data, **settings)\n"
        "        self.items = torch.nn.Embedding(data.n_items + 1, 8)\n        self.initialize(0.1)\n\n"
        "    def vectors(self):\n        return self.users.weight, self.items.weight[:-1]",
        "what the rows of items.weight (81 x 8) of Model stand for is not certain",
    ),
    "better than chance": (
        "def vectors(self):\n        return self.users.weight, -self.items.weight",
        "held-out items in the top 10; chance finds",
    ),
    "is built": (
        "def training_loss(self, batch, criterion):\n        raise ValueError('no such column')",
        "raised ValueError: no such column",
    ),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_model_that_breaks_a_rule_is_told_which(tmp_path: Path, rule: str) -> None:
    body, message = BROKEN[rule]
    head = HEAD.replace("class Model", CLAIM + "class Model") if rule == "new users" else HEAD
    (tmp_path / "mine.py").write_text(f"{head}    {body}\n", encoding="utf-8")
    verdicts = {verdict.rule: verdict for verdict in check(f"{tmp_path}/mine.py:Model")}
    assert not verdicts[rule].ok
    assert message in (verdicts[rule].message or "")
    assert verdicts["is built"].ok is (rule != "is built")


@pytest.mark.parametrize(
    ("claim", "body", "message"),
    [
        (CLAIM, "pass", "raised ConfigError: model Model cannot score new users"),
        (
            CLAIM,
            "def score_histories(self, histories):\n        return torch.zeros(3, 80)",
            "finite scores of shape (32, 80)",
        ),
        (
            CLAIM,
            "def score_histories(self, histories):\n"
            "        first = torch.from_numpy(histories.indices[histories.indptr[:-1]]).long()\n"
            "        return self.items(first) @ self.items.weight.T",
            "depends on the order of a row's items",
        ),
        (
            "",
            "def embed_histories(self, histories):\n        return torch.zeros(histories.n_rows, 32)",
            "it defines embed_histories(), so register it with the trait new_users=True",
        ),
    ],
)
def test_what_is_wrong_with_scores_of_new_users_is_told(tmp_path: Path, claim: str, body: str, message: str) -> None:
    head = HEAD.replace("class Model", claim + "class Model")
    (tmp_path / "mine.py").write_text(f"{head}    {body}\n", encoding="utf-8")
    verdicts = {verdict.rule: verdict for verdict in check(f"{tmp_path}/mine.py:Model")}
    assert message in (verdicts["new users"].message or "")


def test_every_rule_is_broken_by_one_of_these() -> None:
    assert {rule.__name__.replace("_", " ") for rule in RULES} == set(BROKEN)


def test_a_good_model_keeps_every_rule(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(HEAD.partition("class Model")[0], encoding="utf-8")
    verdicts = check(f"{tmp_path}/mine.py:Good", ["embedding_dim=16"])
    assert [verdict.message for verdict in verdicts if not verdict.ok] == []
    assert len(verdicts) == len(RULES)


def test_a_wrong_declaration_of_rows_is_told(tmp_path: Path) -> None:
    source = HEAD + f"    {BROKEN['warm start'][0]}\n\n    tensor_axes = {{'items.weight': '1+item'}}\n"
    (tmp_path / "mine.py").write_text(source, encoding="utf-8")
    verdicts = {verdict.rule: verdict for verdict in check(f"{tmp_path}/mine.py:Model")}
    assert "taken by original ids, scores differ by up to" in (verdicts["warm start"].message or "")
    (tmp_path / "right.py").write_text(source.replace("1+item", "item+1"), encoding="utf-8")
    verdicts = {verdict.rule: verdict for verdict in check(f"{tmp_path}/right.py:Model")}
    assert verdicts["warm start"].message is None


def test_scores_of_training_and_ranking_may_differ_in_what_leaves_the_order_as_it_is(tmp_path: Path) -> None:
    body = "    def forward(self, users, items):\n        return 2 * super().forward(users, items) + users\n"
    (tmp_path / "mine.py").write_text(HEAD + body, encoding="utf-8")
    verdicts = {verdict.rule: verdict for verdict in check(f"{tmp_path}/mine.py:Model")}
    assert verdicts["pairs"].message is None


@pytest.mark.parametrize("error", ["SystemExit(0)", "ValueError('no')"])
def test_an_error_of_the_model_is_named_with_its_line(tmp_path: Path, error: str) -> None:
    body = f"    def forward(self, users, items):\n        raise {error}\n"
    (tmp_path / "mine.py").write_text(HEAD + body, encoding="utf-8")
    (verdict,) = check(f"{tmp_path}/mine.py:Model")
    line = (HEAD + body).count("\n")
    assert (
        verdict.message
        == f"raised {error.replace('(', ': ').strip(')').replace(chr(39), '')} [{tmp_path}/mine.py:{line}]"
    )


def test_what_is_no_model_is_told(tmp_path: Path) -> None:
    text = (
        "import torch\n\n\nclass Plain(torch.nn.Module):\n    def __init__(self, data):\n        super().__init__()\n"
    )
    text += "        self.weight = torch.nn.Parameter(torch.zeros(1))\n"
    (tmp_path / "mine.py").write_text(text, encoding="utf-8")
    (verdict,) = check(f"{tmp_path}/mine.py:Plain")
    assert "expected a class derived from RecSysArch or ClosedFormArch, found Plain" in (verdict.message or "")


def test_a_wrong_name_or_setting_is_no_verdict() -> None:
    with pytest.raises(RegistryError):
        check("bprfm")
    with pytest.raises(ConfigError, match="embeding_dim"):
        check("bprmf", ["embeding_dim=3"])
