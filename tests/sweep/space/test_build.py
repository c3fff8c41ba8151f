"""The space of arguments on a config: what varies, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from recrun.sweep.space.arguments import parse_settings
from recrun.sweep.space.asked import Asked, parse_zips
from recrun.sweep.space.build import space_of
from recrun.sweep.space.dimensions import Dimension, Interval, Options
from recrun.sweep.space.ranges import Value
from recrun.sweep.space.variation import CHOICE, OF_DATA, REPEAT, Variation


def built(
    arguments: list[str], zips: tuple[str, ...] = (), *, config: str = "bprmf", is_grid: bool = False
) -> tuple[Variation, list[str]]:
    settings, faults = parse_settings(arguments)
    groups, more = parse_zips(zips)
    assert (faults, more) == ([], [])
    variation, found = space_of(config, Asked(tuple(settings), tuple(groups)), is_grid=is_grid)
    return variation, [str(fault) for fault in found]


def options(*each: dict[str, str]) -> Options:
    return Options(each)


def test_a_range_has_the_type_of_its_setting() -> None:
    variation, faults = built(
        ["lr=1e-4..1e-2:log", "weight_decay=0..1", "embedding_dim=16..64", "batch_size=8..64:log"]
    )
    assert faults == []
    assert [each.values for each in variation.space.dimensions] == [
        Interval("lr", 1e-4, 1e-2, log=True),
        Interval("weight_decay", 0.0, 1.0),
        Interval("embedding_dim", 16, 64, 1, is_integer=True),
        Interval("batch_size", 8, 64, log=True, is_integer=True),
    ]


def test_a_range_with_steps_keeps_them_where_values_are_drawn_and_is_listed_in_a_grid() -> None:
    arguments = ["weight_decay=0..0.2:0.1", "embedding_dim=16..48:16", "lr=1..2"]
    drawn, _ = built(arguments)
    assert [each.values for each in drawn.space.dimensions] == [
        Interval("weight_decay", 0, 0.2, 0.1),
        Interval("embedding_dim", 16, 48, 16, is_integer=True),
        Interval("lr", 1.0, 2.0),
    ]
    grid, faults = built(arguments, is_grid=True)
    assert faults == []
    assert [grid.space.settings(draw) for draw in grid.space.grid()][1] == {
        "weight_decay": "0",
        "embedding_dim": "16",
        "lr": "2",
    }
    assert len(list(grid.space.grid())) == 3 * 3 * 2


def test_one_value_is_fixed_and_seeds_and_data_are_kinds_of_their_own() -> None:
    variation, faults = built(
        ["epochs=3", "seed=1..3", "lr=1,2", "dataset=MovieLens100K,Synthetic", "split=ratio,k_fold"]
    )
    assert faults == []
    assert variation.fixed == {"epochs": "3"}
    assert variation.kinds == {"seed": REPEAT, "lr": CHOICE, "dataset": OF_DATA, "split": OF_DATA}
    assert variation.part(REPEAT).dimensions == (Dimension("seed", options(*({"seed": each} for each in "123"))),)
    assert variation.keys(OF_DATA) == ("dataset", "split")


def test_settings_that_are_zipped_vary_together() -> None:
    variation, faults = built(["lr=1e-3,1e-4", "seed=1,2", "embedding_dim=16..17"], ("lr,embedding_dim",))
    assert faults == []
    assert variation.space.dimensions[0] == Dimension(
        "lr,embedding_dim",
        options({"lr": "1e-3", "embedding_dim": "16"}, {"lr": "1e-4", "embedding_dim": "17"}),
    )
    assert len(list(variation.space.grid())) == 4


@pytest.mark.parametrize(
    ("zips", "message"),
    [
        (("lr,embedding_dim",), "--zip:1: expected as many values of each, but lr has 2, embedding_dim has 3"),
        (
            ("lr,batch_sise",),
            "--zip:4: batch_sise has no values that could vary together with others; give it as many as they have; did "
            "you mean 'batch_size'?",
        ),
        (("lr, epochs",), "--zip:5: epochs has one value, so it does not vary together with others; remove it here"),
        (("lr,lr",), "--zip:4: lr varies together with other settings already; name it once"),
        (
            ("lr,batch_size", "batch_size,lr"),
            "--zip:1: batch_size varies together with other settings already; name it once",
        ),
        (
            ("lr,beta1",),
            "--zip:4: beta1 is a range without a step, whose values cannot be paired; write its values",
        ),
        (("lr,seed",), "is averaged, so it must have the same values at every point; let it vary by itself"),
    ],
)
def test_what_cannot_be_zipped_is_a_fault(zips: tuple[str, ...], message: str) -> None:
    arguments = ["lr=1,2", "embedding_dim=1..3", "batch_size=1,2", "epochs=3", "beta1=0..0.5", "seed=1,2"]
    _, faults = built(arguments, zips)
    assert any(message in fault for fault in faults), faults


@pytest.mark.parametrize("text", ["lr", "", "lr,", ",lr", " , "])
def test_a_zip_names_two_settings(text: str) -> None:
    groups, faults = parse_zips([text])
    assert not groups
    assert f"expected two settings or more with commas between them, found {text!r}" in str(faults[0])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("description=1..3", "argument 1:13: description: a range needs a setting that is a number; list its values"),
        ("eval_valid=0..1", "argument 1:12: eval_valid: a range needs a setting that is a number; list its values"),
        ("optimizer=0..0.5", "argument 1:11: optimizer: a range needs a setting that is a number; list its values"),
        ("monitors=1..3", "argument 1:10: monitors: a range needs a setting that is a number; list its values"),
        ("embedding_dim=1.5..3", "argument 1:15: embedding_dim: takes integers, found 1.5 in the range 1.5..3"),
        ("embedding_dim=1..3e1", "argument 1:18: embedding_dim: takes integers, found 3e1 in the range 1..3e1"),
        ("embedding_dim=1..3:0.5", "argument 1:20: embedding_dim: takes integers, found 0.5 in the range 1..3:0.5"),
        ("seed=1..100000", "argument 1:6: seed: the range 1..100000 has 100,000 values; at most 10,000 are accepted"),
    ],
)
@pytest.mark.parametrize("is_grid", [True, False])
def test_a_range_that_its_setting_cannot_have_is_a_fault(argument: str, message: str, is_grid: bool) -> None:
    _, faults = built([argument], is_grid=is_grid)
    assert [fault[: len(message)] for fault in faults] == [message]


def test_only_a_grid_needs_steps() -> None:
    assert built(["lr=0..0.5", "embedding_dim=1..100000"])[1] == []
    assert built(["lr=0..0.5", "embedding_dim=1..100000"], is_grid=True)[1] == [
        "argument 1:4: lr: a grid needs to know which values: write a step (0..0.5:0.1) or choose --search random",
        "argument 2:15: embedding_dim: the range 1..100000 has 100,000 values; at most 10,000 are accepted",
    ]


def test_settings_of_every_component_that_may_be_chosen_have_their_types() -> None:
    variation, faults = built(["model=lightgcn,bprmf", "n_layers=1..3", "optimizer=adam,sgd", "momentum=0..1"])
    assert faults == []
    found = {each.name: each.values for each in variation.space.dimensions}
    assert found["n_layers"] == Interval("n_layers", 1, 3, 1, is_integer=True)
    assert found["momentum"] == Interval("momentum", 0.0, 1.0)


def test_a_setting_of_a_users_own_model_has_its_type(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from recrun.architectures import RecSysArch\n\n\nclass Own(RecSysArch):\n"
        "    def __init__(self, data, *, width: int = 3, slope: float | None = None) -> None: ...\n"
    )
    variation, faults = built([f"model={tmp_path}/own.py:Own", "width=1..4", "slope=1..4"])
    assert faults == []
    assert [each.values for each in variation.space.dimensions] == [
        Interval("width", 1, 4, 1, is_integer=True),
        Interval("slope", 1.0, 4.0),
    ]


def test_points_are_one_dimension_and_each_is_given_once() -> None:
    def point(**texts: str) -> dict[str, Value]:
        return {key: Value(text, 5, "a.yaml", 3) for key, text in texts.items()}

    settings, _ = parse_settings(["lr=1,2"])
    points = (point(epochs="1"), point(epochs="2", batch_size="8"), point(epochs="1"))
    variation, faults = space_of("bprmf", Asked(tuple(settings), (), points))
    assert [str(fault) for fault in faults] == [
        "a.yaml:3:5: points: the point epochs=1 is given twice; remove one of them"
    ]
    assert variation.space.dimensions[0] == Dimension(
        "epochs,batch_size", options({"epochs": "1"}, {"epochs": "2", "batch_size": "8"})
    )
    _, faults = space_of("bprmf", Asked(tuple(settings), (), (point(lr="3"),)))
    assert [str(fault) for fault in faults] == ["argument 1:1: lr: varies already, at a.yaml:3; remove one of them"]
