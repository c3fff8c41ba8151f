"""Round float32 to bfloat16 at random, so that a sum of many small steps is right on average.

Shapes: N rows, D numbers in a row.

bfloat16 has 8 significant bits. A running mean with decay 0.999 moves by less than half a unit of the last of them in
nearly every step, and rounding to the nearest number would leave it where it is. Rounded up with a probability that is
the distance to the lower neighbour, in units of the distance between both, it is unbiased: E[round(x)] = x.

The random bits are a hash of the row's number, its step and the column. So there is no generator whose state would have
to be saved, and a resumed run, or one of several processes, rounds as one that was never stopped.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

_GOLDEN: Final = 0x9E3779B97F4A7C15
_FACTORS: Final = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def round_rows(values: Tensor, rows: Tensor, steps: Tensor, stream: int) -> Tensor:
    """Round rows to one of the two nearest bfloat16 numbers each, at random and without bias.

    The bits of a float32 that bfloat16 lacks are raised by 16 random bits, and cut off. A random number is the upper
    half of h(row, step, stream) · c(column), with h of 32 bits and c odd: for each number it is uniform over the steps.

    *Source:* Gupta, Agrawal, Gopalakrishnan and Narayanan, ICML 2015, section 3.1, for stochastic rounding; the hash is
    the finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).

    Args:
        values: (N, ...), floating point; NaN and infinity stay what they are.
        rows: the numbers of these rows in the table (N,), integers.
        steps: how often each row has been updated (N,).
        stream: different numbers make independent random bits.

    Returns:
        bfloat16 of the shape of `values`.
    """
    of_rows = _hash(_hash(rows.long() + _wrapped(_GOLDEN * (stream + 1), 64)) + steps.long())
    flat = values.float().contiguous()
    bits = (flat.flatten(1) if flat.dim() > 1 else flat[:, None]).view(torch.int32)
    columns = _hash(torch.arange(bits.size(1), device=bits.device))
    noise = of_rows.view(torch.int32)[::2, None] * (columns.view(torch.int32)[::2] | 1)
    noise.bitwise_right_shift_(16).bitwise_and_(0xFFFF).add_(bits).bitwise_and_(-0x10000)
    return noise.view(torch.float32).view(values.shape).to(torch.bfloat16)


def _hash(numbers: Tensor) -> Tensor:
    """Return a hash of each of some int64: the mixing of SplitMix64, in arithmetic that wraps around."""
    for shift, factor in zip((30, 27), _FACTORS, strict=True):
        numbers = (numbers ^ _shifted(numbers, shift)) * _wrapped(factor, 64)
    return numbers ^ _shifted(numbers, 31)


def _shifted(numbers: Tensor, places: int) -> Tensor:
    """Shift int64 to the right as if they had no sign."""
    return (numbers >> places) & ((1 << (64 - places)) - 1)


def _wrapped(number: int, n_bits: int) -> int:
    """Return the signed number that has the last bits of another."""
    number &= (1 << n_bits) - 1
    return number - (number >> (n_bits - 1) << n_bits)
