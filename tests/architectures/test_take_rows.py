"""Which values go where when a model takes those of a trained one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recrun.architectures.take_rows import Matched, Taken, misfit, take_rows

OLD, NEW = {"user": 3, "item": 4}, {"user": 2, "item": 5}
USERS = Matched(old=np.array([2, 0]), new=np.array([0, 1]))
ITEMS = Matched(old=np.array([1, 3]), new=np.array([4, 0]))
BOTH = {"user": USERS, "item": ITEMS}


def _take(tensor: Tensor, target: Tensor, axes: tuple[str, ...], matched: dict[str, Matched]) -> tuple[Tensor, Taken]:
    model = nn.Module()
    model.tensor = nn.Parameter(target.clone())
    held = model.tensor
    taken = take_rows(model, {"tensor": tensor}, {"tensor": axes}, matched, OLD, NEW)
    assert model.tensor is held, "an optimizer holds the parameter"
    return held.detach(), taken


def _loop(tensor: np.ndarray, target: np.ndarray, axes: tuple[str, ...], matched: dict[str, Matched]) -> np.ndarray:
    """Return what `take_rows` should make, entry by entry."""

    def places(axis: str, size: int) -> dict[int, int]:
        found, there, here = {}, 0, 0
        for part in axis.split("+"):
            if axis == "":
                return {place: place for place in range(size)}
            if part in OLD:
                if part in matched:
                    pairs = zip(matched[part].new.tolist(), matched[part].old.tolist(), strict=True)
                    found.update({here + new: there + old for new, old in pairs})
                there, here = there + OLD[part], here + NEW[part]
            else:
                found.update({here + place: there + place for place in range(int(part))})
                there, here = there + int(part), here + int(part)
        return found

    made = target.copy()
    of_axes = [places(axis, size) for axis, size in zip(axes, target.shape, strict=True)]
    for place in np.ndindex(*target.shape):
        if all(each in of_axis for each, of_axis in zip(place, of_axes, strict=True)):
            made[place] = tensor[tuple(of_axis[each] for each, of_axis in zip(place, of_axes, strict=True))]
    return made


@pytest.mark.parametrize(
    ("axes", "old", "new"),
    [
        (("user", ""), (3, 2), (2, 2)),
        (("", "item"), (6, 4), (6, 5)),
        (("item",), (4,), (5,)),
        (("item+1", ""), (5, 3), (6, 3)),
        (("2+item", ""), (6, 3), (7, 3)),
        (("user+item", ""), (7, 2), (7, 2)),
        (("item", "item"), (4, 4), (5, 5)),
        (("item", "", "user"), (4, 2, 3), (5, 2, 2)),
    ],
)
def test_matched_rows_are_taken_and_the_others_keep_their_values(
    axes: tuple[str, ...], old: tuple[int, ...], new: tuple[int, ...]
) -> None:
    tensor, target = torch.rand(old), -torch.rand(new)
    made, taken = _take(tensor, target, axes, BOTH)
    assert np.array_equal(made.numpy(), _loop(tensor.numpy(), target.numpy(), axes, BOTH))
    assert taken == Taken(rows=["tensor"])
    assert bool((made > 0).any())


@pytest.mark.parametrize("axes", [("",), ("", ""), ()])
def test_a_tensor_of_neither_is_taken_whole(axes: tuple[str, ...]) -> None:
    tensor = torch.rand([3] * len(axes))
    made, taken = _take(tensor, torch.zeros_like(tensor), axes, BOTH)
    assert torch.equal(made, tensor)
    assert taken == Taken(whole=["tensor"])


@pytest.mark.parametrize(
    ("axes", "old", "new"),
    [(("user", ""), (3, 2), (2, 2)), (("item", "user"), (4, 3), (5, 2)), (("user+1",), (4,), (3,))],
)
def test_what_is_about_users_is_kept_if_only_items_are_matched(axes: Any, old: Any, new: Any) -> None:
    target = torch.rand(new)
    made, taken = _take(torch.rand(old), target, axes, {"item": ITEMS})
    assert torch.equal(made, target)
    assert taken == Taken(kept=["tensor"])


def test_the_items_among_nodes_are_taken_alone() -> None:
    made, taken = _take(torch.rand(7, 2), torch.full((7, 2), -1.0), ("user+item", ""), {"item": ITEMS})
    assert (made[:, 0] >= 0).tolist() == [False, False, True, False, False, False, True]
    assert taken.rows == ["tensor"]


@pytest.mark.parametrize(
    ("axes", "old", "new", "reason"),
    [
        (("user", ""), (3, 2), (2, 2), None),
        (("user", ""), (3, 2), (2, 4), "t is 3 x 2 there, 2 x 4 here"),
        (("user", ""), (4, 2), (2, 2), "t is 4 x 2 there, which does not fit 3 users, 4 items"),
        (("user",), (3, 1), (2,), "t has 2 axes there, 1 here"),
    ],
)
def test_a_tensor_that_cannot_be_taken_says_why(axes: Any, old: Any, new: Any, reason: str | None) -> None:
    assert misfit("t", axes, torch.zeros(old), torch.zeros(new), OLD) == reason


def test_another_type_of_numbers_does_not_fit() -> None:
    found = misfit("t", ("",), torch.zeros(2, dtype=torch.float64), torch.zeros(2), OLD)
    assert found == "t holds float64 there, float32 here"
