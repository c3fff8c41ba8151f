"""Every value of a space is checked in its config, before anything is trained."""

from __future__ import annotations

from pathlib import Path

from recrun.sweep.planning.own_section import section_faults
from recrun.sweep.space.arguments import parse_settings
from recrun.sweep.space.asked import Asked
from recrun.sweep.space.build import space_of
from recrun.sweep.space.check import check_space


def faults_of(arguments: list[str], config: str = "bprmf") -> list[str]:
    settings, faults = parse_settings(arguments)
    variation, found = space_of(config, Asked(tuple(settings)), is_grid=False)
    assert (faults, found) == ([], [])
    return [str(fault) for fault in check_space(config, variation)]


def test_a_space_that_fits_has_no_faults() -> None:
    assert faults_of(["lr=1e-4..1e-2:log", "embedding_dim=16,32", "optimizer=adam,sgd", "epochs=3"]) == []


def test_both_ends_of_a_range_and_every_option_are_checked_at_their_place() -> None:
    assert faults_of(
        ["beta1=0..1.5", "lr=0..1", "epochs=2,-1,x", "optimizer=adam,sgdd", "loss=bpr,bce", "seed=-7"]
    ) == [
        "argument 1:10: beta1: expected a number >= 0 and < 1, found 1.5 (a number)",
        "argument 2:4: lr: expected a number > 0, found 0.0 (a number)",
        "argument 3:10: epochs: expected an integer >= 0, found -1 (an integer)",
        "argument 3:13: epochs: expected an integer >= 0, found 'x' (text)",
        "argument 4:16: optimizer: unknown optimizer 'sgdd' (available: adagrad, adam, adamw, lazy_adam, row_adagrad, "
        "sgd, sparse_adam); did you mean 'sgd'?",
        "argument 6:6: seed: expected an integer >= -1 and <= 4294967295, found -7 (an integer)",
    ]


def test_an_unknown_setting_is_reported_at_its_key_even_if_it_is_a_range() -> None:
    assert faults_of(["embeding_dim=0..0.5", "lr=1,2"]) == [
        "argument 1:1: embeding_dim: unknown setting; did you mean 'embedding_dim'?"
    ]


def test_a_fault_that_only_some_values_have_says_which() -> None:
    assert faults_of(["optimizer=adam,sgd", "beta1=0.1,0.2"])[0].endswith("(with optimizer=sgd)")


def test_two_spellings_of_one_value_are_a_fault() -> None:
    assert faults_of(["lr=1e-3,0.001", "loss=null,bpr"]) == [
        "argument 1:9: lr: the value 0.001 is given twice: it is equal to 1e-3",
        "argument 2:11: loss: the value bpr is given twice: it is equal to null",
    ]


def test_a_section_is_checked_with_its_branches(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "extends: bprmf\n"
        "sweep:\n"
        "  search: random\n"
        "  space:\n"
        "    optimizer:\n"
        "      adam: {momentum: 0..0.5}\n"
        "      sgd:\n"
        "        momentum: 0.1..1.5\n"
        "        nesterov: [true, maybe]\n"
        "    loss: {bpr: null, sampled_softmax: {temperature: [0.5, 0]}}\n"
    )
    assert [str(fault).replace(f"{tmp_path}/", "") for fault in section_faults(file)] == [
        "a.yaml:6:14: momentum: is a setting of optimizer sgd; this run uses model bprmf, dataset Synthetic, loss bpr, "
        "optimizer adam, lr_scheduler none, sampler uniform",
        "a.yaml:8:24: momentum: expected a number >= 0 and < 1, found 1.5 (a number)",
        "a.yaml:9:26: nesterov: expected true or false, found 'maybe' (text)",
        "a.yaml:10:60: temperature: expected a number > 0, found 0 (an integer)",
    ]


def test_a_config_without_a_section_has_no_faults_of_one() -> None:
    assert section_faults("bprmf") == []


def test_a_section_cannot_vary_what_a_sweep_decides_or_compares_by(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "extends: bprmf\nsweep:\n  points: [{plots: true}, {plots: false}]\n"
        "  space: {lr: [1, 2], eval_test: true, which4best: [ndcg@10, ndcg@20], optimizer: {adam: {id: a}}}\n"
    )
    assert [str(fault).replace(f"{tmp_path}/", "").partition(";")[0] for fault in section_faults(file)] == [
        "a.yaml:3:20: plots: does not change results",
        "a.yaml:3:35: plots: does not change results",
        "a.yaml:4:23: eval_test: a sweep that chooses never evaluates on test: validation selects the best trial, and "
        "test is for that one",
        "a.yaml:4:62: which4best: trials are compared by one criterion",
        "a.yaml:4:91: id: a sweep names the run folders of its trials itself",
    ]
