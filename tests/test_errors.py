from __future__ import annotations

import pytest

from recrun.errors import ConfigError, Fault, RecrunError, nearest, reading_order, unknown

KEYS = ["lr", "epochs", "batch_size", "embedding_dim", "early_stop_patience", "beta1", "beta2", "id", "n_negatives"]


def test_a_fault_reads_as_file_line_column_key_message_and_suggestion() -> None:
    fault = Fault("unknown setting", "eposh", "a.yaml", 3, 1, "epochs")
    assert str(fault) == "a.yaml:3:1: eposh: unknown setting; did you mean 'epochs'?"


def test_parts_that_are_not_known_are_left_out() -> None:
    assert str(Fault("is empty", file="a.yaml")) == "a.yaml: is empty"
    assert str(Fault("expected KEY=VALUE", file="argument 2", column=4)) == "argument 2:4: expected KEY=VALUE"
    assert str(Fault("must be set", key="model")) == "model: must be set"


def test_a_fault_is_one_line_whatever_it_holds() -> None:
    assert str(Fault("found 'a\nb\x1b[31m'", "k\u2028", "x\ty.yaml")) == r"x\ty.yaml: k\u2028: found 'a\nb\x1b[31m'"


def test_an_error_carries_all_its_faults() -> None:
    error = ConfigError([Fault("one", "a"), Fault("two", "b")])
    assert isinstance(error, RecrunError)
    assert str(error) == "a: one\nb: two"
    assert ConfigError("text").faults == [Fault("text")]
    assert ConfigError(Fault("text", "key")).faults == [Fault("text", "key")]


def test_faults_are_read_file_by_file_and_line_by_line_then_argument_by_argument() -> None:
    faults = [
        Fault("", file="argument 10"),
        Fault("", file="argument 2", column=7),
        Fault("", file="b.yaml", line=10),
        Fault("", file="b.yaml", line=9, column=3),
        Fault("", file="a.yaml", line=20),
    ]
    assert sorted(faults, key=reading_order) == faults[::-1]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("rl", "lr"),
        ("l", "lr"),
        ("ephocs", "epochs"),
        ("Batch_Size", "batch_size"),
        ("embeding_dims", "embedding_dim"),
        ("patience", "early_stop_patience"),
        ("negatives", "n_negatives"),
        ("temperature", None),
        ("", None),
        ("x" * 10_000, None),
    ],
)
def test_the_nearest_name_is_the_one_that_was_meant(written: str, meant: str | None) -> None:
    assert nearest(written, KEYS) == meant


def test_of_equally_near_names_the_first_in_the_alphabet_is_chosen_whatever_their_order() -> None:
    assert nearest("beta", KEYS) == nearest("beta", KEYS[::-1]) == "beta1"


def test_of_equally_near_names_the_shortest_is_chosen() -> None:
    assert nearest("di", ["device", "id"]) == "id"


def test_one_letter_is_not_near_another() -> None:
    assert nearest("x", ["k"]) is None


def test_an_unknown_name_is_answered_with_the_nearest_and_all_there_are() -> None:
    assert unknown("loss", "brp", ["bpr", "bce"]) == "unknown loss 'brp'; did you mean 'bpr'? Available: bce, bpr"
    assert unknown("loss", "zzz", []) == "unknown loss 'zzz'. Available: none"
