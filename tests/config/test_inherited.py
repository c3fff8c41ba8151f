from __future__ import annotations

from pathlib import Path

import pytest

from recrun.config import expected
from recrun.config.expected import configs_tuned_for
from recrun.config.find import bundled_configs
from recrun.config.resolve import resolve
from recrun.config.yaml_writer import dump_mapping
from recrun.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)


def _faults(config: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        resolve(config, overrides)
    return [str(fault) for fault in caught.value.faults]


def test_a_run_on_another_data_set_than_the_settings_were_chosen_for_says_so(folder: Path) -> None:
    _write(
        folder, a="model: bprmf\ndataset: Gowalla_m1\ntuned_for: Gowalla_m1\n", b="extends: a.yaml\ndataset: LastFM\n"
    )
    assert resolve("a.yaml").notes == ()
    assert resolve("a.yaml").tuned_for == ("Gowalla_m1",)
    assert "tuned_for" not in resolve("a.yaml").config
    assert resolve("a.yaml", ["dataset=MovieLens1M"]).notes == (
        "the settings of a.yaml were chosen for Gowalla_m1, not for MovieLens1M",
    )
    assert resolve("b.yaml").notes == ("the settings of a.yaml were chosen for Gowalla_m1, not for LastFM",)


def test_a_config_may_be_tuned_for_several_data_sets_and_for_data_of_ones_own(folder: Path) -> None:
    (folder / "mine.py").write_text(
        "from recrun.data.datasets.base import RecDataSet\n"
        "class Mine(RecDataSet):\n    'My data.'\n    def __init__(self, root): ...\n"
    )
    _write(folder, a="model: ease\ntuned_for: [LastFM, ./mine.py:Mine]\ndataset: LastFM\n")
    assert resolve("a.yaml").notes == resolve("a.yaml", ["dataset=./mine.py:Mine"]).notes == ()
    (note,) = resolve("a.yaml", ["dataset=Beauty"]).notes
    assert note == f"the settings of a.yaml were chosen for LastFM and {folder}/mine.py:Mine, not for Beauty"


def test_configs_tuned_for_a_data_set_are_those_that_reading_them_all_tells() -> None:
    resolved = {name: resolve(path) for name, path in bundled_configs().items()}
    names = {dataset for each in resolved.values() for dataset in each.tuned_for}
    assert len(names) > 5
    for dataset in names:
        there = [name for name, each in resolved.items() if dataset in each.tuned_for]
        assert configs_tuned_for(dataset) == there
        model = resolved[there[0]].config.model
        assert configs_tuned_for(dataset, model) == [name for name in there if resolved[name].config.model == model]


def test_an_extending_config_that_says_what_it_was_tuned_for_replaces_the_mark(folder: Path) -> None:
    _write(
        folder,
        a="model: ease\ndataset: LastFM\ntuned_for: LastFM\n",
        b="extends: a.yaml\ndataset: Beauty\ntuned_for: Beauty\n",
    )
    assert resolve("b.yaml").notes == ()
    assert resolve("b.yaml", ["dataset=LastFM"]).notes == (
        "the settings of b.yaml were chosen for Beauty, not for LastFM",
    )


def test_the_note_names_the_bundled_configs_of_the_same_model_for_the_data(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(
        folder,
        a="model: ease\ndataset: LastFM\ntuned_for: LastFM\n",
        b="model: ease\ndataset: Beauty\ntuned_for: Beauty\n",
        c="model: bprmf\ndataset: Beauty\ntuned_for: [Beauty, LastFM]\n",
    )
    bundled = {f"mine/{name}": folder / f"{name}.yaml" for name in "abc"}
    monkeypatch.setattr(expected, "bundled_configs", lambda: bundled)
    assert expected.configs_tuned_for("Beauty") == ["mine/b", "mine/c"]
    assert resolve("a.yaml", ["dataset=Beauty"]).notes == (
        "the settings of a.yaml were chosen for LastFM, not for Beauty; for Beauty see mine/b",
    )


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("Gowala_m1", "a.yaml:2:12: tuned_for: unknown dataset 'Gowala_m1' (available: "),
        ("[LastFM, Beuty]", "a.yaml:2:21: tuned_for: unknown dataset 'Beuty' (available: "),
        ("[LastFM, 3]", "a.yaml:2:21: tuned_for: expected a data set, found 3"),
        ("[]", "a.yaml:2:12: tuned_for: expected a data set, or a list of them"),
        ("null", "a.yaml:2:12: tuned_for: expected a data set, or a list of them"),
        ("3", "a.yaml:2:12: tuned_for: expected a data set, or a list of them"),
        ("{a: b}", "a.yaml:2:12: tuned_for: expected a data set, or a list of them"),
        ("''", "a.yaml:2:12: tuned_for: unknown dataset '' (available: "),
    ],
)
def test_a_mark_that_names_no_data_set_is_refused(folder: Path, written: str, fault: str) -> None:
    _write(folder, a=f"model: ease\ntuned_for: {written}\n")
    (found,) = _faults("a.yaml")
    assert found.startswith(fault)
    assert found.endswith("did you mean 'Beauty'?") == ("Beuty" in written)


def test_the_mark_cannot_be_set_on_the_command_line(folder: Path) -> None:
    assert _faults("ease", "tuned_for=LastFM") == [
        "argument 1:1: tuned_for: belongs in a config file; it says for which data sets the settings there were chosen"
    ]


def test_an_inherited_setting_that_an_override_makes_meaningless_is_dropped_with_a_note(folder: Path) -> None:
    _write(folder, a="model: sasrec\nsplit: leave_one_out\nloss: bce\nn_negatives: 1\n")
    resolved = resolve("a.yaml", ["loss=cross_entropy"])
    assert resolved.notes == (
        "n_negatives=1 of a.yaml does not apply to loss cross_entropy, which uses no sampled negatives; it is dropped",
    )
    assert "n_negatives" not in resolved.config
    assert resolve("a.yaml").notes == ()


def test_the_config_that_the_docstring_of_a_bundled_model_recommends_is_reached_from_the_command_line() -> None:
    for name, n_notes in (("sasrec", 0), ("gru4rec", 0), ("synthetic/sasrec", 1), ("synthetic/gru4rec", 1)):
        resolved = resolve(name, ["loss=cross_entropy"])
        assert (resolved.config.loss, len(resolved.notes)) == ("cross_entropy", n_notes)


def test_an_extending_config_drops_what_it_makes_meaningless(folder: Path) -> None:
    _write(
        folder,
        a="model: bprmf\noptimizer: sgd\nmomentum: 0.5\nsampler: dns\nn_candidates: 8\nepochs: 3\n",
        b="extends: a.yaml\noptimizer: adam\n",
        c="extends: b.yaml\nmodel: ease\n",
    )
    assert resolve("b.yaml").notes == ("momentum=0.5 of a.yaml does not apply to optimizer adam; it is dropped",)
    closed_form = "model ease, which is fitted in closed form; they are dropped"
    assert resolve("c.yaml").notes == (
        f"optimizer=adam of b.yaml does not apply to {closed_form.replace('they are', 'it is')}",
        f"momentum=0.5, sampler=dns, n_candidates=8, epochs=3 of a.yaml do not apply to {closed_form}",
    )
    assert "sampler" not in resolve("c.yaml").config


@pytest.mark.parametrize(
    ("overrides", "dropped"),
    [
        ("loss=cross_entropy", {"n_negatives", "n_candidates", "sampler"}),
        ("sampler=uniform", {"n_candidates"}),
        ("optimizer=adam", {"momentum", "nesterov"}),
        ("lr_scheduler=none", {"lr_step_size"}),
        ("lr_scheduler=plateau", {"lr_step_size"}),
        ("dataset=MovieLens1M", {"n_users"}),
        (
            "dataset=MovieLens1M optimizer=adam loss=cross_entropy",
            {"n_users", "momentum", "nesterov", "sampler", "n_candidates", "n_negatives"},
        ),
        ("model=gru4rec sampler=uniform", {"n_candidates", "draw_on", "embedding_decay"}),
        (
            "model=multvae loss=multinomial",
            {"draw_on", "init_std", "embedding_decay", "sampler", "n_candidates", "n_negatives"},
        ),
    ],
)
def test_whatever_an_override_replaces_its_settings_go_with_it(folder: Path, overrides: str, dropped: set[str]) -> None:
    text = "model: bprmf\nloss: bpr\nsampler: dns\nn_candidates: 8\nn_negatives: 2\noptimizer: sgd\nmomentum: 0.5\n"
    text += "nesterov: true\nlr_scheduler: step\nlr_step_size: 3\ndataset: Synthetic\nn_users: 500\ndraw_on: auto\n"
    text += "init_std: 0.1\nembedding_decay: 0.1\nsplit: leave_one_out\n"
    _write(folder, a=text)
    notes = resolve("a.yaml", overrides.split()).notes
    found = {written.partition("=")[0] for note in notes for written in note.partition(" of ")[0].split(", ")}
    assert found == dropped


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        ("loss=cross_entropy n_negatives=5", "argument 2:1: n_negatives: is a setting of sampler dns, "),
        ("optimizer=adam momentum=0.5", "argument 2:1: momentum: is a setting of optimizer sgd"),
        ("model=ease epochs=3", "argument 2:1: epochs: model ease is fitted in closed form"),
        ("model=ease lr=1", "argument 2:1: lr: model ease is fitted in closed form"),
        ("dataset=LastFM valid_from=end", "argument 2:1: valid_from: is a setting of dataset AmazonBooks_m1, "),
        ("sampler=uniform n_candidates=3", "argument 2:1: n_candidates: is a setting of sampler dns"),
        ("lr_scheduler=cosine lr_step_size=3", "argument 2:1: lr_step_size: is a setting of lr_scheduler step"),
    ],
)
def test_what_is_set_together_with_the_choice_that_makes_it_meaningless_is_a_fault(
    folder: Path, overrides: str, fault: str
) -> None:
    (found,) = _faults("bprmf", *overrides.split())
    assert found.startswith(fault)


@pytest.mark.parametrize(
    "text",
    ["loss: cross_entropy\nn_negatives: 5", "optimizer: adam\nmomentum: 0.5", "sampler: uniform\nn_candidates: 3"],
)
def test_what_was_meaningless_already_where_it_was_written_stays_a_fault_above(folder: Path, text: str) -> None:
    key = text.splitlines()[1].partition(":")[0]
    _write(folder, a=f"model: bprmf\n{text}\n", b="extends: a.yaml\nepochs: 2\n")
    for config, overrides in (("a.yaml", ()), ("b.yaml", ()), ("a.yaml", ("epochs=2",)), ("b.yaml", ("epochs=2",))):
        (found,) = _faults(config, *overrides)
        assert found.startswith(f"a.yaml:3:1: {key}: is a setting of ")


def test_a_misspelt_key_of_the_inherited_file_is_never_dropped(folder: Path) -> None:
    _write(folder, a="model: bprmf\nepohs: 3\nn_negativs: 2\n")
    assert [fault.split(": ")[1] for fault in _faults("a.yaml", "loss=cross_entropy")] == ["epohs", "n_negativs"]


def test_a_base_without_a_model_gives_each_config_what_it_can_use(folder: Path) -> None:
    _write(
        folder,
        base="dataset: LastFM\nepochs: 3\nn_negatives: 2\nmonitors: [ndcg@5]\n",
        a="extends: base.yaml\nmodel: ease\n",
        b="extends: base.yaml\nmodel: bprmf\n",
    )
    assert resolve("b.yaml").notes == ()
    assert resolve("b.yaml").config.n_negatives == 2
    assert resolve("a.yaml").notes == (
        "epochs=3, n_negatives=2 of base.yaml do not apply to model ease, which is fitted in closed form; they are "
        "dropped",
    )


def test_null_takes_back_an_inherited_setting(folder: Path) -> None:
    _write(folder, a="model: bprmf\nepochs: 3\noptimizer: sgd\nmomentum: 0.5\nearly_stop_patience: 2\n")
    resolved = resolve("a.yaml", ["epochs=null", "momentum=null", "early_stop_patience=null"])
    assert (resolved.config.epochs, resolved.config.momentum, resolved.config.early_stop_patience) == (100, 0.0, None)
    assert resolved.notes == (
        "epochs=3 of a.yaml is unset; the default is 100",
        "momentum=0.5 of a.yaml is unset; the default is 0.0",
    )
    assert resolve("a.yaml", ["optimizer=null", "momentum=null"]).config.optimizer == "adam"
    _write(folder, b="extends: a.yaml\noptimizer: adam\nmomentum: null\nepochs: ~\n")
    assert resolve("b.yaml").notes == ("epochs=3 of a.yaml is unset; the default is 100",)


@pytest.mark.parametrize("value", ["null", "~", ""])
def test_null_is_a_fault_where_there_is_nothing_to_take_back(folder: Path, value: str) -> None:
    _write(folder, a=f"model: bprmf\nepochs: {value}\n", b="model: bprmf\n")
    assert _faults("a.yaml")[0].endswith("epochs: expected an integer >= 0, found null")
    (fault,) = _faults("b.yaml", f"epochs={value}")
    assert fault.endswith("epochs: expected an integer >= 0, found null")
    assert _faults("b.yaml", f"momentum={value}")[0].startswith("argument 1:1: momentum: is a setting of optimizer sgd")
    assert _faults("b.yaml", f"foo={value}")[0].startswith("argument 1:1: foo: unknown setting")


def test_a_contradiction_with_an_inherited_setting_says_where_it_is_from_and_how_to_unset_it(folder: Path) -> None:
    _write(folder, a="model: bprmf\nlr_scheduler: plateau\n", b="extends: a.yaml\neval_valid: false\n")
    told = "a.yaml:2:15: lr_scheduler: plateau follows the validation metric, but eval_valid: false leaves none; "
    told += "remove one of the two (inherited from a.yaml:2; set lr_scheduler anew, or unset it with "
    assert _faults("b.yaml") == [f"{told}lr_scheduler: null)"]
    assert _faults("a.yaml", "eval_valid=false") == [f"{told}lr_scheduler=null)"]
    assert resolve("a.yaml", ["eval_valid=false", "lr_scheduler=null"]).config.eval_valid is False


OWN = """
from typing import Annotated
from recrun.models.bprmf import BPRMF
from recrun.types import AppliesIf, PositiveInt, Where
raise RuntimeError("checking a config does not run this file")
class Mine(BPRMF):
    'Mine.'
    def __init__(
        self,
        data,
        *,
        size: PositiveInt = 8,
        heads: Annotated[
            PositiveInt, Where("size % heads == 0", "expected a divisor of size {size}, found {heads}")
        ] = 2,
        depth: Annotated[int, AppliesIf("heads > 1", "there is one head")] = 3,
    ) -> None: ...
class Faulty(BPRMF):
    'Faulty.'
    def __init__(self, data, *, size: Annotated[int, Where("open(size)", "")] = 8) -> None: ...
"""


def test_conditions_hold_for_a_model_of_ones_own_whose_file_is_not_run(folder: Path) -> None:
    (folder / "mine.py").write_text(OWN)
    _write(folder, a="model: ./mine.py:Mine\nsize: 6\nheads: 4\n", b="model: ./mine.py:Mine\nheads: 1\ndepth: 5\n")
    assert _faults("a.yaml") == ["a.yaml:3:8: heads: expected a divisor of size 6, found 4"]
    assert _faults("b.yaml") == ["b.yaml:3:8: depth: does not apply: there is one head; remove it"]
    assert resolve("b.yaml", ["heads=2"]).config.depth == 5


def test_an_inherited_setting_that_another_one_leaves_without_a_meaning_gets_its_default(folder: Path) -> None:
    (folder / "mine.py").write_text(OWN)
    _write(folder, a="model: ./mine.py:Mine\nheads: 2\ndepth: 5\n", b="extends: a.yaml\nheads: 1\n")
    for resolved in (resolve("b.yaml"), resolve("a.yaml", ["heads=1"])):
        assert resolved.config.depth == 3
        assert resolved.notes == ("depth=5 of a.yaml does not apply: there is one head; it is dropped",)
    assert _faults("a.yaml", "heads=1", "depth=4") == [
        "argument 2:7: depth: does not apply: there is one head; remove it"
    ]


def test_what_is_not_a_condition_is_refused_where_its_component_is_chosen(folder: Path) -> None:
    (folder / "mine.py").write_text(OWN)
    _write(folder, a="model: ./mine.py:Faulty\n")
    (fault,) = _faults("a.yaml")
    assert fault.startswith("a.yaml:1:8: size: model ")
    assert fault.endswith(
        "has a faulty condition on it: 'open(size)' is not a condition on settings: it holds 'open(size)'"
    )


def test_given_parts_drop_an_inherited_split_and_what_goes_with_it(folder: Path) -> None:
    _write(folder, a="model: popularity\ndataset: File\npath: a.csv\nsplit: leave_k\nn_held_out: 2\n")
    resolved = resolve("a.yaml", ["path=null", "train_path=a.csv", "test_path=b.csv"])
    assert (resolved.config.split, resolved.config.n_held_out, resolved.config.path) == ("ratio", 1, None)
    assert resolved.notes == (
        "split=leave_k of a.yaml does not apply: the parts are given by train_path and test_path; it is dropped",
        "n_held_out=2 of a.yaml does not apply: it is for split=leave_k, found split=ratio; it is dropped",
    )


def test_an_inherited_value_that_the_chosen_component_does_not_take_says_where_it_is_from(folder: Path) -> None:
    _write(folder, a="model: ease\nsplit: leave_k\n", b="extends: a.yaml\ndataset: Beauty\n", c="model: ease\nlr: x\n")
    taken = "cold_items, cold_users, leave_one_out, new_users, ratio, user_time"
    (fault,) = _faults("b.yaml")
    assert fault.startswith(
        f"a.yaml:2:8: split: expected one of {taken}, found 'leave_k' (text) (inherited from a.yaml:2; "
    )
    assert fault.partition("; did you mean")[0].endswith("set split anew, or unset it with split: null)")
    assert resolve("a.yaml", ["dataset=Beauty", "split=null"]).config.split == "leave_one_out"
    assert "inherited" not in _faults("c.yaml", "dataset=Beauty")[0]


@pytest.mark.parametrize(
    ("config", "overrides"),
    [
        ("sasrec", "dataset=File train_path=a.csv test_path=b.csv"),
        ("sasrec", "dataset=File path=a.csv"),
        ("sasrec", "loss=cross_entropy split=ratio shuffled_time=true"),
        ("bprmf", "dataset=File path=a.csv format=pairs split=leave_k n_held_out=3"),
        ("bprmf", "dataset=Synthetic split=k_fold n_folds=3 test_fold=2"),
        ("bprmf", "dataset=MovieLens100K split=given fold=u1"),
        (
            "lr",
            "dataset=LabelledFile train_path=a.csv test_path=b.csv sparse_columns=[a] monitors=[auc] which4best=auc",
        ),
        ("gowalla/bprmf", "dataset=MovieLens100K"),
        ("bprmf", "model=ease"),
    ],
)
def test_what_is_printed_after_dropping_is_a_config_without_notes(folder: Path, config: str, overrides: str) -> None:
    resolved = resolve(config, overrides.split())
    (folder / "printed.yaml").write_text(dump_mapping(resolved.config))
    again = resolve("printed.yaml")
    assert dict(again.config) == dict(resolved.config)
    assert [note for note in again.notes if not note.startswith("shuffled_time")] == []


@pytest.mark.parametrize("model", ["lr", "fm", "deepfm", "dcn", "dcnv2", "xdeepfm", "finalmlp", "autoint"])
def test_an_inherited_monitor_that_the_run_cannot_have_is_dropped_with_a_note(model: str) -> None:
    resolved = resolve(model, ["dataset=LabelledFile", "path=a.csv", "sparse_columns=[x]"])
    assert resolved.config.monitors == ["auc", "logloss"]
    (note,) = resolved.notes
    assert note.endswith("gauc is computed for each user, but user_column is not set; it is dropped")
    assert resolve(model, ["dataset=LabelledFile", "path=a.csv", "user_column=u"]).config.monitors[1] == "gauc"


def test_where_no_inherited_monitor_is_left_the_default_ones_are_taken(folder: Path) -> None:
    _write(folder, a="model: bprmf\nmonitors: [recall@5, ndcg@5]\nwhich4best: recall@5\n")
    resolved = resolve("a.yaml", ["model=lr", "dataset=SyntheticClicks"])
    assert (resolved.config.monitors, resolved.config.which4best) == (["auc", "logloss"], "logloss")
    assert [note.partition(": ")[2] for note in resolved.notes] == [
        f"{name}@5 measures a ranking, but model lr predicts labels; it is dropped" for name in ("recall", "ndcg")
    ]


def test_a_monitor_that_did_not_fit_where_it_was_written_is_still_a_fault(folder: Path) -> None:
    _write(folder, a="model: lr\ndataset: SyntheticClicks\nmonitors: [auc, ndcg@5]\n", b="extends: a.yaml\nepochs: 1\n")
    (fault,) = _faults("b.yaml")
    assert fault.startswith("a.yaml:3:17: monitors: ndcg@5 measures a ranking, but model lr predicts labels; use auc")


@pytest.mark.parametrize("chosen", ["which4best=gauc", "monitors=[gauc]", "monitors=[ndcg@5]", "monitors=[auc,gauc]"])
def test_a_monitor_that_the_command_line_chooses_is_never_dropped(chosen: str) -> None:
    faults = _faults("lr", "dataset=LabelledFile", "path=a.csv", "sparse_columns=[x]", chosen)
    assert any(fault.startswith("argument 4:") for fault in faults)


def test_a_model_of_labels_monitors_what_it_can_unless_told_otherwise(folder: Path) -> None:
    _write(folder, a="model: lr\ndataset: SyntheticClicks\n")
    assert resolve("a.yaml").config.monitors == resolve("lr", ["monitors=null"]).config.monitors == ["auc", "logloss"]


def test_an_inherited_criterion_that_later_monitors_leave_out_is_dropped_with_a_note(folder: Path) -> None:
    _write(folder, a="model: bprmf\nmonitors: [recall@5, ndcg@5]\nwhich4best: recall@5\n")
    resolved = resolve("a.yaml", ["monitors=[mrr@5,loss]"])
    assert resolved.config.which4best == "mrr@5"
    note = "which4best=recall@5 of a.yaml is not among the monitors; it is dropped, and mrr@5 chooses the best epoch"
    assert resolved.notes == (note,)
    assert resolve("a.yaml", ["monitors=[mrr@5,recall@5,ndcg@9]"]).config.which4best == "recall@5"
    assert resolve("a.yaml", ["monitors=[mrr@5,RECALL@5]"]).notes == ()


@pytest.mark.parametrize(
    ("overrides", "place"),
    [
        (
            ["monitors=[mrr@5]", "which4best=recall@5"],
            "argument 2:12: which4best: expected one of the monitors (mrr@5)",
        ),
        (["which4best=recall@7"], "argument 1:12: which4best: expected one of the monitors (recall@5, ndcg@5)"),
        (["monitors=[loss]"], "argument 1:10: monitors: lists no metric that can choose the best epoch"),
    ],
)
def test_a_criterion_of_the_last_layer_is_never_dropped(folder: Path, overrides: list[str], place: str) -> None:
    _write(folder, a="model: bprmf\nmonitors: [recall@5, ndcg@5]\nwhich4best: recall@5\n")
    assert _faults("a.yaml", *overrides)[0].startswith(place)


def test_inherited_validation_is_dropped_with_a_note_where_valid_is_trained_on(folder: Path) -> None:
    _write(folder, a="model: bprmf\ndataset: LastFM\neval_valid: true\nearly_stop_patience: 3\n")
    resolved = resolve("a.yaml", ["train_on=train_valid"])
    assert resolved.config.eval_valid is False
    assert resolved.config.early_stop_patience is None
    assert resolved.notes == (
        "eval_valid=true of a.yaml does not apply: train_on: train_valid leaves nothing to validate on; it is dropped",
        "early_stop_patience=3 of a.yaml does not apply: train_on: train_valid leaves no validation metric; "
        "it is dropped",
    )


@pytest.mark.parametrize("cause", ["valid_ratio=0", "eval_valid=false"])
def test_an_inherited_patience_is_dropped_with_a_note_where_there_is_no_validation(folder: Path, cause: str) -> None:
    _write(folder, a="model: bprmf\ndataset: LastFM\nearly_stop_patience: 3\n")
    resolved = resolve("a.yaml", [cause])
    assert resolved.config.early_stop_patience is None
    reason = cause.replace("=", ": ")
    assert resolved.notes == (
        f"early_stop_patience=3 of a.yaml does not apply: {reason} leaves no validation metric; it is dropped",
    )
    (fault,) = _faults("a.yaml", cause, "early_stop_patience=3")
    assert "early stopping needs a validation metric" in fault
    _write(folder, b=f"model: bprmf\ndataset: LastFM\nearly_stop_patience: 3\n{reason}\n", c="extends: b.yaml\n")
    assert "early stopping needs a validation metric" in _faults("c.yaml")[0]


def test_a_criterion_that_its_own_file_does_not_monitor_is_a_fault(folder: Path) -> None:
    _write(folder, a="model: bprmf\nmonitors: [recall@5]\nwhich4best: ndcg@5\n")
    (fault,) = _faults("a.yaml", "epochs=1")
    assert fault.startswith("a.yaml:3:13: which4best: expected one of the monitors (recall@5), found 'ndcg@5'")


@pytest.mark.parametrize(
    ("config", "model", "dropped", "now"),
    [
        ("bprmf", "lr dataset=SyntheticClicks", "loss=bpr", "bce"),
        ("bprmf", "deepfm dataset=LabelledFile path=a.csv sparse_columns=[x]", "loss=bpr", "bce"),
        ("bprmf", "multvae", "loss=bpr", "multinomial"),
        ("bprmf", "ultragcn", "loss=bpr", "bce"),
        ("multvae", "bprmf", "loss=multinomial", "bpr"),
        ("multvae", "lr dataset=SyntheticClicks", "loss=multinomial", "bce"),
        ("enmf", "sasrec split=leave_one_out", "loss=whole_data", "bce"),
        ("enmf", "multvae", "loss=whole_data", "multinomial"),
        ("gowalla/ccl", "multvae", "loss=ccl", "multinomial"),
        ("gowalla/directau", "neumf", "loss=directau", "bce"),
        ("gowalla/bsl", "neumf", "loss=bsl", "bce"),
    ],
)
def test_an_inherited_loss_that_a_later_model_cannot_have_gives_way_to_that_of_the_model(
    config: str, model: str, dropped: str, now: str
) -> None:
    resolved = resolve(config, f"model={model}".split())
    assert resolved.config.loss == now
    (note,) = [note for note in resolved.notes if note.startswith(f"{dropped} of ")]
    assert " does not fit: " in note
    assert note.endswith("; it is dropped")


def test_an_inherited_sampler_and_optimizer_that_a_later_model_cannot_have_give_way(folder: Path) -> None:
    text = "model: bprmf\nsplit: leave_one_out\nloss: sampled_softmax\nlogq_correction: true\nsampler: in_batch\n"
    _write(folder, a=f"{text}optimizer: lazy_adam\n", b="extends: a.yaml\nmodel: caser\n", c="extends: b.yaml\n")
    for config in ("b.yaml", "c.yaml"):
        resolved = resolve(config)
        assert (resolved.config.sampler, resolved.config.optimizer, resolved.config.loss) == (
            "uniform",
            "adam",
            "sampled_softmax",
        )
        assert resolved.config.logq_correction is True
        assert [note.partition(" of a.yaml does not fit: ")[0] for note in resolved.notes] == [
            "sampler=in_batch",
            "optimizer=lazy_adam",
        ]
        (folder / "printed.yaml").write_text(dump_mapping(resolved.config))
        assert resolve("printed.yaml").notes == ()


@pytest.mark.parametrize(
    ("config", "overrides", "fault"),
    [
        ("bprmf", "model=lr dataset=SyntheticClicks loss=bpr", "argument 3:6: loss: model lr predicts labels"),
        ("bprmf", "model=multvae loss=ccl", "argument 2:6: loss: loss ccl needs cosine"),
        ("bprmf", "loss=multinomial", "argument 1:6: loss: loss multinomial needs users' whole rows"),
        ("multvae", "loss=bpr", "argument 1:6: loss: model multvae is trained on users' whole rows"),
        ("sasrec", "sampler=dns", "argument 1:9: sampler: sampler dns does not work with model sasrec"),
        ("sasrec", "optimizer=sparse_adam", "argument 1:11: optimizer: sparse_adam trains embeddings only"),
        ("bprmf", "model=caser split=leave_one_out optimizer=lazy_adam", "argument 3:11: optimizer: lazy_adam"),
        ("bprmf", "model=sasrec split=leave_one_out sampler=in_batch", "argument 3:9: sampler: sampler in_batch does"),
        ("ultragcn", "loss=bpr", "argument 1:6: loss: model ultragcn works only with bce, found bpr"),
        ("lr", "dataset=Synthetic", "argument 1:9: dataset: model lr predicts labels, but Synthetic has none"),
        ("simplex", "model=bprmf similarity=dot", "argument 2:12: similarity: loss ccl needs cosine scores"),
    ],
)
def test_what_the_last_layer_chooses_is_never_dropped_for_a_model(config: str, overrides: str, fault: str) -> None:
    assert _faults(config, *overrides.split())[0].startswith(fault)


@pytest.mark.parametrize(
    ("config", "model"), [("bprmf", "lr"), ("gowalla/bprmf", "deepfm"), ("ease", "fm"), ("lr", "bprmf"), ("fm", "ease")]
)
def test_inherited_data_that_a_later_model_cannot_be_trained_on_is_one_fault_that_names_the_key(
    config: str, model: str
) -> None:
    (fault,) = _faults(config, f"model={model}")
    assert ": dataset: " in fault
    assert fault.endswith("; set dataset anew)")


def test_a_loss_that_did_not_fit_where_it_was_written_is_still_a_fault(folder: Path) -> None:
    _write(folder, a="model: bprmf\nloss: multinomial\n", b="extends: a.yaml\nmodel: neumf\n")
    assert _faults("b.yaml")[0].startswith("a.yaml:2:7: loss: loss multinomial needs users' whole rows")
