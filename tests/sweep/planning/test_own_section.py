from __future__ import annotations

from pathlib import Path

import pytest

from recrun.errors import ConfigError
from recrun.sweep.planning.own_section import section_faults
from recrun.sweep.planning.plan import plan_sweep

BASE = "extends: bprmf\nepochs: 4\nsweep:\n"


def faults_in(folder: Path, section: str) -> tuple[list[str], list[str]]:
    """Return the faults that `recrun validate` finds in a section, and those of a sweep of it."""
    file = folder / "study.yaml"
    file.write_text(BASE + "".join(f"  {line}\n" for line in section.splitlines()))
    with pytest.raises(ConfigError) as caught:
        plan_sweep(file, [])
    found = [section_faults(file), caught.value.faults]
    own, of_sweep = ([str(fault).removeprefix(f"{folder}/") for fault in each] for each in found)
    return own, of_sweep


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (
            "seeds: 2\nspace: {lr: [1e-3, 1e-2], seed: [3, 4]}",
            "study.yaml:4:10: seeds: is given, and the space has values of seed too; give one of the two",
        ),
        (
            "trials: 4\nspace: {lr: [1e-3, 1e-2]}",
            "study.yaml:4:11: trials: a grid has the trials that it has; choose search: random, sobol, tpe ...",
        ),
        (
            "search_seed: 4\nspace: {lr: [1e-3, 1e-2]}",
            "study.yaml:4:16: search_seed: a grid draws nothing; choose search: random, sobol, tpe ...",
        ),
        (
            "generation: 4\nspace: {lr: [1e-3, 1e-2]}",
            "study.yaml:4:15: generation: a grid whose trials all run whole depends on no results; leave it out",
        ),
        (
            "search: grid\ntrials: 4\nspace: {lr: [1e-3, 1e-2]}",
            "study.yaml:5:11: trials: a grid has the trials that it has; choose search: random, sobol, tpe ...",
        ),
        (
            "prune: ashaa\nspace: {lr: [1e-3, 1e-2]}",
            "study.yaml:4:10: prune: unknown pruner 'ashaa'; did you mean 'asha'? Available: asha, hyperband, median, "
            "wilcoxon",
        ),
        (
            "prune: asha:eta=1\nspace: {lr: [1e-3, 1e-2]}",
            "study.yaml:4:10: prune: asha: eta: expected a whole number of at least 2, found '1'",
        ),
        (
            "race: true\nprune: asha\nseeds: 5\nspace: {lr: [1e-3, 1e-2]}",
            "study.yaml:4:9: race: prune and race both end trials early, and a race needs whole trials; give one",
        ),
        (
            "space: {lr: [1e-3, 1e-2], id: [a, b]}",
            "study.yaml:4:29: id: a sweep names the run folders of its trials itself; remove this",
        ),
        (
            "space: {lr: [1e-3, 1e-2], verbose: [0, 1]}",
            "study.yaml:4:42: verbose: does not change results; give one value",
        ),
        (
            "space:\n  optimizer:\n    adam: {resume: true}\n    sgd:",
            "study.yaml:6:14: resume: to continue a sweep, repeat its command; remove this",
        ),
        (
            "points:\n  - {lr: 1e-3, loss: bpr}\n  - {lr: 1e-3, loss: bpr}",
            "study.yaml:6:12: points: the point lr=1e-3 loss=bpr is given twice; remove one of them",
        ),
        (
            "points:\n  - {lr: 1e-3, loss: bpr}\n  - {lr: 0.001, loss: bpr}",
            "study.yaml:6:12: lr: the value lr=0.001 loss=bpr is given twice: it is equal to lr=1e-3 loss=bpr",
        ),
        (
            "points:\n  - {lr: 1e-3, loss: bpr}\n  - {loss: bpr}",  # the config has this lr
            "study.yaml:6:14: loss: the value loss=bpr is given twice: it is equal to lr=1e-3 loss=bpr",
        ),
        (
            "seeds: 3..1\nspace: {lr: [1e-3, 1e-2]}",
            "study.yaml:4:10: seeds: the range 3..1 is empty: expected FIRST..LAST with FIRST <= LAST",
        ),
        (
            "space: {lr: {1e-3: {momentum: [1, 2]}, 1e-2: }}",
            "study.yaml:4:11: lr: nothing can depend on it, since it chooses nothing (these do: model, dataset, loss, "
            "optimizer, lr_scheduler, sampler); list its values",
        ),
    ],
)
def test_a_section_that_makes_no_sense_is_refused_at_its_place_by_validation_and_by_a_sweep(
    tmp_path: Path, section: str, expected: str
) -> None:
    own, of_sweep = faults_in(tmp_path, section)
    assert own == of_sweep == [expected]


def test_test_is_not_read_by_a_section_that_asks_for_it_and_nothing_else_is_said_of_that(tmp_path: Path) -> None:
    for section in ("eval_test: true", "eval_test: [true, false]"):
        own, of_sweep = faults_in(tmp_path, f"space: {{lr: [1e-3, 1e-2], {section}}}")
        assert own == of_sweep
        assert [fault.partition(": a sweep")[0] for fault in own] == ["study.yaml:4:29: eval_test"]
    own, of_sweep = faults_in(tmp_path, "points: [{lr: 1e-3}, {lr: 1e-2, eval_test: true}]")
    assert own == of_sweep
    assert [fault.partition(": a sweep")[0] for fault in own] == ["study.yaml:4:46: eval_test"]


@pytest.mark.parametrize(
    ("section", "place", "beginning"),
    [
        ("race: true\nspace: {lr: [1e-3, 1e-2]}", "study.yaml:4:9: ", "--race saves seeds beyond the first 2"),
        ("search: cmaes\ntrials: 3\nspace: {lr: [1, 2]}", "study.yaml:4:11: ", "--search cmaes needs a range of"),
        ("prune: asha:min_epochs=9\nspace: {lr: [1, 2]}", "study.yaml:4:10: ", "--prune asha: there is no rung"),
        ("budget: {max_epochs: 3}\nspace: {lr: [1, 2]}", "study.yaml:4:11: ", "--max-epochs: one point takes 4 epochs"),
        ("search: random\ntrials: 99999\nspace: {lr: 1..2}", "", "the study has 99,999 trials; at most 10,000"),
        ("space: {lr: 1..2:1e-3, embedding_dim: 1..64}", "", "the grid has 64,064 trials; at most 10,000"),
    ],
)
def test_a_method_that_does_not_fit_the_space_is_found_by_validation_as_by_a_sweep(
    tmp_path: Path, section: str, place: str, beginning: str
) -> None:
    own, of_sweep = faults_in(tmp_path, section)
    assert len(own) == len(of_sweep) == 1
    assert own[0].startswith(place + beginning)
    assert of_sweep[0].startswith(beginning)
    assert own[0].removeprefix(place) == of_sweep[0]


@pytest.mark.parametrize(
    "section",
    [
        "search: random\nspace: {lr: 1..2}",
        "prune: asha:min_epochs=9\nspace: {lr: [1, 2], epochs: [4, 27]}",
        "seeds: 5\nrace: true\nspace: {lr: [1, 2]}",
        "search: tpe\ntrials: 3\nspace: {dataset: {Synthetic: {n_users: [300, 400]}}, lr: 1..2}",
    ],
)
def test_a_section_that_options_may_complete_or_that_fits_has_no_faults(tmp_path: Path, section: str) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(BASE + "".join(f"  {line}\n" for line in section.splitlines()))
    assert section_faults(file) == []


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("space: {lr: [1e-3, 1e-2]}\nspace: {}", "study.yaml:5:3: sweep: the key 'space' is set twice"),
        ("space:\n\tlr: [1e-3]", "study.yaml:5:3: sweep: not valid YAML: a tab where only spaces are allowed"),
    ],
)
def test_a_sweep_of_a_file_that_cannot_be_read_says_so_and_not_that_nothing_varies(
    tmp_path: Path, section: str, expected: str
) -> None:
    assert faults_in(tmp_path, section)[1] == [expected]


def test_a_sweep_of_which_nothing_varies_says_first_what_is_wrong_with_its_values(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_sweep("bprmf", ["lr=1e-4..", "epohs=3"])
    assert [str(fault) for fault in caught.value.faults] == [
        "argument 1:4: lr: expected a number > 0, found '1e-4..' (text)",
        "argument 2:1: epohs: unknown setting; did you mean 'epochs'?",
    ]
