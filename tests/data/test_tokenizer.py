from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from recrun.data.fields import DenseField, Field, FieldTuple, SparseField, Tokenizer
from recrun.data.multi_columns.multi_field import MultiField
from recrun.data.tags import DENSE, FEATURE, ID, ITEM, TARGET, USER
from recrun.errors import DataError


@pytest.fixture
def fields() -> FieldTuple:
    return FieldTuple(
        [
            SparseField("user", tags=(USER, ID), transformer="none", count=4),
            SparseField("item", tags=(ITEM, ID), transformer="none", count=6),
            DenseField("price", tags=(ITEM, FEATURE)),
        ]
    )


class Model(nn.Module):
    """Keeps the tokenizer and two of its fields, as the models do."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.User, self.Item = tokenizer[USER, ID], tokenizer[ITEM, ID]


def test_categories_get_a_row_each_and_numbers_one_direction(fields: FieldTuple) -> None:
    tokenizer = Tokenizer(fields)
    tokenizer.embed(3, ID)
    tokenizer.embed(2, DENSE)
    assert tokenizer[USER, ID].embeddings.weight.shape == (4, 3)
    assert tokenizer[ITEM, ID].embeddings.weight.shape == (6, 3)
    assert tokenizer[DENSE].embeddings.weight.shape == (2, 1)
    assert tokenizer[USER].count == 4
    assert tokenizer[USER].name == "user"


def test_look_up_returns_the_rows_of_category_numbers(fields: FieldTuple) -> None:
    user = Tokenizer(fields).embed(3, USER)[USER, ID]
    users = torch.tensor([[2], [0]])
    looked_up = user.look_up(users)
    assert looked_up.shape == (2, 1, 3)
    assert torch.equal(looked_up[:, 0], user.embeddings.weight[[2, 0]])
    assert user.look_up(torch.zeros(5, 7, dtype=torch.int32)).shape == (5, 7, 3)


def test_look_up_scales_the_direction_of_a_number(fields: FieldTuple) -> None:
    price = Tokenizer(fields).embed(2)["price"]
    looked_up = price.look_up(torch.tensor([[2.0], [0.0]], dtype=torch.float64))
    assert looked_up.shape == (2, 1, 2)
    torch.testing.assert_close(looked_up[0, 0], 2 * price.embeddings.weight[:, 0])
    assert not looked_up[1].any()


def test_several_fields_are_looked_up_side_by_side_in_their_order(fields: FieldTuple) -> None:
    tokenizer = Tokenizer(fields).embed(3, ID).embed(2, DENSE)
    features = {
        "price": torch.rand(5, 1),
        "item": torch.arange(5)[:, None],
        "user": torch.zeros(5, 1, dtype=torch.long),
    }
    everything = tokenizer.look_up(features)
    assert everything.shape == (5, 1, tokenizer.calculate_dimension()) == (5, 1, 8)
    assert torch.equal(everything[..., 3:6], tokenizer["item"].look_up(features["item"]))
    assert torch.equal(tokenizer.look_up(features, ITEM), everything[..., 3:])
    assert tokenizer.calculate_dimension(ITEM) == 5
    assert tokenizer.calculate_dimension(ITEM, ID) == 3


def test_a_look_up_without_the_values_of_a_field_names_it(fields: FieldTuple) -> None:
    tokenizer = Tokenizer(fields).embed(3, ID)
    with pytest.raises(DataError, match="no values for the fields item; given: user"):
        tokenizer.look_up({"user": torch.zeros(1, 1, dtype=torch.long)}, ID)
    with pytest.raises(DataError, match=r"field 'price' has no embeddings yet: call tokenizer\.embed"):
        tokenizer.look_up({"price": torch.zeros(1, 1)}, DENSE)


def test_parameters_are_registered_once_in_a_model_that_keeps_fields(fields: FieldTuple) -> None:
    model = Model(Tokenizer(fields.groupby(ID)).embed(3, ID))
    assert list(model.state_dict()) == ["tokenizer.embeddings.user.weight", "tokenizer.embeddings.item.weight"]
    assert sum(parameter.numel() for parameter in model.parameters()) == 30


def test_a_copied_or_converted_model_looks_up_in_its_own_parameters(fields: FieldTuple) -> None:
    model = Model(Tokenizer(fields.groupby(ID)).embed(3, ID))
    twin = copy.deepcopy(model).double()
    assert twin.User.embeddings is twin.tokenizer.embeddings["user"]
    assert twin.User.look_up(torch.tensor([0])).dtype == torch.float64
    with torch.no_grad():
        twin.User.embeddings.weight.zero_()
    assert model.User.embeddings.weight.any()


def test_gradients_are_sparse_when_asked_for(fields: FieldTuple) -> None:
    user = Tokenizer(fields).embed(3, USER, sparse=True)[USER]
    user.look_up(torch.tensor([1])).sum().backward()
    assert user.embeddings.weight.grad is not None
    assert user.embeddings.weight.grad.is_sparse


def test_fields_are_found_grouped_counted_and_iterated_by_tags(fields: FieldTuple) -> None:
    tokenizer = Tokenizer(fields)
    assert len(tokenizer) == 3
    assert [field.name for field in tokenizer] == ["user", "item", "price"]
    assert [field.name for field in tokenizer.groupby(ITEM)] == ["item", "price"]
    assert [field.name for field in tokenizer.groupbynot(ITEM)] == ["user"]
    assert tokenizer["item"].match(ITEM, ID)
    assert repr(tokenizer["item"]) == "EmbeddedField('item', None)"
    with pytest.raises(DataError, match="2 fields have the tags ID"):
        tokenizer[ID]


def test_a_field_handed_out_before_it_is_embedded_is_embedded_later(fields: FieldTuple) -> None:
    tokenizer = Tokenizer(fields)
    user = tokenizer[USER]
    assert not user.is_embedded
    tokenizer.embed(3, USER)
    assert user.dimension == 3


def test_embedding_nothing_or_the_same_again_is_refused(fields: FieldTuple) -> None:
    tokenizer = Tokenizer(fields)
    with pytest.raises(DataError, match="no field has the tags TARGET; there are: SparseField"):
        tokenizer.embed(3, TARGET)
    tokenizer.embed(3, USER)
    with pytest.raises(DataError, match="field 'user' has embeddings already"):
        tokenizer.embed(3, ID)


@pytest.mark.parametrize("name", ["type", "keys", "training", "item.genre", "_modules"])
def test_any_field_name_can_be_embedded(name: str) -> None:
    field: Field = SparseField(name, transformer="none", count=2)
    tokenizer = Tokenizer([field]).embed(3)
    assert len(tokenizer.state_dict()) == 1
    assert tokenizer[name].look_up(torch.tensor([1])).shape == (1, 3)


def test_two_names_that_torch_would_confuse_keep_their_own_embeddings() -> None:
    fields = [SparseField(name, transformer="none", count=count) for name, count in [("a.b", 2), ("a_b", 5)]]
    tokenizer = Tokenizer(fields).embed(3)
    assert [field.embeddings.weight.shape[0] for field in tokenizer] == [2, 5]
    assert len(tokenizer.state_dict()) == 2


def test_it_says_what_the_rows_of_its_embeddings_stand_for(fields: FieldTuple) -> None:
    tokenizer = Tokenizer([*fields, SparseField("a.genre", tags=(ITEM, FEATURE), transformer="none", count=3)])
    assert tokenizer.tensor_axes == {}, "nothing is embedded yet"
    tokenizer.embed(3)
    assert tokenizer.tensor_axes == {
        "embeddings.user.weight": "user",
        "embeddings.item.weight": "item",
        "embeddings.price.weight": "",
        "embeddings.a_genre.weight": "category",
    }
    assert set(tokenizer.tensor_axes) == set(tokenizer.state_dict())


def test_a_field_that_shares_embeddings_has_those_of_the_other_wherever_it_stands(fields: FieldTuple) -> None:
    item = fields["item"]
    assert isinstance(item, SparseField)
    some = [MultiField(name, like=item) for name in ("clicked", "left")]
    tokenizer = Tokenizer([some[0], *fields, some[1]]).embed(3)
    weight = tokenizer["item"].embeddings.weight
    assert all(tokenizer[name].embeddings.weight is weight for name in ("clicked", "left"))
    assert set(dict(tokenizer.named_parameters())) == {
        f"embeddings.{name}.weight" for name in ("user", "item", "price")
    }
    assert tokenizer.tensor_axes["embeddings.item.weight"] == "item"
    values = {"item": torch.tensor([[1], [2]]), "left": torch.tensor([[5, 1, -1], [-1, -1, -1]])}
    looked_up = torch.cat([tokenizer[name].look_up(values[name]) for name in values], dim=1)
    torch.testing.assert_close(looked_up[0], torch.stack([weight[1], (weight[5] + weight[1]) / 2]))
    torch.testing.assert_close(looked_up[1], torch.stack([weight[2], torch.zeros(3)]))


def test_fields_that_share_with_one_that_is_not_there_share_with_each_other(fields: FieldTuple) -> None:
    item = fields["item"]
    assert isinstance(item, SparseField)
    tokenizer = Tokenizer([MultiField(name, like=item) for name in ("clicked", "left")]).embed(3)
    assert tokenizer["clicked"].embeddings is tokenizer["left"].embeddings
    assert tokenizer["clicked"].embeddings.weight.shape == (6, 3)
    assert tokenizer.tensor_axes == {"embeddings.item.weight": "category"}


def test_shared_embeddings_have_one_length(fields: FieldTuple) -> None:
    item = fields["item"]
    assert isinstance(item, SparseField)
    tokenizer = Tokenizer([*fields, MultiField("clicked", like=item)]).embed(3, ID)
    with pytest.raises(DataError, match="'clicked' shares the embeddings of 'item', of length 3; they cannot have len"):
        tokenizer.embed(4, FEATURE)
