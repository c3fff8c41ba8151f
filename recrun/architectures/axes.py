"""Know which axes of a model's tensors stand for users or items, so that their rows can be matched by original ids.

They are inferred by building the model once more with a few more users and items: an axis that is as long as there are
users, and grows by as many as were added, stands for users; one that does not grow stands for neither. What is not
certain then is refused, unless a module declares it in a class attribute, by the names of its tensors:

    tensor_axes = {"items.weight": "item+1", "slopes": ("item", "user")}

Each axis is "user", "item", "" for one that stands for neither, or a sum in the order of the rows: "item+1" for items
followed by one row of another kind (such as a mask), "1+item", or "user+item" for the nodes of a graph. Axes that are
left out at the end are "". `Tokenizer` declares its tensors itself.

Shapes: U users, I items.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from torch import Tensor, nn

from recrun.data import tags
from recrun.data.fields import Field, FieldTuple, SparseField
from recrun.errors import RegistryError

if TYPE_CHECKING:
    from recrun.data.interactions import TrainingData

Axes = tuple[str, ...]
"""What each axis of a tensor stands for."""
Sizes = Mapping[str, int]
"""U and I, as "user" and "item"."""

KINDS: Final = ("user", "item")
FIXED: Final = ""
CATEGORY: Final = "category"
"""What `Tokenizer` declares of the rows of other fields, whose original values are not kept."""
_AXIS: Final = re.compile(r"(user|item|[1-9][0-9]{0,8})(\+(user|item|[1-9][0-9]{0,8}))*")
_MORE: Final = {"user": 3, "item": 5}
"""By how many users and items the model is larger that is built to infer axes."""


def pieces(axis: str) -> list[str]:
    """Return the pieces of an axis in the order of its rows, such as ["item", "1"]; none of a fixed one."""
    return axis.split("+") if axis else []


def length(axis: str, sizes: Sizes) -> int | None:
    """Return how long an axis is with so many users and items; None for one that stands for neither."""
    parts = [sizes[each] if each in KINDS else int(each) for each in pieces(axis)]
    return sum(parts) if parts else None


def axes_of(model: nn.Module, data: TrainingData, build: Callable[[TrainingData], nn.Module]) -> dict[str, Axes]:
    """Return the axes of every tensor in a model's state.

    Args:
        model: the model.
        data: what it was built from.
        build: builds the model again, from other data of the same kind.

    Raises:
        RegistryError: a declaration is wrong, or an undeclared axis is not certain; the message says how to declare it.
    """
    state = model.state_dict()
    found = _declared(model, state)
    sizes = {"user": data.n_users, "item": data.n_items}
    if len(found) < len(state):
        larger = build(grown(data, _MORE)).state_dict()
        found |= {name: _inferred(model, name, state[name], larger, sizes) for name in state if name not in found}
    axes = {name: (*found[name], *[FIXED] * state[name].ndim)[: state[name].ndim] for name in state}
    _check(model, axes, state, sizes)
    return axes


def grown(data: TrainingData, more: Sizes) -> TrainingData:
    """Return train data with the same interactions and more users and items behind its own, which have vectors of 0."""
    n_users, n_items = data.n_users + more["user"], data.n_items + more["item"]
    counts = {tags.USER: n_users, tags.ITEM: n_items}

    def larger(field: Field) -> Field:
        count = next((count for tag, count in counts.items() if field.match(tag, tags.ID)), None)
        if count is None:
            return field
        return SparseField(field.name, tags=field.tags, dtype=field.dtype, transformer="none", count=count)

    fields = FieldTuple(larger(field) for field in data.fields)
    vectors = {name: np.pad(each, ((0, more["item"]), (0, 0))) for name, each in data.item_vectors.items()}
    return replace(data, fields=fields, n_users=n_users, n_items=n_items, user_ids=None, item_vectors=vectors)


def _declared(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Axes]:
    found: dict[str, Axes] = {}
    for path, module in model.named_modules():
        # A base class may declare what it makes itself, and a derived one what it adds.
        for owner in reversed(type(module).__mro__):
            declared = vars(owner).get("tensor_axes")
            declared = declared.fget(module) if isinstance(declared, property) and declared.fget else declared
            if declared is None:
                continue
            where = f"{owner.__name__}.tensor_axes"
            if not isinstance(declared, Mapping):
                raise RegistryError(f"{where} must map names of tensors to axes, found {type(declared).__name__}")
            for name, axes in declared.items():
                full = f"{path}.{name}" if path else str(name)
                if full not in state:  # a tensor may depend on settings, as that of a layer which is left out
                    continue
                found[full] = (axes,) if isinstance(axes, str) else tuple(axes)
                if CATEGORY in found[full]:
                    raise RegistryError(f"the rows of {full} are categories, whose original values are not kept")
                wrong = [axis for axis in found[full] if not (axis == FIXED or _AXIS.fullmatch(str(axis)))]
                if wrong or len(found[full]) > state[full].ndim:
                    expected = "'user', 'item', '' or a sum such as 'item+1', one for each axis"
                    raise RegistryError(f"{where}: {name}: expected {expected}; found {axes!r}")
    return found


def _inferred(model: nn.Module, name: str, tensor: Tensor, larger: Mapping[str, Tensor], sizes: Sizes) -> Axes:
    if name not in larger or larger[name].ndim != tensor.ndim:
        raise _uncertain(model, name, tensor, "a model of more users and items has no such tensor")
    axes = []
    for place, (size, after) in enumerate(zip(tensor.shape, larger[name].shape, strict=True)):
        kind = next((kind for kind in KINDS if (size, after) == (sizes[kind], size + _MORE[kind])), None)
        if kind is None and after != size:
            raise _uncertain(model, name, tensor, f"its axis {place} grows with users or items, but is no list of them")
        axes.append(kind or FIXED)
    if tensor.ndim and not tensor.is_floating_point():
        raise _uncertain(model, name, tensor, "it holds integers, which may be numbers of users or items")
    return tuple(axes)


def _check(model: nn.Module, axes: Mapping[str, Axes], state: Mapping[str, Tensor], sizes: Sizes) -> None:
    """Refuse axes that are not as long as they should be."""
    for name, of_tensor in axes.items():
        for place, (axis, found) in enumerate(zip(of_tensor, state[name].shape, strict=True)):
            expected = length(axis, sizes)
            if expected is not None and expected != found:
                counts = f"{sizes['user']:,} users and {sizes['item']:,} items"
                raise RegistryError(
                    f"{type(model).__name__}.tensor_axes: {name}: axis {place} is declared as {axis!r}, which has "
                    f"length {expected:,} with {counts}; found {found:,}"
                )


def _uncertain(model: nn.Module, name: str, tensor: Tensor, reason: str) -> RegistryError:
    shape = " x ".join(f"{size:,}" for size in tensor.shape)
    return RegistryError(
        f"what the rows of {name} ({shape}) of {type(model).__name__} stand for is not certain: {reason}; declare it "
        f"in the class, as in tensor_axes = {{{name!r}: 'item+1'}} for items and one row more, or {{{name!r}: ''}} for "
        "neither users nor items (see docs/warm-start.md)"
    )
