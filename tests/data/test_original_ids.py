"""Original ids are found as numbers and as text, and unknown ones are named with the nearest."""

from __future__ import annotations

import numpy as np
import pytest

from recrun.data.original_ids import OriginalIds

NUMBERS = OriginalIds(np.array([30, 7, 1005]), "user")
TEXTS = OriginalIds(np.array(["B0042", "a b", "é", "10"]), "item")


def test_numbers_are_found_as_numbers_and_as_their_text() -> None:
    assert NUMBERS.find([7, 1005, 30]).tolist() == [1, 2, 0]
    assert NUMBERS.find(["7", "1005", "30"]).tolist() == [1, 2, 0]
    assert NUMBERS.find(np.array([7, 8], dtype=np.int32)).tolist() == [1, -1]


def test_large_numbers_without_a_sign_are_found_exactly() -> None:
    large = OriginalIds(2**62 + np.arange(4), "user")
    wanted = np.array([2**62 + 1, 2**62 + 3, 2**62 + 4, 2**64 - 1], dtype=np.uint64)
    assert large.find(wanted).tolist() == [1, 3, -1, -1]


@pytest.mark.parametrize("text", ["07", "7.0", " 7", "+7", "seven", "", "7e0", "9" * 30, "٧"])
def test_a_text_that_writes_no_plain_number_is_no_number(text: str) -> None:
    assert NUMBERS.find([text]).tolist() == [-1]


def test_texts_are_found_by_every_letter_and_numbers_among_them_too() -> None:
    assert TEXTS.find(["é", "a b", "B0042", "b0042"]).tolist() == [2, 1, 0, -1]
    assert TEXTS.find([10]).tolist() == [3]


def test_originals_give_back_what_find_took() -> None:
    assert NUMBERS.originals(NUMBERS.find([7, 30])).tolist() == [7, 30]


def test_nothing_is_found_among_no_ids_and_none_of_nothing() -> None:
    assert OriginalIds(np.zeros(0, dtype=np.int64), "user").find([1]).tolist() == [-1]
    assert NUMBERS.find([]).tolist() == []


def test_the_nearest_id_is_named() -> None:
    assert TEXTS.like("B0043") == "B0042"
    assert TEXTS.like("nothing like it") is None
    many = OriginalIds(np.arange(0, 3_000_000, 3), "item")
    assert many.like("1500001") in ("1500000", "1500003")


def test_the_message_names_three_and_counts_the_rest() -> None:
    message = NUMBERS.explain(["1006", "x", "y", "z"])
    assert message == "the data has no user 1006 (nearest: 1005), x, y and 1 more"
