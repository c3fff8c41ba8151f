"""The section `sweep:` of a config: read, inherited, overridden by arguments, written."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recrun.config.find import read_config, read_settings
from recrun.config.resolve import resolve
from recrun.config.yaml_writer import dump_value
from recrun.sweep.planning.own_section import section_faults
from recrun.sweep.space.arguments import parse_settings
from recrun.sweep.space.asked import Asked, overridden, parse_zips
from recrun.sweep.space.build import space_of
from recrun.sweep.space.dimensions import Dimension, Interval, Options
from recrun.sweep.space.dump_section import dump_section
from recrun.sweep.space.section import Budget, Section, read_section

Write = Callable[..., str]

WHOLE = """
extends: bprmf
sweep:
  search: tpe
  trials: 50
  seeds: 3
  prune: asha
  race: true
  generation: 4
  search_seed: 7
  budget: {max_hours: 2, max_epochs: 900, timeout: 60, retries: 1}
  points:
    - {epochs: 2, description: "a, b"}
    - {epochs: 3}
  zip: [embedding_dim, batch_size]
  space:
    lr: 1e-4..1e-2:log
    weight_decay: {from: 0, to: 0.5, step: 0.1}
    embedding_dim: [16, 32]
    batch_size: [512, 1024]
    n_negatives: 2
    optimizer:
      adam: {beta2: [0.9, 0.99]}
      sgd:
        momentum: 0..0.9
        nesterov: [true, false]
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)

    def write_file(text: str, name: str = "a.yaml") -> str:
        Path(name).write_text(text, encoding="utf-8")
        return name

    return write_file


def section_of(file: str) -> Section:
    section, faults = read_section(read_config(file).sweep)
    assert faults == []
    return section


def faults_of(text: str, write: Write) -> list[str]:
    return [str(fault) for fault in read_section(read_config(write(text)).sweep)[1]]


def test_a_section_says_how_to_search_and_what_to_spend(write: Write) -> None:
    section = section_of(write(WHOLE))
    assert (section.search, section.trials, section.seeds, section.prune) == ("tpe", 50, 3, "asha")
    assert (section.race, section.generation, section.search_seed) == (True, 4, 7)
    assert section.budget == Budget(max_hours=2.0, max_epochs=900, timeout=60.0, retries=1)
    assert (section.places["trials"].line, section.places["trials"].column) == (5, 11)
    assert not section.is_grid


def test_its_space_has_values_ranges_pairs_points_and_branches(write: Write) -> None:
    variation, faults = space_of("a.yaml", section_of(write(WHOLE)).asked, is_grid=False)
    assert faults == []
    assert variation.fixed == {"n_negatives": "2"}
    assert variation.space.dimensions == (
        Dimension("epochs,description", Options(({"epochs": "2", "description": '"a, b"'}, {"epochs": "3"}))),
        Dimension("lr", Interval("lr", 1e-4, 1e-2, log=True)),
        Dimension("weight_decay", Interval("weight_decay", 0.0, 0.5, 0.1)),
        Dimension(
            "embedding_dim,batch_size",
            Options(({"embedding_dim": "16", "batch_size": "512"}, {"embedding_dim": "32", "batch_size": "1024"})),
        ),
        Dimension("optimizer", Options(({"optimizer": "adam"}, {"optimizer": "sgd"}))),
        Dimension("beta2", Options(({"beta2": "0.9"}, {"beta2": "0.99"})), ("optimizer", 0)),
        Dimension("momentum", Interval("momentum", 0.0, 0.9), ("optimizer", 1)),
        Dimension("nesterov", Options(({"nesterov": "true"}, {"nesterov": "false"})), ("optimizer", 1)),
    )


def test_branches_nest_and_a_key_in_several_has_a_name_for_each(write: Write) -> None:
    text = (
        "extends: bprmf\nsweep:\n  space:\n    model:\n      bprmf:\n        optimizer:\n"
        "          adam: {lr: [1, 2]}\n          sgd: {lr: [3, 4]}\n      lightgcn: {n_layers: [1, 2], lr: [5]}\n"
        "      ease:\n"
    )
    variation, faults = space_of("a.yaml", section_of(write(text)).asked)
    assert faults == []
    assert [(each.name, each.when) for each in variation.space.dimensions] == [
        ("model", None),
        ("optimizer", ("model", 0)),
        ("bprmf.adam.lr", ("optimizer", 0)),
        ("bprmf.sgd.lr", ("optimizer", 1)),
        ("n_layers", ("model", 1)),
        ("lightgcn.lr", ("model", 1)),
    ]
    assert [variation.space.settings(draw) for draw in variation.space.grid()] == [
        {"model": "bprmf", "optimizer": "adam", "lr": "1"},
        {"model": "bprmf", "optimizer": "adam", "lr": "2"},
        {"model": "bprmf", "optimizer": "sgd", "lr": "3"},
        {"model": "bprmf", "optimizer": "sgd", "lr": "4"},
        {"model": "lightgcn", "n_layers": "1", "lr": "5"},
        {"model": "lightgcn", "n_layers": "2", "lr": "5"},
        {"model": "ease"},
    ]


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("sweep: 3", ["a.yaml:1:8: sweep: expected a mapping (space, points, zip, search, "]),
        ("sweep: [lr]", ["a.yaml:1:8: sweep: expected a mapping (space, points, zip, search, "]),
        ("sweep:", ["a.yaml:1:7: sweep: expected a mapping"]),
        ("sweep: {serch: tpe}", ["a.yaml:1:9: serch: unknown key in 'sweep' (available: space, points, zip, search, "]),
        (
            "sweep: {search: tpee}",
            ["a.yaml:1:17: search: expected one of grid, random, sobol, tpe, gp, cmaes, nsga2, "],
        ),
        (
            "sweep: {trials: 0, race: 1}",
            ["a.yaml:1:17: trials: expected an integer >= 1", "a.yaml:1:26: race: expected t"],
        ),
        ("sweep: {seeds: 0}", ["a.yaml:1:16: seeds: expected a number of seeds, or a list of different ones, found 0"]),
        ("sweep: {seeds: [1, 1]}", ["a.yaml:1:16: seeds: expected a number of seeds"]),
        ("sweep: {seeds: 1..2:log}", ["a.yaml:1:16: seeds: expected a number of seeds"]),
        ("sweep: {seeds: 1.5..2}", ["a.yaml:1:16: seeds: expected a number of seeds"]),
        (
            "sweep: {seeds: 1..99999999}",
            ["a.yaml:1:16: seeds: the range 1..99999999 has 99,999,999 values; at most 10,"],
        ),
        (
            "sweep: {budget: 3}",
            ["a.yaml:1:17: budget: expected a mapping (max_hours, max_epochs, timeout, retries), f"],
        ),
        ("sweep: {budget: {max_hour: 3}}", ["a.yaml:1:18: max_hour: unknown key in 'budget' (available: max_hours, "]),
        ("sweep: {budget: {retries: -1}}", ["a.yaml:1:27: retries: expected an integer >= 0, found -1 (an integer)"]),
        ("sweep: {space: [lr]}", ["a.yaml:1:16: space: expected a mapping of settings, found ['lr'] (a list)"]),
        ("sweep: {space: {lr: []}}", ["a.yaml:1:21: lr: has no values: the list is empty"]),
        ("sweep: {space: {lr: {}}}", ["a.yaml:1:21: lr: has no values: the mapping is empty"]),
        ("sweep: {space: {lr: [1, 2, 1]}}", ["a.yaml:1:28: lr: the value 1 is given twice"]),
        (
            "sweep: {space: {lr: 3..1}}",
            ["a.yaml:1:21: lr: the range 3..1 is empty: expected FIRST..LAST with FIRST <="],
        ),
        ("sweep: {space: {lr: '0..1:log'}}", ["a.yaml:1:22: lr: a range on a logarithmic scale begins above 0"]),
        ("sweep: {space: {lr: [0..0.5, 3]}}", ["a.yaml:1:22: lr: the range 0..0.5 stands beside other values, so it"]),
        ("sweep: {space: {lr: [1..99999999, 0]}}", ["a.yaml:1:22: lr: the range 1..99999999 has 99,999,999 values; a"]),
        ("sweep: {space: {lr: {from: 1}}}", ["a.yaml:1:21: lr: a range needs 'to'"]),
        ("sweep: {space: {lr: {from: 2, to: 1}}}", ["a.yaml:1:21: lr: the range 2..1 is empty"]),
        (
            "sweep: {space: {lr: {from: 0, to: 1, log: true}}}",
            ["a.yaml:1:28: lr: a range on a logarithmic scale begin"],
        ),
        ("sweep: {space: {lr: {from: 0, to: 1, step: -1}}}", ["a.yaml:1:44: lr: expected a step above 0, found -1"]),
        (
            "sweep: {space: {lr: {from: a, to: 1}}}",
            ["a.yaml:1:28: from: expected an integer or a number, found 'a' (t"],
        ),
        ("sweep: {space: {lr: {from: 1, two: 1}}}", ["a.yaml:1:31: two: unknown key in 'lr' (available: from, to, st"]),
        ("sweep: {space: {optimizer: {adam: 3}}}", ["a.yaml:1:35: adam: expected a mapping of settings, found 3 (an"]),
        ("sweep: {space: {two words: 3}}", ["a.yaml:1:17: two words: is no setting"]),
        ("sweep: {points: {lr: 1}}", ["a.yaml:1:17: points: expected a list of mappings of settings, found {'lr': 1}"]),
        ("sweep: {points: []}", ["a.yaml:1:17: points: expected a list of mappings of settings"]),
        (
            "sweep: {points: [{lr: 1}, 3, {}]}",
            ["a.yaml:1:27: points: expected a mapping", "a.yaml:1:30: points: expected"],
        ),
        ("sweep: {zip: lr}", ["a.yaml:1:14: zip: expected a list of settings, or several lists, found 'lr' (text)"]),
        ("sweep: {zip: [lr]}", ["a.yaml:1:14: zip: expected two settings or more, found ['lr'] (a list)"]),
        ("sweep: {zip: [[lr, 3], [a, b]]}", ["a.yaml:1:15: zip: expected two settings or more"]),
    ],
)
def test_every_fault_of_its_form_has_its_place(text: str, faults: list[str], write: Write) -> None:
    found = faults_of(text, write)
    assert len(found) >= len(faults)
    for expected in faults:
        assert any(each.startswith(expected) for each in found), found


def test_seeds_may_be_a_range(write: Write) -> None:
    assert section_of(write("extends: bprmf\nsweep: {seeds: 2..4}\n")).seeds == (2, 3, 4)


def test_nothing_depends_on_a_setting_that_chooses_nothing(write: Write) -> None:
    section = section_of(write("extends: bprmf\nsweep: {space: {epochs: {one: {lr: [1, 2]}}}}\n"))
    _, faults = space_of("a.yaml", section.asked)
    assert str(faults[0]).startswith(
        "a.yaml:2:17: epochs: nothing can depend on it, since it chooses nothing (these do:"
    )


def test_a_setting_varies_once_a_point(write: Write) -> None:
    text = "extends: bprmf\nsweep:\n  space:\n    lr: [1, 2]\n    optimizer: {adam: {lr: [3, 4]}, sgd: }\n"
    _, faults = space_of("a.yaml", section_of(write(text)).asked)
    assert [str(fault) for fault in faults] == ["a.yaml:5:24: lr: varies already, at a.yaml:4; remove one of them"]


def test_repeats_and_data_do_not_depend_on_what_is_compared(write: Write) -> None:
    text = "extends: bprmf\nsweep: {space: {optimizer: {adam: {seed: [1, 2]}, sgd: {split: [ratio, k_fold]}}}}\n"
    _, faults = space_of("a.yaml", section_of(write(text)).asked)
    assert [str(fault).partition(";")[0] for fault in faults] == [
        "a.yaml:2:36: seed: is averaged, so it must have the same values at every point",
        "a.yaml:2:57: split: changes the data, so it cannot depend on what is compared",
    ]


def test_a_section_does_not_affect_the_config(write: Write) -> None:
    resolved = resolve(write(WHOLE))
    assert "sweep" not in resolved.config
    assert dict(resolved.config) == dict(resolve("bprmf").config)


def test_it_is_inherited_key_by_key_and_its_space_setting_by_setting(write: Write) -> None:
    write(WHOLE, "base.yaml")
    write(
        "extends: base.yaml\nsweep:\n  trials: 9\n  race: null\n  budget: {retries: 3}\n  zip: null\n  points: null\n"
        "  space:\n    lr: [1, 2]\n    optimizer: null\n    margin: 0..1\n"
    )
    section = section_of("a.yaml")
    assert (section.search, section.trials, section.race) == ("tpe", 9, None)
    assert section.budget == Budget(max_hours=2.0, max_epochs=900, timeout=60.0, retries=3)
    assert section.asked.keys == ("lr", "weight_decay", "embedding_dim", "batch_size", "n_negatives", "margin")
    assert [value.text for value in section.asked.settings[0].values] == ["1", "2"]
    assert section.asked.settings[0].where.file == "a.yaml"
    assert section.asked.settings[1].where.file == "base.yaml"
    assert section_of(write("extends: base.yaml\nsweep: null\n")) == Section()


def test_a_fault_of_an_inherited_section_names_its_file(write: Write) -> None:
    write("extends: bprmf\nsweep: {serch: tpe}\n", "base.yaml")
    assert faults_of("extends: base.yaml\nsweep: {trials: 3}\n", write)[0].startswith("base.yaml:2:9: serch")
    write("extends: bprmf\nsweep: 3\n", "base.yaml")
    assert faults_of("extends: base.yaml\nsweep: {trials: 3}\n", write)[0].startswith("base.yaml:2:8: sweep: expected")


def test_arguments_override_it_everywhere(write: Write) -> None:
    section = section_of(write(WHOLE))
    arguments, _ = parse_settings(["lr=5", "epochs=4", "batch_size=7", "momentum=0.1,0.2", "seed=1,2"])
    asked = overridden(section.asked, arguments)
    variation, faults = space_of("a.yaml", asked, is_grid=False)
    assert faults == []
    assert variation.fixed == {"lr": "5", "batch_size": "7", "n_negatives": "2", "epochs": "4"}
    assert [each.name for each in variation.space.dimensions] == [
        "description",
        "weight_decay",
        "embedding_dim",
        "optimizer",
        "beta2",
        "nesterov",
        "momentum",
        "seed",
    ]
    zips, _ = parse_zips(["weight_decay,embedding_dim"])
    arguments, _ = parse_settings(["weight_decay=1,2"])
    again = overridden(section.asked, arguments, zips)
    assert [each.name for each in again.zips] == ["weight_decay,embedding_dim"]


def test_without_a_section_the_arguments_are_all(write: Write) -> None:
    arguments, _ = parse_settings(["lr=1,2"])
    assert read_section(None) == (Section(), [])
    assert overridden(Asked(), arguments) == Asked(tuple(arguments))


def test_a_users_file_in_it_is_relative_to_the_config(write: Write, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(
        "extends: bprmf\nsweep: {space: {model: [bprmf, ./own.py:Own], loss: {./own.py:Loss: , bpr: }}}\n", "sub/a.yaml"
    )
    found = section_of("sub/a.yaml").asked.settings
    assert [value.text for value in found[0].values] == ["bprmf", f'"{tmp_path}/sub/own.py:Own"']
    assert list(found[1].branches) == [f'"{tmp_path}/sub/own.py:Loss"', "bpr"]


def test_a_mapping_in_place_of_a_file_has_one_too() -> None:
    config = {"extends": "bprmf", "sweep": {"trials": 3, "space": {"lr": "1e-4..1e-2:log", "loss": ["bpr", "bce"]}}}
    section, faults = read_section(read_settings(config).sweep)
    assert faults == []
    assert section.trials == 3
    variation, _ = space_of(config, section.asked, is_grid=False)
    assert [each.name for each in variation.space.dimensions] == ["lr", "loss"]
    _, faults = read_section(read_settings({"extends": "bprmf", "sweep": {"trails": 3}}).sweep)
    assert str(faults[0]).endswith("did you mean 'trials'?")


def test_what_is_written_reads_back(write: Write) -> None:
    section = section_of(write(WHOLE))
    text = dump_section(section)
    again = section_of(write("extends: bprmf\n" + text, "b.yaml"))
    assert dump_section(again) == text
    for one, other in ((section, again),):
        assert (one.seeds, one.budget, one.search) == (other.seeds, other.budget, other.search)
        spaces = [space_of("bprmf", each.asked, is_grid=False)[0] for each in (one, other)]
        assert spaces[0].space == spaces[1].space
        assert spaces[0].fixed == spaces[1].fixed
    assert dump_section(Section()) == ""


_SCALARS = st.sampled_from([None, True, 1, -1, 0.5, "1..3", "0..1:log", "0..1:", "a", "", "lr", "adam", "1..9:0"])
_KEYS = st.sampled_from(
    ["lr", "optimizer", "adam", "sgd", "seed", "loss", "bpr", "dataset", "from", "to", "log", "x y"]
)
_TREES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=12
)
_SECTIONS = st.fixed_dictionaries(
    {"space": st.dictionaries(_KEYS, _TREES, min_size=1, max_size=4)},
    optional={
        "points": st.lists(st.dictionaries(_KEYS, _SCALARS, max_size=3), max_size=3) | _TREES,
        "zip": st.lists(_KEYS, max_size=3) | _TREES,
        "seeds": _TREES,
        "budget": _TREES,
        "search": _SCALARS,
    },
)


@given(_SECTIONS, st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_section_is_read_or_refused_with_places(tree: dict[str, object], is_grid: bool) -> None:
    text = f"model: bprmf\nsweep: {dump_value(tree)}\n"
    with TemporaryDirectory() as folder:
        file = Path(folder) / "a.yaml"
        file.write_text(text, encoding="utf-8")
        reading = read_config(file)
        assert reading.faults == []
        section, faults = read_section(reading.sweep)
        variation, more = space_of(file, section.asked, is_grid=is_grid)
        for fault in (*faults, *more):
            assert (fault.file, fault.line) == (str(file), 2), fault
        assert len(list(islice(variation.space.grid(), 3))) >= (not more and variation.space.is_countable)
        section_faults(file)
        if not faults:
            again = Path(folder) / "b.yaml"
            again.write_text("model: bprmf\n" + dump_section(section), encoding="utf-8")
            assert dump_section(read_section(read_config(again).sweep)[0]) == dump_section(section)
