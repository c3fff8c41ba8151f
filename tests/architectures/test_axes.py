"""What the rows of a model's tensors stand for: inferred where that is certain, declared elsewhere, never guessed."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from recrun.architectures.axes import axes_of, grown, length, pieces
from recrun.architectures.base import RecSysArch
from recrun.data.datasets.synthetic import Synthetic
from recrun.data.fields import FieldTuple, SparseField, Tokenizer
from recrun.data.interactions import TrainingData
from recrun.data.tags import FEATURE, ID
from recrun.errors import RegistryError


@pytest.fixture(scope="module")
def data() -> TrainingData:
    """Train data with as many users as items, which sizes alone cannot tell apart."""
    return Synthetic(n_users=40, n_items=40, n_interactions=400).training_data()


class Plain(RecSysArch):
    """Has tensors of all kinds; the embeddings are as long as there are users and items."""

    def __init__(self, data: TrainingData, dim: int = 40) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(data.n_users, dim), nn.Embedding(data.n_items, dim)
        self.layer = nn.Linear(dim, dim)
        self.inputs = nn.Linear(data.n_items, dim, bias=False)
        self.slopes = nn.Parameter(torch.zeros(data.n_items, data.n_users, 1))
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("n_steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("graph", torch.zeros(data.n_users), persistent=False)


def _axes(model: type[RecSysArch], data: TrainingData, **settings: Any) -> dict[str, tuple[str, ...]]:
    build = partial(model, **settings)
    return axes_of(build(data), data, build)  # type: ignore[arg-type]


def test_they_are_told_apart_although_all_sizes_are_the_same(data: TrainingData) -> None:
    assert _axes(Plain, data) == {
        "users.weight": ("user", ""),
        "items.weight": ("item", ""),
        "layer.weight": ("", ""),
        "layer.bias": ("",),
        "inputs.weight": ("", "item"),
        "slopes": ("item", "user", ""),
        "scale": (),
        "n_steps": (),
    }


class Padded(RecSysArch):
    """Has one row more than there are items."""

    def __init__(self, data: TrainingData) -> None:
        super().__init__()
        self.items = nn.Embedding(data.n_items + 1, 8, padding_idx=0)


class Nodes(RecSysArch):
    """Has users and items in one tensor."""

    def __init__(self, data: TrainingData) -> None:
        super().__init__()
        self.nodes = nn.Parameter(torch.zeros(data.n_users + data.n_items, 8))


class Numbers(RecSysArch):
    """Keeps numbers of items."""

    def __init__(self, data: TrainingData) -> None:
        super().__init__()
        self.register_buffer("popular", torch.from_numpy(data.item_counts()).topk(10).indices)


class Grows(RecSysArch):
    """Has a tensor only for so many items."""

    def __init__(self, data: TrainingData) -> None:
        super().__init__()
        self.few = nn.Parameter(torch.zeros(3, 1))
        if data.n_items > 40:
            self.few = nn.Parameter(torch.zeros(3))


class DeclaredPadded(Padded):
    """Says that the row more is the first one."""

    tensor_axes: ClassVar = {"items.weight": "1+item"}


class DeclaredNodes(Nodes):
    """Says that users come first."""

    tensor_axes: ClassVar = {"nodes": "user+item"}


class DeclaredNumbers(Numbers):
    """Says that the numbers are to be taken as they are."""

    tensor_axes: ClassVar = {"popular": ""}


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Padded, r"items.weight \(41 x 8\) of Padded .* grows with users or items, but is no list of them"),
        (Nodes, r"nodes \(80 x 8\) of Nodes"),
        (Numbers, r"popular \(10\) .* it holds integers, which may be numbers of users or items"),
        (Grows, r"few \(3 x 1\) .* has no such tensor"),
    ],
)
def test_what_is_not_certain_is_refused_with_how_to_declare_it(
    data: TrainingData, model: type[RecSysArch], reason: str
) -> None:
    with pytest.raises(RegistryError, match=f"{reason}.*tensor_axes = "):
        _axes(model, data)


@pytest.mark.parametrize(
    ("model", "axes"),
    [
        (DeclaredPadded, {"items.weight": ("1+item", "")}),
        (DeclaredNodes, {"nodes": ("user+item", "")}),
        (DeclaredNumbers, {"popular": ("",)}),
    ],
)
def test_what_is_declared_holds(data: TrainingData, model: type[RecSysArch], axes: dict[str, Any]) -> None:
    assert _axes(model, data) == axes


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"items.weight": "items"}, r"items.weight: expected 'user', 'item', '' or a sum .* found 'items'"),
        ({"items.weight": "item+"}, "found 'item+'".replace("+", r"\+")),
        ({"items.weight": ("item", "", "")}, "one for each axis"),
        ({"items.weight": "item"}, "axis 0 is declared as 'item', which has length 40 .* found 41"),
        ({"items.weight": ("item+1", "user")}, "axis 1 is declared as 'user', which has length 40 .* found 8"),
        (["items.weight"], "must map names of tensors to axes, found list"),
    ],
)
def test_a_wrong_declaration_is_refused(data: TrainingData, declared: Any, message: str) -> None:
    model = type("Wrong", (Padded,), {"tensor_axes": declared})
    with pytest.raises(RegistryError, match=rf"Wrong.tensor_axes.*{message}"):
        _axes(model, data)


def test_a_misspelt_declaration_leaves_its_tensor_uncertain(data: TrainingData) -> None:
    model = type("Misspelt", (Padded,), {"tensor_axes": {"item.weight": "1+item"}})
    with pytest.raises(RegistryError, match=r"items.weight .* is not certain"):
        _axes(model, data)


def test_categories_of_other_fields_are_refused(data: TrainingData) -> None:
    class Gendered(RecSysArch):
        def __init__(self, data: TrainingData) -> None:
            super().__init__()
            gender = SparseField("gender", tags=FEATURE, transformer="none", count=2)
            self.tokenizer = Tokenizer(FieldTuple([*data.fields.groupby(ID), gender])).embed(4)

    with pytest.raises(RegistryError, match=r"the rows of tokenizer.embeddings.gender.weight are categories"):
        _axes(Gendered, data)


def test_data_that_has_grown_has_the_same_interactions(data: TrainingData) -> None:
    more = grown(data, {"user": 3, "item": 5})
    assert (more.n_users, more.n_items) == (43, 45)
    assert [field.count for field in more.fields.groupby(ID)] == [43, 45]
    assert more.interactions is data.interactions
    assert more.matrix().shape == (43, 45)


def test_the_pieces_of_an_axis_have_a_length() -> None:
    sizes = {"user": 7, "item": 11}
    assert [length(axis, sizes) for axis in ("user", "item+1", "2+user+item", "")] == [7, 12, 20, None]
    assert pieces("2+user+item") == ["2", "user", "item"]
