"""Stochastic rounding to bfloat16: unbiased, without a generator, and needed."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from recrun.training.optimizers.rounding import round_rows

DIM = 8
EPSILON = 2.0**-8
"""Half the distance of 1 to the next bfloat16."""


def rounded_at(value: float, steps: Tensor, *, stream: int = 0, row: int = 5) -> Tensor:
    """Return a number in DIM columns rounded in each of some steps, float32 (steps, DIM)."""
    rows = torch.full((len(steps),), row)
    return round_rows(torch.full((len(steps), DIM), value), rows, steps, stream).float()


@pytest.mark.parametrize("value", [1 + EPSILON / 8, -1 - EPSILON, 1.9e-3, -3.3e-30, 7.77e20])
def test_a_number_becomes_one_of_its_two_neighbours_and_is_right_on_average(value: float) -> None:
    n = 40_000
    found = rounded_at(value, torch.arange(n)).double()
    exact = float(torch.tensor(value))
    lower, upper = found.amin().item(), found.amax().item()
    gap = upper - lower
    assert lower < exact < upper
    assert set(found.unique().tolist()) == {lower, upper}
    assert torch.tensor(lower).to(torch.bfloat16).nextafter(torch.tensor(torch.inf).bfloat16()).item() == upper
    share = (exact - lower) / gap
    deviation = gap * (share * (1 - share) / n) ** 0.5
    assert (found.mean(0) - exact).abs().max() < 4.5 * deviation


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -2.5, torch.inf, -torch.inf, torch.nan])
def test_what_bfloat16_can_hold_stays_as_it_is(value: float) -> None:
    found = rounded_at(value, torch.arange(1000))
    torch.testing.assert_close(found, torch.full_like(found, value), rtol=0, atol=0, equal_nan=True)
    assert bool((found.signbit() == (torch.tensor(value).signbit())).all()) or value != value


def test_columns_rows_steps_and_streams_are_rounded_independently() -> None:
    steps = torch.arange(20_000)
    middle = 1 + EPSILON
    up = [rounded_at(middle, steps, stream=stream, row=row) > 1 for stream in (0, 1) for row in (5, 6)]
    signs = torch.cat(up, dim=1).double() * 2 - 1
    correlation = signs.T @ signs / len(steps)
    correlation.fill_diagonal_(0)
    assert correlation.abs().max() < 5 / len(steps) ** 0.5
    one_later = (signs[1:] * signs[:-1]).mean(0)
    assert one_later.abs().max() < 5 / len(steps) ** 0.5


def by_hand(values: NDArray[np.float32], rows: list[int], steps: list[int], stream: int) -> NDArray[np.uint32]:
    """Return the bits of rounded numbers, as float32: with unsigned integers, one number at a time."""

    def mixed(number: int) -> int:
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            number = ((number ^ (number >> shift)) * factor) % 2**64
        return number ^ (number >> 31)

    found = np.empty(values.shape, np.uint32)
    for n, (row, step) in enumerate(zip(rows, steps, strict=True)):
        of_row = mixed((mixed((row + 0x9E3779B97F4A7C15 * (stream + 1)) % 2**64) + step) % 2**64)
        for column in range(values.shape[1]):
            product = (of_row % 2**32) * (mixed(column) % 2**32 | 1) % 2**32
            bits = int(values[n, column].view(np.uint32)) + (product >> 16)
            found[n, column] = bits >> 16 << 16
    return found


def test_the_random_bits_are_those_of_a_plain_computation_with_unsigned_integers() -> None:
    rows, steps = [0, 3, 2**40, 10**6], [1, 5, 2**24, 77]
    values = np.random.default_rng(0).normal(size=(4, 70)).astype(np.float32)
    for stream in (0, 1):
        found = round_rows(torch.from_numpy(values), torch.tensor(rows), torch.tensor(steps).float(), stream)
        assert np.array_equal(found.float().numpy().view(np.uint32), by_hand(values, rows, steps, stream))


def test_rows_of_any_shape_are_rounded_as_flat_ones() -> None:
    values, rows, steps = torch.randn(6, 2, 3), torch.arange(6), torch.arange(6)
    flat = round_rows(values.view(6, 6), rows, steps, 0)
    assert torch.equal(round_rows(values, rows, steps, 0), flat.view(6, 2, 3))
    assert torch.equal(round_rows(values[:, 0, 0], rows, steps, 0), flat[:, 0])
    assert torch.equal(round_rows(values.double(), rows, steps, 0), flat.view(6, 2, 3))
    assert torch.equal(round_rows(values[:, :, 1], rows, steps, 0), round_rows(values[:, :, 1].clone(), rows, steps, 0))


def test_the_same_row_and_step_are_rounded_alike_in_another_process_and_another_batch() -> None:
    values = torch.linspace(1, 2, 40).view(5, 8)
    here = round_rows(values, torch.arange(5), torch.full((5,), 3), 1)
    part = round_rows(values[2:4], torch.arange(2, 4), torch.full((2,), 3), 1)
    assert torch.equal(part, here[2:4])
    code = """
import torch
from recrun.training.optimizers.rounding import round_rows
torch.manual_seed(7)
print(round_rows(torch.linspace(1, 2, 40).view(5, 8), torch.arange(5), torch.full((5,), 3), 1).tolist())
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == str(here.tolist())


def test_a_mean_of_decay_0_999_stalls_with_plain_rounding_and_moves_with_this_one() -> None:
    n, beta = 4000, 0.999
    plain, ours = torch.ones(1, 64, dtype=torch.bfloat16), torch.ones(1, 64, dtype=torch.bfloat16)
    for step in range(n):
        plain = (plain.float() * beta).to(torch.bfloat16)
        ours = round_rows(ours.float() * beta, torch.tensor([3]), torch.tensor([step]), 0)
    assert torch.equal(plain, torch.ones_like(plain)), "a step of 0.001 is less than half a unit in the last place"
    assert ours.float().mean().item() == pytest.approx(beta**n, rel=0.1)
