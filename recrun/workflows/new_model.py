"""Files to start from: a small model that works, its config and its test."""

from __future__ import annotations

import keyword
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from recrun.errors import ConfigError

_MODEL: Final = '''"""{title}: a model to start from.

Shapes: B users in a batch, K sampled negatives, U users, I items, D embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from recrun.architectures import RecSysArch
from recrun.types import PositiveFloat, PositiveInt


class {title}(RecSysArch):
    """Score by the product of embeddings plus a bias of the item.

    *Source:* Koren, Bell, Volinsky, "Matrix Factorization Techniques for Recommender Systems", IEEE Computer 2009,
    equation 4.

    Args:
        embedding_dim: length of the embeddings.
        init_std: standard deviation of their first values.
    """

    def __init__(self, data, *, embedding_dim: PositiveInt = 32, init_std: PositiveFloat = 0.01) -> None:
        super().__init__()
        self.users = torch.nn.Embedding(data.n_users, embedding_dim)
        self.items = torch.nn.Embedding(data.n_items, embedding_dim)
        self.biases = torch.nn.Embedding(data.n_items, 1)
        self.initialize(init_std)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Return the scores (B, 1 + K) of items (B, 1 + K) for users (B, 1)."""
        return (self.users(users) * self.items(items)).sum(-1) + self.biases(items).squeeze(-1)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Return ((U, D + 1), (I, D + 1)); the scores of all users and items are their products."""
        ones = torch.ones_like(self.users.weight[:, :1])
        return torch.cat([self.users.weight, ones], 1), torch.cat([self.items.weight, self.biases.weight], 1)
'''

_CONFIG: Final = """# {title} on made-up data.
#   recrun train ./{name}.yaml
description: {name}
model: ./{name}.py:{title}
dataset: Synthetic

embedding_dim: 32
loss: bpr
epochs: 10
batch_size: 2048
optimizer: adam
lr: 5e-3

monitors: [recall@10, recall@20, ndcg@10, ndcg@20]
which4best: ndcg@20
seed: 1
"""

_TEST: Final = '''"""{title} keeps what recrun expects of a model."""

from __future__ import annotations

from pathlib import Path

from recrun.workflows.check_model import check
from recrun.config.resolve import resolve

HERE = Path(__file__).resolve().parent


def test_the_model_keeps_every_rule() -> None:
    broken = [verdict for verdict in check(f"{{HERE / '{name}.py'}}:{title}") if not verdict.ok]
    assert not broken, broken


def test_the_config_is_valid() -> None:
    assert resolve(HERE / "{name}.yaml").config.model.endswith(":{title}")
'''


def new_model(name: str, folder: str | Path = ".") -> list[Path]:
    """Write NAME.py, NAME.yaml and test_NAME.py, and return their paths.

    Args:
        name: lower-case letters, digits and underscores, beginning with a letter.
        folder: where they are written.

    Raises:
        ConfigError: the name cannot be that of a module, or one of the files is there already; nothing was written.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ConfigError(
            f"expected a name of lower-case letters, digits and underscores, such as my_mf; found {name!r}"
        )
    title = "".join(part.capitalize() for part in name.split("_"))
    contents = {f"{name}.py": _MODEL, f"{name}.yaml": _CONFIG, f"test_{name}.py": _TEST}
    files = {Path(folder) / file: text.format(name=name, title=title) for file, text in contents.items()}
    present = [str(file) for file in files if file.exists() or file.is_symlink()]
    if present:
        raise ConfigError(f"there is {' and '.join(present)} already, and nothing is overwritten; choose another name")
    if find_spec(name) is not None:
        raise ConfigError(f"{name}.py would hide the module {name!r} that is installed; choose another name")
    written: list[Path] = []
    try:
        for file, text in files.items():
            with file.open("x", encoding="utf-8") as stream:
                written.append(file)
                stream.write(text)
    except OSError as error:
        for file in written:
            file.unlink(missing_ok=True)
        raise ConfigError(f"{error.filename} cannot be written: {error.strerror}") from error
    return written
