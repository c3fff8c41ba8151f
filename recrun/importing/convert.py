"""Convert values of other programs to those of settings here."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from recrun.importing.draft import Draft, Rule, Unmapped

_TUPLE: Final = re.compile(r"[(\[]?\s*(\d[\d\s,.]*?)\s*,?\s*[)\]]?")
_INTERVAL: Final = re.compile(r"([\[(])\s*([^,\s]+)\s*,\s*([^,\s]+)\s*([\])])")
_GROUPED: Final = re.compile(r"[-+]?\d{1,3}(?:_\d{3})+")


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def number(value: Any) -> Any:
    """Return a number that is written with underscores as the number; anything else as it is."""
    return int(value.replace("_", "")) if isinstance(value, str) and _GROUPED.fullmatch(value) else value


def numbers(value: Any) -> list[Any]:
    """Return a list of numbers, which other programs also write as text, as in "(64, 32)".

    Raises:
        Unmapped: it is none.

    >>> numbers("(64,32)"), numbers([64]), numbers("(64,)"), numbers("64,32")
    ([64, 32], [64], [64], [64, 32])
    """
    found = _TUPLE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is not None:
        value = [float(each) if "." in each else int(each) for each in re.findall(r"[\d.]+", found[1])]
    if isinstance(value, list) and value and all(map(is_number, value)):
        return value
    raise Unmapped("expected a list of numbers")


def named(table: Mapping[str, str], what: str) -> Callable[[Any], str]:
    """Return what looks a name up, in small letters.

    Args:
        table: the names here by those there.
        what: what they name, for the reason of those that are missing.
    """

    def convert(value: Any) -> str:
        found = table.get(str(value).lower())
        if found is None:
            raise Unmapped(f"there is no {what} {value!r} here; there are {', '.join(dict.fromkeys(table.values()))}")
        return found

    return convert


def times(factor: float) -> Callable[[Any], Any]:
    """Return what multiplies a number, and leaves anything else as it is."""
    return lambda value: value * factor if is_number(value) else value


def one_minus(value: Any) -> Any:
    """Return 1 - x, for the share that is kept."""
    return round(1 - value, 12) if is_number(value) else value


def minus_one(value: Any) -> Any:
    """Refuse -1, which stands for all neighbours."""
    if value == -1:
        raise Unmapped("-1 stands for all neighbours there; here their number is written")
    return value


def least(interval: Any) -> tuple[int, bool]:
    """Return the least number of interactions that an interval such as "[5,inf)" allows, and whether it has no end.

    Raises:
        Unmapped: it has several parts, or cannot be read.

    >>> least("[5,inf)"), least("(5,100]")
    ((5, True), (6, False))
    """
    found = _INTERVAL.fullmatch(str(interval).strip())
    low = _finite(found[2]) if found is not None else None
    if found is None or low is None:
        raise Unmapped("expected one interval, such as [5,inf)")
    return max(0, math.floor(low) + 1 if found[1] == "(" else math.ceil(low)), found[3] == "inf"


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def condition(column: str, intervals: Any) -> str:
    """Return the condition of `filter` that a column lies in one of the intervals.

    Raises:
        Unmapped: they cannot be read.

    >>> condition("rating", "[3,inf)"), condition("t", "(1,2];[5,9)")
    ('rating >= 3', '(t > 1 and t <= 2) or (t >= 5 and t < 9)')
    """
    parts = []
    for text in str(intervals).split(";"):
        found = _INTERVAL.fullmatch(text.strip())
        if found is None:
            raise Unmapped("expected intervals, such as [3,inf)")
        ends = ((found[1], found[2], {"[": ">=", "(": ">"}), (found[4], found[3], {"]": "<=", ")": "<"}))
        bounds = [f"{column} {signs[mark]} {end}" for mark, end, signs in ends if end not in ("inf", "-inf")]
        if not all(re.fullmatch(r"-?[\d.]+(?:e[-+]?\d+)?", end) for _, end, _ in ends if end not in ("inf", "-inf")):
            raise Unmapped("expected intervals of numbers, such as [3,inf)")
        parts.append(" and ".join(bounds))
    if not all(parts):
        raise Unmapped("allows everything")
    return parts[0] if len(parts) == 1 else " or ".join(f"({part})" for part in parts)


def shares(value: Any) -> tuple[float, float]:
    """Return the shares of valid and test, of a list of three numbers.

    Raises:
        Unmapped: it is none, or leaves nothing to test on.
    """
    if not isinstance(value, list) or len(value) != 3 or not all(map(is_number, value)) or sum(value) <= 0:
        raise Unmapped("expected three numbers, for train, valid and test")
    total = sum(value)
    return round(value[1] / total, 6), round(value[2] / total, 6)


def halving(first: Any, widths: Any) -> int:
    """Return the number of layers of a perceptron over two concatenated embeddings whose layers halve in width.

    Args:
        first: the width of each embedding, and of the first layer.
        widths: the widths of all layers.

    Raises:
        Unmapped: the layers do not halve from there.

    >>> halving(64, [64, 32, 16])
    3
    """
    found = numbers(widths)
    if isinstance(first, int) and found == [first >> layer for layer in range(len(found))] and min(found) > 0:
        return len(found)
    wanted = ", ".join(str(first >> layer) for layer in range(3)) if isinstance(first, int) and first > 0 else "..."
    raise Unmapped(f"the layers here halve, from the width of an embedding: [{wanted}, ...]")


def widths_of(draft: Draft, embedding: str) -> Any:
    """Return the width of a perceptron's embeddings, for `halving`; the first one of several values to try."""
    value = draft.value(embedding)
    return value[0] if isinstance(value, list) and value else value


def perceptron(embedding: str) -> Rule:
    """Return the rule for the widths of NeuMF's perceptron.

    Args:
        embedding: the key of the width of the embeddings that it takes.
    """

    def rule(draft: Draft, entry: Any) -> None:
        value = entry.value
        if draft.searches and isinstance(value, list) and len(value) == 1:
            value = value[0]
        try:
            draft.put(entry, {"n_layers": halving(widths_of(draft, embedding), value)})
        except Unmapped as error:
            draft.refuse(entry, str(error))

    return rule


def same_layers(setting: str, width: str) -> Rule:
    """Return the rule for a list of widths of layers that are all as wide as the embeddings.

    Args:
        setting: the setting of their number.
        width: the key of the width of the embeddings.
    """

    def rule(draft: Draft, entry: Any) -> None:
        try:
            found = numbers(entry.value)
        except Unmapped as error:
            draft.refuse(entry, str(error))
            return
        wanted = widths_of(draft, width)
        if any(each != wanted for each in found):
            draft.refuse(entry, f"all layers here are as wide as the embeddings, {wanted}")
        else:
            draft.put(entry, {setting: len(found)})

    return rule


def confidence(factors: Sequence[str]) -> Rule:
    """Return the rule for the weight of iALS as of 2008, from which its regularisation follows.

    There, with weight 1 + a for an interaction, the loss is a times the sum of (x - (1 + a) / a)^2 over the
    interactions, plus the sum of x^2 over all pairs, plus b times the squared norms of the embeddings. Divided by a,
    and with scores in units of (1 + a) / a, that is the loss here with 1 / a for the weight of all pairs and
    b / (1 + a) for that of the norms; the ranking is the same.

    Args:
        factors: the keys of a, b, the form of the weight, and the constant in its logarithm.
    """

    def rule(draft: Draft, entry: Any) -> None:
        weight, decay, form, constant = (draft.value(key) for key in factors)
        if not (is_number(weight) and is_number(decay) and weight > 0):
            text = "with several values, work them out: unobserved_weight = 1 / a and reg_weight = b / (1 + a)"
            draft.refuse(entry, f"{text}, for {factors[0]} a and {factors[1]} b")
            return
        if form == "log":
            if not is_number(constant) or constant <= 0:
                draft.refuse(entry, f"expected a number above 0 for {factors[3]}")
                return
            weight *= math.log(1 + 1 / constant)
        settings = {"unobserved_weight": 1 / weight, "reg_weight": decay / (1 + weight), "reg_exponent": 0}
        draft.put(entry, settings, "the same ranking, in the form that the loss has here")

    return rule
