from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recrun.config.config import Config
from recrun.config.find import bundled_configs
from recrun.config.reading import Given
from recrun.config.resolve import describe_anything, resolve, resolve_given
from recrun.config.yaml_writer import dump_mapping
from recrun.errors import ConfigError, RegistryError

MINE = """
from recrun.models.bprmf import BPRMF
from recrun.criterions import BPRLoss
from recrun.data.datasets.base import RecDataSet
class MyMF(BPRMF):
    'Factorise my way.'
class MyLoss(BPRLoss):
    'Lose my way.'
class MyData(RecDataSet):
    'Have my data.'
    def __init__(self, root, *, size: int = 3): ...
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _faults(config: str | None, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        resolve(config, overrides)
    return [str(fault) for fault in caught.value.faults]


def _faults_of(folder: Path, text: str, *overrides: str) -> list[str]:
    (folder / "a.yaml").write_text(text)
    return _faults("a.yaml", *overrides)


@pytest.mark.parametrize("name", bundled_configs())
def test_every_bundled_config_resolves_and_what_is_printed_reads_back_to_the_same(folder: Path, name: str) -> None:
    resolved = resolve(name)
    (folder / "printed.yaml").write_text(dump_mapping(resolved.config))
    again = resolve("printed.yaml")
    assert dict(again.config) == dict(resolved.config)
    assert again.components == resolved.components
    assert list(again.config) == list(resolved.config)


@settings(deadline=None, max_examples=60)
@given(
    lr=st.floats(1e-300, 1e300),
    seed=st.integers(-1, 2**32 - 1),
    description=st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.sampled_from(["null", "~", "1e3", "yes"]),
    root=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    monitors=st.lists(st.sampled_from(["loss", "NDCG@5", "recall@05", " ndcg@10 ", "auc"]), max_size=5),
)
def test_whatever_the_values_what_is_printed_reads_back_to_the_same(
    tmp_path_factory: pytest.TempPathFactory, **values: object
) -> None:
    values["monitors"] = [*values["monitors"], "recall@20"]  # type: ignore[misc]
    given = {key: Given(value) for key, value in {**values, "model": "bprmf"}.items()}
    config = resolve_given(given, "a program").config
    file = tmp_path_factory.getbasetemp() / "printed.yaml"
    file.write_text(dump_mapping(config), encoding="utf-8")
    again = resolve(str(file)).config
    assert dict(again) == dict(config)
    assert (again.description, again.root, again.lr) == (values["description"], values["root"], values["lr"])


@settings(deadline=None, max_examples=200)
@given(
    st.dictionaries(
        st.sampled_from(sorted({*resolve("bprmf").config, "momentum", "reg_weight", "epohs"})),
        st.text(max_size=8)
        | st.sampled_from(["null", "1e-3", "-1", "[a]", "ease", "cosine", "true", "99999999999999999999"]),
        max_size=4,
    )
)
def test_whatever_the_overrides_a_config_is_refused_or_reads_back_to_the_same(
    tmp_path_factory: pytest.TempPathFactory, overrides: dict[str, str]
) -> None:
    try:
        config = resolve("bprmf", [f"{key}={value}" for key, value in overrides.items()]).config
    except ConfigError as error:
        placeless = [fault for fault in error.faults if fault.file is None]
    else:
        placeless = []
        _reads_back(config, tmp_path_factory.getbasetemp() / "printed.yaml")
    assert placeless == []


def _reads_back(config: Config, file: Path) -> None:
    file.write_text(dump_mapping(config), encoding="utf-8")
    assert dict(resolve(str(file)).config) == dict(config)


def test_a_config_holds_the_settings_of_the_run_and_of_its_components_and_no_other() -> None:
    resolved = resolve("bprmf")
    assert resolved.trains
    assert set(resolved.components) == {"model", "dataset", "loss", "optimizer", "lr_scheduler", "sampler"}
    assert resolved.arguments("sampler") == {"n_negatives": 1}
    assert "momentum" not in resolved.config
    assert "lr" in resolved.given

    closed = resolve("ease")
    assert not closed.trains
    assert set(closed.components) == {"model", "dataset"}
    assert "epochs" not in closed.config
    assert closed.arguments("model")["reg_weight"] == closed.config.reg_weight == 250.0

    softmax = resolve("bprmf", ["loss=cross_entropy"])
    assert "sampler" not in softmax.components
    assert not {"sampler", "n_negatives"} & set(softmax.config)
    assert softmax.config.positives == "interactions"


def test_what_follows_from_other_settings_is_written_out(folder: Path) -> None:
    (folder / "a.yaml").write_text("model: bprmf\nmonitors: [NDCG@5, loss, recall@05, ndcg@5, loss]\n")
    config = resolve("a.yaml").config
    assert config.monitors == ["ndcg@5", "loss", "recall@5"]
    assert config.which4best == "recall@5"
    assert config.description == "bprmf"
    assert config.loss == "bpr"
    assert resolve("a.yaml", ["which4best=NDCG@05"]).config.which4best == "ndcg@5"


def test_the_command_line_wins_over_the_file_over_the_default() -> None:
    assert resolve("bprmf").config.lr == 1e-3
    assert resolve("synthetic/bprmf").config.lr == 5e-3
    assert resolve("bprmf", ["lr=1"]).config.lr == 1.0
    assert resolve("bprmf").config.beta1 == 0.9


def test_what_contradicts_training_on_valid_is_a_fault_and_validation_is_off_without_it() -> None:
    resolved = resolve("bprmf", ["train_on=train_valid"])
    assert resolved.config.eval_valid is False
    assert resolve(dict(resolved.config)).config.eval_valid is False
    assert resolve("ease", ["train_on=train_valid"]).config.train_on == "train_valid"
    with pytest.raises(ConfigError) as error:
        resolve(
            "bprmf",
            [
                *("train_on=train_valid", "eval_valid=true", "early_stop_patience=2"),
                *("lr_scheduler=plateau", "valid_ratio=0"),
            ],
        )
    told = "but train_on: train_valid leaves none; remove one of the two"
    assert [str(fault) for fault in error.value.faults] == [
        "argument 1:10: train_on: there is no valid part to train on with valid_ratio: 0; remove one of the two",
        "argument 2:12: eval_valid: nothing is left to validate on with train_on: train_valid; remove one of the two",
        f"argument 3:21: early_stop_patience: early stopping needs a validation metric, {told}",
        f"argument 4:14: lr_scheduler: plateau follows the validation metric, {told}",
    ]
    with pytest.raises(ConfigError, match="expected one of train, train_valid, found 'all'"):
        resolve("bprmf", ["train_on=all"])


def test_every_fault_of_the_file_and_the_overrides_is_reported_in_one_go(folder: Path) -> None:
    text = (
        "model: bprmf\nlearning_rat: 1e-3\nepochs: -3\nlr:\tfast\nmonitors: [recal@10, ndcg@20, recall, auc@5, mrr@0]\n"
        "loss: brp\nseed: 1\nseed: 2\nembedding_dim: 1.5\noptimizer: adm\ninit_std: [1]\nb: &x 1\n"
    )
    faults = _faults_of(
        folder, text, "epohs=3", "lr", "valid_ratio=1", "device=cdua", "early_stop_patience=2", "eval_valid=false"
    )
    assert [fault.partition(" (available")[0] for fault in faults] == [
        "a.yaml:2:1: learning_rat: unknown setting; did you mean 'lr'?",
        "a.yaml:3:9: epochs: expected an integer >= 0, found -3 (an integer)",
        "a.yaml:4:4: lr: not valid YAML: a tab where only spaces are allowed",
        "a.yaml:5:12: monitors: unknown metric 'recal'",
        "a.yaml:5:31: monitors: recall needs a cutoff; write for example 'recall@10'",
        "a.yaml:5:39: monitors: auc takes no cutoff; write 'auc'",
        "a.yaml:5:46: monitors: the cutoff of mrr must be an integer >= 1, found '0'",
        "a.yaml:6:7: loss: unknown loss 'brp'",
        "a.yaml:8:1: seed: is set twice; first on line 7",
        "a.yaml:9:16: embedding_dim: expected an integer >= 1, found 1.5 (a number)",
        "a.yaml:10:12: optimizer: unknown optimizer 'adm'",
        "a.yaml:11:11: init_std: expected a number > 0, found [1] (a list)",
        "a.yaml:12:4: b: anchors and aliases are not supported; write the value out",
        "argument 1:1: epohs: unknown setting; did you mean 'epochs'?",
        "argument 2: expected KEY=VALUE, found 'lr'",
        "argument 3:13: valid_ratio: expected a number >= 0 and < 1, found 1 (an integer)",
        "argument 4:8: device: expected one of auto, cpu, cuda, cuda:N, N, mps, found 'cdua'; did you mean 'cuda'?",
        "argument 5:21: early_stop_patience: early stopping needs a validation metric, "
        "but eval_valid: false leaves none; remove one of the two",
    ]
    assert faults[7].endswith("did you mean 'bpr'?")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("lr: 1", "a.yaml: model: must be set (available: "),
        ("model: bprfm\nembedding_dim: 3", "a.yaml:1:8: model: unknown model 'bprfm' (available: "),
        ("model: [bprmf]", "a.yaml:1:8: model: expected text or null, found ['bprmf'] (a list)"),
        (
            "model: bprmf\ndataset: Gowala_m1\nn_users: 3",
            "a.yaml:2:10: dataset: unknown dataset 'Gowala_m1' (available: ",
        ),
        ("model: bprmf\noptimizer: null", "a.yaml:2:12: optimizer: expected text, found null"),
        ("model: bprmf\nwhich4best: ndcg@30", "a.yaml:2:13: which4best: expected one of the monitors (recall@10, "),
        (
            "model: bprmf\nwhich4best: loss\nmonitors: [loss, auc]",
            "a.yaml:2:13: which4best: expected one of the monitors (auc), ",
        ),
        (
            "model: bprmf\nmonitors: [ndcg@20, logloss]",
            "a.yaml:2:21: monitors: logloss compares predicted with true values, but this run ranks items; remove it",
        ),
        ("model: bprmf\nmonitors: [loss]", "a.yaml:2:11: monitors: lists no metric that can choose the best epoch"),
        ("model: bprmf\nmonitors: []", "a.yaml:2:11: monitors: lists no metric"),
        (
            "model: bprmf\nmonitors: ndcg@20",
            "a.yaml:2:11: monitors: expected a list of text values, found 'ndcg@20' (text)",
        ),
        (
            "model: bprmf\nmonitors: [ndcg@20, 5]",
            "a.yaml:2:21: monitors: expected a list of text values; element 2 is 5",
        ),
        ("model: bprmf\nmonitors: [loss@5]", "a.yaml:2:12: monitors: loss takes no cutoff; write 'loss'"),
        ("model: bprmf\nmonitors: ['ndcg@99999999999999999999']", "the cutoff of ndcg must be an integer >= 1"),
        ("model: bprmf\nmonitors: ['ndcg@\u0661']", "the cutoff of ndcg must be an integer >= 1"),
        (
            "model: bprmf\nearly_stop_patience: 3\nvalid_ratio: 0",
            "a.yaml:2:22: early_stop_patience: early stopping needs a validation metric, but valid_ratio: 0",
        ),
        (
            "model: bprmf\nlr_scheduler: plateau\neval_valid: false",
            "a.yaml:2:15: lr_scheduler: plateau follows the validation metric, but eval_valid: false leaves none",
        ),
        (
            "model: bprmf\nloss: bsl\nsimilarity: cosine",
            "a.yaml:2:7: n_negatives: loss bsl needs at least 2 negatives, found 1",
        ),
        (
            "model: bprmf\nloss: bsl\nsimilarity: cosine\nn_negatives: 1",
            "a.yaml:4:14: n_negatives: loss bsl needs at least 2 negatives, found 1",
        ),
        ("model: bprmf\nloss: ccl", "a.yaml:2:7: similarity: loss ccl needs cosine scores: expected cosine, found dot"),
        (
            "model: ease\nlr: 1e-3",
            "a.yaml:2:1: lr: model ease is fitted in closed form and takes no training settings; remove it",
        ),
        ("model: ease\nepochs: 3", "a.yaml:2:1: epochs: model ease is fitted in closed form"),
        ("model: ease\nn_negatives: 3", "a.yaml:2:1: n_negatives: model ease is fitted in closed form"),
        ("model: ease\nepochz: 3", "a.yaml:2:1: epochz: unknown setting"),
        (
            "model: bprmf\nreg_weight: 3",
            "a.yaml:2:1: reg_weight: is a setting of model ease",
        ),
        (
            "model: bprmf\nmomentum: 0.5",
            "a.yaml:2:1: momentum: is a setting of optimizer sgd",
        ),
        (
            "model: bprmf\nloss: cross_entropy\nsampler: popularity",
            "a.yaml:3:1: sampler: does not apply to loss cross_entropy, which uses no sampled negatives; remove it",
        ),
        (
            "model: bprmf\noptimizer: sgd\nnesterov: true",
            "a.yaml:3:11: nesterov: needs a momentum above 0, found momentum: 0",
        ),
        ("model: bprmf\ndevice: gpu", "a.yaml:2:9: device: expected one of auto, cpu, cuda, "),
        ("model: bprmf\ndevice: gpu:0", "found 'gpu:0'; did you mean 'cuda:0'?"),
        (
            "model: bprmf\nid: ../x",
            "a.yaml:2:5: id: expected a name of up to 100 characters, no slash, no dot in front, found '../x'",
        ),
        (
            "model: bprmf\nid: ''",
            "a.yaml:2:5: id: expected a name of up to 100 characters, no slash, no dot in front, found ''",
        ),
        ("model: bprmf\ndescription: {a: b}", "found {'a': 'b'} (a mapping); text that holds ': ' must be in quotes"),
        ("model: mine.py", "a.yaml:1:8: model: expected a registered name or path/to/file.py:Name, found 'mine.py'"),
        ("model: ./nothing.py:Mine", "a.yaml:1:8: model: cannot read "),
        ("model: ./mine.py:MyMV", "did you mean 'MyMF'?"),
        ("model: ./mine.py:MyMF\nsize: 3", "a.yaml:2:1: size: unknown setting"),
        ("model: bprmf\nseed: 4294967296", "a.yaml:2:7: seed: expected an integer >= -1 and <= 4294967295"),
        ("model: bprmf\nepochs: 99999999999999999999", "a.yaml:2:9: epochs: expected an integer >= 0"),
        ("model: bprmf\nlr: .inf", "a.yaml:2:5: lr: expected a number > 0, found .inf (a number)"),
        (
            "model: bprmf\nsimilarity: cosin",
            "a.yaml:2:13: similarity: expected one of dot, cosine, found 'cosin' (text); did you mean 'cosine'?",
        ),
        ("model: bprmf\nlr: 1 \n", None),
    ],
)
def test_a_fault_says_where_what_was_expected_and_what_was_found(folder: Path, text: str, fault: str | None) -> None:
    (folder / "mine.py").write_text(MINE)
    if fault is None:
        (folder / "a.yaml").write_text(text)
        resolve("a.yaml")
        return
    faults = _faults_of(folder, text)
    assert len(faults) == (2 if "bsl\n" in text and "cosine" not in text else 1), faults
    assert fault in faults[0]


def test_a_misspelt_component_does_not_make_its_own_settings_unknown(folder: Path) -> None:
    text = "model: bprfm\nembedding_dim: x\nreg_weight: 3\nmomentum: 0.5\noptimizer: sdg\nfoo: 1\nsplit: given\n"
    text += "dataset: Movie\n"
    keys = [fault.split(": ")[1] for fault in _faults_of(folder, text)]
    assert keys == ["model", "embedding_dim", "optimizer", "foo", "dataset"]


def test_what_an_unreadable_line_may_have_said_is_not_missed(folder: Path) -> None:
    assert _faults_of(folder, "model: @x\nreg_weight: 3\nlr: x\n") == [
        "a.yaml:1:8: model: not valid YAML: while scanning for the next token found character '@' that cannot start "
        "any token; a value that begins with this character must be in quotes",
        "a.yaml:3:5: lr: expected a number > 0, found 'x' (text)",
    ]
    assert len(_faults("no_such_config", "lr=x", "foo=1")) == 3


def test_a_users_file_is_looked_up_beside_the_config_and_on_the_command_line_in_the_working_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "mine.py").write_text(MINE)
    (folder / "sub" / "a.yaml").write_text(
        "model: ./mine.py:MyMF\nloss: mine.py:MyLoss\ndataset: mine.py:MyData\nembedding_dim: 8\n"
    )
    (folder / "b.yaml").write_text("extends: sub/a.yaml\nlr: 1\n")
    for config in ("sub/a.yaml", "b.yaml", str(folder / "sub" / "a.yaml")):
        resolved = resolve(config)
        assert resolved.config.model == f"{folder}/sub/mine.py:MyMF"
        assert resolved.config.description == "MyMF"
        assert (resolved.config.embedding_dim, resolved.config.size) == (8, 3)
    assert any("cannot read" in fault for fault in _faults("bprmf", "model=mine.py:MyMF"))
    monkeypatch.chdir(folder / "sub")
    assert resolve("bprmf", ["model=mine.py:MyMF"]).config.model == f"{folder}/sub/mine.py:MyMF"
    (folder / "printed.yaml").write_text(dump_mapping(resolve("a.yaml").config))
    assert resolve(folder / "printed.yaml").config == resolve("a.yaml").config


def test_settings_that_a_program_gives_need_no_place() -> None:
    assert resolve_given({"model": Given("ease")}, "checkpoint").config.model == "ease"
    with pytest.raises(ConfigError, match=r"^checkpoint: lr: expected a number > 0, found 'x'"):
        resolve_given({"model": Given("bprmf"), "lr": Given("x")}, "checkpoint")


def test_whatever_has_a_name_can_be_described(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    kinds = {name: describe_anything(f"{tmp_path}/mine.py:{name}")[0].kind for name in ("MyMF", "MyLoss", "MyData")}
    assert kinds == {"MyMF": "model", "MyLoss": "loss", "MyData": "dataset"}
    (tmp_path / "others.py").write_text(
        "from recrun.sweep.engines import Engine\n"
        "def split(rows): ...\ndef track(run, settings, resumed_from): ...\ndef hit(hits, n_relevant, k): ...\n"
        "class Cluster(Engine): ...\n"
    )
    expected = {"split": "split", "track": "reporter", "hit": "metric", "Cluster": "engine"}
    assert {name: describe_anything(f"{tmp_path}/others.py:{name}")[0].kind for name in expected} == expected
    assert {component.kind for component in describe_anything("mse")} == {"loss", "metric"}
    with pytest.raises(RegistryError, match="unknown component 'bprfm'; did you mean 'bprmf'"):
        describe_anything("bprfm")


def test_checking_a_config_imports_neither_torch_nor_numpy(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    code = (
        "import sys; from recrun.config.resolve import resolve\n"
        f"resolve('bprmf', ['model={tmp_path}/mine.py:MyMF', 'loss={tmp_path}/mine.py:MyLoss'])\n"
        "heavy = 'torch', 'numpy', 'polars', 'scipy', 'rich', 'click', 'pydantic'\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_model_trained_on_rows_has_no_settings_of_single_interactions(folder: Path) -> None:
    config = resolve("multvae").config
    assert not {"sampler", "positives", "draw_on", "n_negatives"} & set(config)
    assert _faults("multvae", "positives=users", "draw_on=host") == [
        f"argument {n}:1: {key}: does not apply to model multvae, which is trained on users; remove it"
        for n, key in ((1, "positives"), (2, "draw_on"))
    ]


def test_losses_and_models_of_different_rows_are_refused_by_name(folder: Path) -> None:
    assert _faults("bprmf", "loss=multinomial") == [
        "argument 1:6: loss: loss multinomial needs users' whole rows, but model bprmf is trained on interactions; "
        "choose another loss"
    ]
    assert _faults("multvae", "loss=cross_entropy") == [
        "argument 1:6: loss: model multvae is trained on users' whole rows, but loss cross_entropy does not use them; "
        "losses that do: multinomial, row_mse, whole_data"
    ]


def test_a_loss_of_vectors_is_refused_by_a_model_without(folder: Path) -> None:
    assert _faults("multvae", "loss=whole_data") == [
        "argument 1:6: loss: loss whole_data compares vectors of users and items, but model multvae has none; "
        "choose another loss"
    ]
    (folder / "a.yaml").write_text("model: enmf\nloss: multinomial\nlr: 1e-3\n")
    assert resolve("a.yaml").config.loss == "multinomial"


@pytest.mark.parametrize("dataset", ["File", "LabelledFile"])
def test_an_argument_with_nothing_behind_it_is_empty_text_where_that_has_a_meaning(
    tmp_path: Path, dataset: str
) -> None:
    model = {"File": "bprmf", "LabelledFile": "lr"}[dataset]
    rows = [f"dataset={dataset}", "path=a.csv", "user_column=u"]
    keys = ["time_column", *(["rating_column"] if dataset == "File" else [])]
    assert [resolve(model, [*rows, f"{key}="]).config[key] for key in keys] == [""] * len(keys)
    assert [resolve(model, [*rows, f'{key}=""']).config[key] for key in keys] == [""] * len(keys)
    for text in ("null", "~"):
        assert [resolve(model, [*rows, f"{key}={text}"]).config[key] for key in keys] == [None] * len(keys)
    assert resolve(model, [*rows, "item_column=", "separator="]).config.separator is None
    path = tmp_path / "a.yaml"
    path.write_text(f"model: {model}\ndataset: {dataset}\npath: a.csv\nuser_column: u\ntime_column:\n")
    assert resolve(path).config.time_column is None
