"""Keys and values of other programs are answered with what to write here."""

from __future__ import annotations

from pathlib import Path

import pytest

from recrun.config.resolve import resolve
from recrun.config.settings import COMPONENTS, RUN, TRAINING
from recrun.config.suggestions.keys import REMARKS, RENAMED
from recrun.config.suggestions.translations import TRANSLATED
from recrun.errors import ConfigError, Fault
from recrun.registry import REGISTRIES
from recrun.registry.other_names import _ELSEWHERE

SETTINGS = {
    *(each.name for registry in COMPONENTS.values() for known in registry for each in known.parameters),
    *(each.name for each in (*RUN, *TRAINING)),
}


def _faults(config: str | Path, *overrides: str) -> list[Fault]:
    with pytest.raises(ConfigError) as error:
        resolve(config, overrides)
    return error.value.faults


def _written(folder: Path, text: str) -> list[str]:
    (folder / "a.yaml").write_text(text, encoding="utf-8")
    return [str(fault).partition("a.yaml:")[2] for fault in _faults(folder / "a.yaml")]


def test_every_key_elsewhere_stands_for_a_setting_and_is_none_itself() -> None:
    assert {each for meant in RENAMED.values() for each in meant} <= SETTINGS
    assert not {*RENAMED, *REMARKS, *TRANSLATED} & SETTINGS
    assert not {*REMARKS} & {*RENAMED}
    assert not {*REMARKS} & TRANSLATED
    assert {*RENAMED} & TRANSLATED == {"k"}


def test_every_name_elsewhere_stands_for_a_component() -> None:
    for plural, table in _ELSEWHERE.items():
        assert set(table) <= set(REGISTRIES[plural].names())
        spellings = [each for names in table.values() for each in names.split()]
        assert len(spellings) == len(set(spellings)), plural


def test_a_key_that_means_the_same_is_answered_with_the_setting_here() -> None:
    keys = [
        "learning_rate",
        "train_batch_size",
        "STOPPING-STEP",
        "embedding_size",
        "num_epochs",
        "random_state",
        "worker",
    ]
    faults = _faults("bprmf", *(f"{key}=1" for key in keys))
    assert [(fault.message, fault.suggestion) for fault in faults] == [
        ("unknown setting", meant)
        for meant in ("lr", "batch_size", "early_stop_patience", "embedding_dim", "epochs", "seed", "num_workers")
    ]


@pytest.mark.parametrize(
    ("config", "argument", "meant"),
    [
        ("sasrec", "maxlen=5", "max_length"),
        ("slim", "max_iter=5", "n_iterations"),
        ("ease", "l2_reg=5", "reg_weight"),
        ("lightgcn", "reg_weights=1e-4", "embedding_decay"),
        ("bprmf", "reg=1e-4", "embedding_decay"),
        ("sasrec", "reg=1e-4", "weight_decay"),
        ("multvae", "hidden_size=5", "hidden_dim"),
        ("itemknn", "k=5", "n_neighbors"),
        ("bprmf", "k=5", None),
    ],
)
def test_a_key_with_several_meanings_is_answered_for_the_model_in_use(
    config: str, argument: str, meant: str | None
) -> None:
    assert [fault.suggestion for fault in _faults(config, argument)] == [meant]


@pytest.mark.parametrize(
    ("config", "key", "meant"),
    [
        ("bprmf", "learnig_rate", "lr"),
        ("bprmf", "Manual-Sead", "seed"),
        ("ease", "lambda_regg", "reg_weight"),
        ("ease", "learnig_rate", None),
        ("bprmf", "zzzzzzzz", None),
        ("bprmf", "epohc", "epochs"),
    ],
)
def test_a_misspelt_key_of_another_program_is_answered_with_the_setting_here(
    config: str, key: str, meant: str | None
) -> None:
    assert [fault.suggestion for fault in _faults(config, f"{key}=1")] == [meant]


def test_a_key_whose_setting_the_run_does_not_have_says_why() -> None:
    (fault,) = _faults("ease", "learning_rate=1")
    assert fault.message == (
        "unknown setting, called lr here; lr: model ease is fitted in closed form and takes no training settings; "
        "remove it"
    )
    (fault,) = _faults("bprmf", "maxlen=5")
    assert "unknown setting, called max_length here; max_length: is a setting of model bert4rec" in fault.message
    (fault,) = _faults("lr", "share_embedding=1")
    assert "unknown setting, called shared_columns here; shared_columns: is a setting of dataset" in fault.message


def test_a_slip_of_the_pen_for_a_setting_of_the_run_wins_over_a_setting_of_others_called_so_elsewhere() -> None:
    (fault,) = _faults("youtubednn", "share_embedding=1")
    assert (fault.message, fault.suggestion) == ("unknown setting", "share_embeddings")


def test_the_config_of_another_program_is_answered_with_the_lines_to_write(tmp_path: Path) -> None:
    text = (
        "model: BPR\ngpu_id: 0\ntrain_neg_sample_args: {distribution: popularity, sample_num: 2}\n"
        "eval_args:\n  split: {RS: [8, 1, 1]}\n  order: RO\ntopk: [5, 20]\n"
        "metrics: [Recall, NDCG, Hit, ItemCoverage, GAUC]\n"
        "valid_metric: MRR@10\neval_batch_size: 4096\nload_col: {inter: [user_id]}\ncheckpoint_dir: saved\n"
    )
    monitors = (
        "write monitors: [recall@5, recall@20, ndcg@5, ndcg@20, hitrate@5, hitrate@20, coverage@5, coverage@20, gauc]"
    )
    faults = _written(tmp_path, text)
    assert faults[0].endswith("; did you mean 'bprmf'?")
    assert faults[1:] == [
        "2:1: gpu_id: unknown setting; write device: cuda:0",
        "3:1: train_neg_sample_args: unknown setting; write sampler: popularity and n_negatives: 2",
        "4:1: eval_args: unknown setting; write split: ratio, test_ratio: 0.1 and valid_ratio: 0.1",
        f"7:1: topk: unknown setting; metrics and their cutoffs are one list; {monitors}",
        f"8:1: metrics: unknown setting; metrics and their cutoffs are one list; {monitors}",
        "9:1: valid_metric: unknown setting; write which4best: mrr@10, which must be one of the monitors",
        "10:1: eval_batch_size: unknown setting; ranking takes as many users at once as eval_memory (in MB) allows; "
        "remove the key",
        "11:1: load_col: unknown setting; dataset: File names its columns by user_column, item_column, rating_column, "
        "time_column",
        "12:1: checkpoint_dir: unknown setting; a run folder goes where the option --runs says "
        "(recrun train ... --runs DIR); remove the key",
    ]


@pytest.mark.parametrize(
    "odd", ["true", "null", "[]", "{}", "{split: 3}", "{split: {RS: [a, 0, 0]}}", "-1", "1e9", "x y"]
)
def test_a_key_elsewhere_with_any_value_is_one_fault(tmp_path: Path, odd: str) -> None:
    for key in sorted(TRANSLATED):
        faults = _written(tmp_path, f"model: bprmf\n{key}: {odd}\n")
        assert [fault.partition("; ")[0] for fault in faults] == [f"2:1: {key}: unknown setting"]


@pytest.mark.parametrize(
    ("argument", "meant"),
    [
        ("model=BPR-MF", "bprmf"),
        ("model=MF", "bprmf"),
        ("model=EASE^R", "ease"),
        ("model=EASEr", "ease"),
        ("model=Pop", "popularity"),
        ("model=MostPop", "popularity"),
        ("model=Item-KNN", "itemknn"),
        ("model=iALS", "ials"),
        ("dataset=ml-1m", "MovieLens1M"),
        ("optimizer=Adam", "adam"),
        ("loss=BPR", "bpr"),
        ("loss=BPRLoss", "bpr"),
        ("lr_scheduler=StepLR", "step"),
        ("split=LS", "leave_one_out"),
        ("device=gpu", "cuda"),
        ("device=GPU", "cuda"),
        ("device=gpu:0", "cuda:0"),
        ("device=cuda0", "cuda:0"),
        ("device=CPU", "cpu"),
        ("monitors=[hit@10]", "hitrate@10"),
        ("monitors=[HR@10]", "hitrate@10"),
        ("monitors=[ndcg20]", "ndcg@20"),
        ("monitors=[nDCG_at_5]", "ndcg@5"),
        ("monitors=[recal@10]", "recall@10"),
        ("monitors=recall@20", "monitors=[recall@20]"),
        ("monitors=recall@20,ndcg@20", "monitors=[recall@20,ndcg@20]"),
        ("benchmark=yes", "true"),
        ("early_stop_patience=None", "null"),
        ("epochs=1e3", "1000"),
    ],
)
def test_a_value_in_another_spelling_is_answered_with_the_one_here(argument: str, meant: str) -> None:
    assert [fault.suggestion for fault in _faults("bprmf", argument)] == [meant]


def test_a_single_value_for_a_list_in_a_file_is_answered_as_it_is_written_there(tmp_path: Path) -> None:
    (fault,) = _written(tmp_path, "model: bprmf\nmonitors: recall@20\n")
    assert fault == (
        "2:11: monitors: expected a list of text values, found 'recall@20' (text); "
        "did you mean 'monitors: [recall@20]'?"
    )


def test_upper_case_in_the_name_of_a_metric_is_no_fault() -> None:
    assert resolve("bprmf", ["monitors=[Recall@20,NDCG@20]"]).config.monitors == ["recall@20", "ndcg@20"]
