"""Errors in the words of Python."""

from __future__ import annotations

import pytest

from recrun.errors import CheckpointError, ConfigError, Fault
from recrun.notebook.wording import for_python, worded


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("compare on valid with --split valid", "compare on valid with split='valid'"),
        ("test with --over seeds, or --descriptive", "test with over='seeds', or descriptive=True"),
        ("continue it with --resume runs/a/b, or train", "continue it with recrun.load('runs/a/b').resume(), or train"),
        ("continue it with --resume 'runs/a b'", "continue it with recrun.load('runs/a b').resume()"),
        (
            "a run is continued with recrun train --resume RUN; x",
            "a run is continued with recrun.load(RUN).resume(); x",
        ),
        ("`recrun eval --checkpoint x --split test` helps", "`recrun eval --checkpoint x --split test` helps"),
        ("with 'recrun eval --split test'", "with 'recrun eval --split test'"),
        ("not --splitting hairs", "not --splitting hairs"),
    ],
)
def test_options_become_arguments_and_commands_stay(written: str, said: str) -> None:
    assert for_python(written) == said


def test_positions_of_a_command_line_go_and_those_of_files_stay() -> None:
    @worded
    def fail() -> None:
        raise ConfigError([Fault("is wrong", "lr", "argument 3", None, 4), Fault("too", "lr", "a.yaml", 2, 5)])

    with pytest.raises(ConfigError) as error:
        fail()
    assert [str(fault) for fault in error.value.faults] == ["lr: is wrong", "a.yaml:2:5: lr: too"]


def test_other_errors_keep_their_kind() -> None:
    @worded
    def fail() -> None:
        raise CheckpointError("if you trust it, add --trust")

    with pytest.raises(CheckpointError, match=r"^if you trust it, add trust=True$"):
        fail()
