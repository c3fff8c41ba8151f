"""Models to export, and programs that read the exports without recrun."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recrun.architectures.closed_form import ClosedFormArch
from recrun.config.family import family_of
from recrun.config.resolve import resolve
from recrun.exporting.material import Material, gather
from recrun.recommendation.recommender import Recommender
from recrun.registry import MODELS
from recrun.workflows.build import build

RANKING = [name for name in MODELS.names() if family_of(MODELS.describe(name)).evaluation == "ranking"]
"""The models that rank items."""
HOSTILE = (
    "quote \" and ' and ```",
    "line\nbreak\r\n",
    "\u202eright to left",
    "käse 🧀",
    "a" * 500,
    "'); import os",
    "{}",
    " ",
)
"""Ids that could break what is written around them."""
SIZES = ("dataset=Synthetic", "n_users=60", "n_items=50", "n_interactions=900", "device=cpu", "threads=1", "verbose=0")
SMALL = {
    "sasrec": ("max_length=8", "embedding_dim=8", "n_heads=2", "split=leave_one_out"),
    "gru4rec": ("max_length=8", "embedding_dim=8", "hidden_dim=12", "split=leave_one_out"),
    "bert4rec": ("max_length=8", "embedding_dim=8", "split=leave_one_out"),
    "multdae": ("latent_dim=8",),
    "bsarec": ("max_length=8", "embedding_dim=8", "split=leave_one_out"),
    "fmlprec": ("max_length=8", "embedding_dim=8", "split=leave_one_out"),
    "hstu": ("max_length=8", "embedding_dim=8", "split=leave_one_out"),
    "stamp": ("max_length=8", "embedding_dim=8", "split=leave_one_out"),
    "narm": ("max_length=8", "embedding_dim=8", "hidden_dim=12", "split=leave_one_out"),
    "cl4srec": ("max_length=8", "embedding_dim=8", "split=leave_one_out"),
    "duorec": ("max_length=8", "embedding_dim=8", "split=leave_one_out"),
    "fearec": ("max_length=8", "embedding_dim=8", "split=leave_one_out"),
    "caser": ("embedding_dim=8", "split=leave_one_out"),
    "fpmc": ("embedding_dim=8", "split=leave_one_out"),
    "transrec": ("embedding_dim=8", "split=leave_one_out"),
    "multvae": ("hidden_dim=16", "latent_dim=8"),
    "diffrec": ("latent_dim=16",),
    "macridvae": ("embedding_dim=8", "hidden_dim=16", "n_concepts=3"),
    "recvae": ("hidden_dim=16", "latent_dim=8"),
    "gfcf": ("embedding_dim=8",),
    "puresvd": ("embedding_dim=8",),
    "neumf": ("embedding_dim=8", "mlp_dim=8"),
    "itemknn": ("n_neighbors=10", "subtract_item_means=true"),
}
"""Settings that make a model small."""

_GUARD = """\
import sys

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "recrun":
            raise ImportError(name + " is not needed to use an export")

sys.meta_path.insert(0, Refusing())
"""
_ANSWER = """
import json
asked = json.loads(open("asked.json", encoding="utf-8").read())
open("answers.json", "w", encoding="utf-8").write(json.dumps([{function}(each) for each in asked]))
assert not {{"recrun", "torch", "scipy"}} & set(sys.modules), sorted(sys.modules)
"""


@pytest.fixture(scope="session")
def material_of() -> Callable[..., Material]:
    """Build a model on small data, with weights that are not those it was initialised with."""

    def make(model: str, *settings: str, as_of: Any = "valid", hostile: bool = False, **options: Any) -> Material:
        coach = build(resolve(model, [*SIZES, *SMALL.get(model, ()), *settings]), to_train=False)
        base, own = coach.dataset.base, coach.model
        if hostile:
            texts = [f"{number} {HOSTILE[number % len(HOSTILE)]}" for number in range(max(base.n_users, base.n_items))]
            base.user_ids, base.item_ids = np.array(texts[: base.n_users]), np.array(texts[: base.n_items])[::-1]
        if isinstance(own, ClosedFormArch):
            own.fit(base.training_data())
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for parameter in own.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / 3)
        return gather(Recommender(own, base, as_of=as_of), model, **options)

    return make


def lists_of(material: Material, k: int = 20) -> dict[Any, list[Any]]:
    """Return what recrun recommends to each user, by original ids, with the scores."""
    recommender = material.recommender
    users = np.arange(recommender.n_users)
    found: dict[Any, list[Any]] = {}
    for lists in recommender.recommend(users, k, excluded=recommender.seen):
        for user, items, scores in zip(lists.users_B, lists.items_BK, lists.scores_BK, strict=True):
            kept = [(i, s) for i, s in zip(items.tolist(), scores.tolist(), strict=True) if i >= 0]
            found[material.user_ids[user].item()] = [[material.item_ids[i].item(), s] for i, s in kept]
    return found


def histories_of(material: Material) -> dict[Any, list[Any]]:
    """Return the known items of each user in the order of time, by original ids."""
    histories = material.known.histories(len(material.user_ids))
    return {user.item(): material.item_ids[histories.row(row)].tolist() for row, user in enumerate(material.user_ids)}


def run_readme(folder: Path, section: str, asked: Sequence[Any]) -> list[Any]:
    """Run the code of a section of the README in a process without recrun and torch, and return its answers.

    Args:
        folder: the export.
        section: the name of a format.
        asked: what its function is called with, one after the other.
    """
    text = (folder / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(rf"^## {section}\n.*?^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    name = re.findall(r"^def (\w+)\(", blocks[0], re.MULTILINE)[-1]
    code = _GUARD + blocks[0] + _ANSWER.format(function=name)
    (folder / "asked.json").write_text(json.dumps(list(asked)), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout  # the README prints an example
    answers: list[Any] = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    for name in ("asked.json", "answers.json"):
        (folder / name).unlink()
    return answers


def expect_same(found: list[Any], expected: list[Any], tolerance: float = 1e-5) -> None:
    """Compare two lists of [item, score], which may differ where scores do not within a tolerance of the largest."""
    assert len(found) == len(expected)
    scale = max([abs(score) for _, score in expected] + [1e-30])
    by_item = dict(map(tuple, expected))
    for (item, score), (other, wanted) in zip(found, expected, strict=True):
        assert abs(score - wanted) <= tolerance * scale
        assert item == other or abs(by_item.get(item, wanted) - wanted) <= 2 * tolerance * scale
