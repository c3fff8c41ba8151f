"""Whatever `validate` accepts is built: no setting is refused later that could have been refused from the config."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest

from recrun.config.draft import COMPONENTS
from recrun.config.find import bundled_configs
from recrun.config.resolve import Resolved, resolve
from recrun.config.settings import TRAINING
from recrun.config.yaml_writer import dump_value
from recrun.errors import ConfigError, DataError
from recrun.registry import LOSSES, OPTIMIZERS, SAMPLERS, SCHEDULERS, choices
from recrun.registry.component import Parameter
from recrun.types import Registered
from recrun.workflows.build import build

GENERAL = sorted(name for name in bundled_configs() if "/" not in name)
SMALL = ["device=cpu", "threads=1", "verbose=0", "seed=1"]
SIZES = {"n_users": 60, "n_items": 40, "n_interactions": 900, "n_rows": 600, "batch_size": 64}
"""Small data, so that a configuration is built in milliseconds; no size of a model below exceeds it."""


def _values(parameter: Parameter) -> list[Any]:
    """Return some values that a setting can take, small and large."""
    annotation = parameter.annotation
    if get_origin(annotation) is Annotated:
        base, *bounds = get_args(annotation)
        names = next((choices(bound) for bound in bounds if isinstance(bound, Registered)), None)
        if names is not None:
            return names
        within = Parameter(parameter.name, base)
        return [
            value
            for value in _values(within)
            if all(value >= bound.ge for bound in bounds if hasattr(bound, "ge"))
            and all(value > bound.gt for bound in bounds if hasattr(bound, "gt"))
            and all(value <= bound.le for bound in bounds if hasattr(bound, "le"))
            and all(value < bound.lt for bound in bounds if hasattr(bound, "lt"))
        ]
    if annotation is bool:
        return [True, False]
    if annotation is int:
        return [0, 1, 2, 3, 4, 6, 8]
    if annotation is float:
        return [0.0, 0.1, 0.5, 0.6, 0.9, 1.0, 3.0]
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if annotation is str or get_origin(annotation) is list:
        return []
    return [None, *(value for each in get_args(annotation) for value in _values(Parameter(parameter.name, each)))]


def _mutated(name: str, draw: random.Random) -> list[str]:
    """Return overrides of some settings of a config, and of the settings of what they choose."""
    resolved = resolve(name)
    chosen = {"loss": LOSSES, "optimizer": OPTIMIZERS, "lr_scheduler": SCHEDULERS, "sampler": SAMPLERS}
    overrides: dict[str, Any] = {}
    components = dict(resolved.components)
    for setting, registry in chosen.items():
        if setting in components and draw.random() < 0.3:
            overrides[setting] = draw.choice(registry.names())
            components[setting] = registry.describe(overrides[setting])
    free = ("root", "description", "checkpoint_minutes", "compile_model", "num_workers")
    own = [each for component in components.values() for each in component.parameters]
    training = [each for each in TRAINING if each.name in resolved.config and each.name not in (*COMPONENTS, *free)]
    for parameter in [*own, *training]:
        values = _values(parameter)
        if values and parameter.name not in SIZES and draw.random() < 0.25:
            overrides[parameter.name] = draw.choice(values)
    overrides |= {key: value for key, value in SIZES.items() if key in resolved.config}
    return [*SMALL, *(f"{key}={dump_value(value)}" for key, value in overrides.items())]


def _accepted(name: str, overrides: list[str]) -> Resolved | None:
    try:
        return resolve(name, overrides)
    except ConfigError:
        return None


@pytest.mark.parametrize("name", GENERAL)
def test_what_is_accepted_is_built(name: str) -> None:
    draw = random.Random(name)
    n_accepted, refused = 0, []
    for _ in range(60):
        overrides = _mutated(name, draw)
        resolved = _accepted(name, overrides)
        if resolved is None:
            continue
        n_accepted += 1
        try:
            build(resolved)
        except (ConfigError, DataError, ValueError, TypeError) as error:
            refused.append((overrides, f"{type(error).__name__}: {error}"))
        if n_accepted == 12:
            break
    assert refused == []
    assert n_accepted > 0


@pytest.mark.parametrize("name", GENERAL)
def test_every_optimizer_that_is_accepted_takes_the_model(name: str) -> None:
    sizes = [f"{key}={value}" for key, value in SIZES.items() if key in resolve(name).config]
    for optimizer in OPTIMIZERS.names():
        resolved = _accepted(name, [*SMALL, *sizes, f"optimizer={optimizer}"])
        if resolved is not None:
            build(resolved)


REFUSED = [
    ("sasrec", "n_heads=3"),
    ("sasrec", "embedding_dim=7 n_heads=2"),
    ("bert4rec", "n_heads=5"),
    ("xsimgcl", "contrast_layer=4 n_layers=3"),
    ("neumf", "mlp_dim=4 n_layers=4"),
    ("bprmf", "lr_scheduler=cosine lr=1e-3 lr_min=1e-2"),
    ("bprmf", "lr_scheduler=plateau lr=1e-3 lr_min=1e-2"),
    ("bprmf", "optimizer=sgd nesterov=true"),
    ("bprmf", "optimizer=sgd nesterov=true momentum=0.0"),
    ("neumf", "optimizer=sparse_adam"),
    ("sasrec", "optimizer=lazy_adam"),
    ("lightgcn", "optimizer=lazy_adam"),
    ("bprmf", "n_users=10 n_items=10 n_interactions=51"),
    ("bprmf", "test_ratio=0.5 valid_ratio=0.5"),
    ("bprmf", "test_ratio=0.9 valid_ratio=0.9"),
    ("bprmf", "test_ratio=0"),
    ("bprmf", "split=time test_ratio=0.7 valid_ratio=0.3"),
    ("bprmf", "split=user_time test_ratio=0.7 valid_ratio=0.3"),
    ("bprmf", "split=cold_users test_ratio=0.7 valid_ratio=0.3"),
    ("bprmf", "split=ratio n_held_out=2"),
    ("bprmf", "split=k_fold n_held_out=2"),
    ("bprmf", "n_folds=3"),
    ("bprmf", "test_fold=2"),
    ("bprmf", "split=leave_one_out n_folds=3"),
    ("bprmf", "split=k_fold test_fold=6"),
    ("bprmf", "split=k_fold n_folds=2 test_fold=3"),
    ("bprmf", "split=k_fold test_ratio=0.2"),
    ("bprmf", "split=leave_one_out test_ratio=0.2"),
    ("bprmf", "split=leave_k test_ratio=0.2"),
]


@pytest.mark.parametrize(("name", "overrides"), REFUSED)
def test_a_contradiction_is_refused_where_it_is_written(name: str, overrides: str) -> None:
    written = overrides.split()
    with pytest.raises(ConfigError) as caught:
        resolve(name, written)
    (fault,) = caught.value.faults
    assert fault.file in [f"argument {position}" for position in range(1, len(written) + 1)]
    assert fault.column is not None
    assert fault.key in {setting.partition("=")[0] for setting in written} or fault.key == "n_heads"


FILES = [
    ("", "dataset"),
    ("train_path: a.csv", "train_path"),
    ("test_path: a.csv", "test_path"),
    ("valid_path: a.csv", "valid_path"),
    ("path: a.csv\nvalid_path: b.csv", "path"),
    ("path: a.csv\ntest_path: b.csv", "path"),
    ("path: a.csv\ntrain_path: b.csv\ntest_path: c.csv", "path"),
    ("train_path: a.csv\nvalid_path: b.csv", "train_path"),
    ("train_path: a.csv\ntest_path: a.csv", "test_path"),
    ("train_path: a.csv\ntest_path: a.csv.gz", "test_path"),
    ("train_path: a.csv\ntest_path: b.csv\nvalid_path: b.csv.zst", "test_path"),
    ("train_path: a.csv\ntest_path: b.csv\nvalid_path: a.csv", "valid_path"),
    ("path: a.csv\ntest_ratio: 0.6\nvalid_ratio: 0.5", "test_ratio"),
    ("path: a.csv\nencoding: utf-9", "encoding"),
    ('path: a.csv\nseparator: "\\n"', "separator"),
    ("path: a.csv\nseparator: '\"'", "separator"),
    ("path: a.csv\nuser_column: u\nitem_column: u", "user_column"),
    ("path: a.csv\nitem_column: u\ntime_column: u", "item_column"),
]
GIVEN = [
    ("split: time", "split"),
    ("split: leave_one_out", "split"),
    ("split: k_fold", "split"),
    ("test_ratio: 0.2", "test_ratio"),
]
PLAIN = [
    ("path: a.cvs", "path"),
    ("path: log", "path"),
    ("path: a.foo.gz", "path"),
    ("train_path: a.csv\ntest_path: b.foo", "test_path"),
    ("train_path: a.foo\ntest_path: b.csv", "train_path"),
    ("path: a.csv\nformat: cvs", "format"),
    ("path: a.csv\nformat: ''", "format"),
    ("path: a.csv\nrating_column: t\ntime_column: t", "time_column"),
]
LABELLED = [
    ("path: a.csv", "dataset"),
    ("path: a.csv\nuser_path: u.csv\nsparse_columns: [a]", "user_path"),
    ("path: a.csv\nitem_path: u.csv\nsparse_columns: [a]", "item_path"),
    ("path: a.csv\nsparse_columns: [a]\ndense_columns: [b, a]", "sparse_columns"),
    ("path: a.csv\nsparse_columns: [a, label]", "sparse_columns"),
    ("path: a.csv\nlabel_column: u\nuser_column: u", "user_column"),
    ("path: a.csv\nsparse_columns: [a]\nsplit: time", "split"),
    ("path: a.csv\nsparse_columns: [a]\nsplit: user_time\ntime_column: t", "split"),
    ("path: a.csv\nsparse_columns: [a]\nsplit: leave_one_out", "split"),
]
"""What a config of one's own files says, and the key whose line the fault names."""


@pytest.mark.parametrize(
    ("head", "text", "key"),
    [
        *(("model: popularity\ndataset: File\n", *case) for case in [*FILES, *PLAIN]),
        *(("model: lr\nmonitors: [auc]\ndataset: LabelledFile\nsparse_columns: [x]\n", *case) for case in FILES),
        *(("model: lr\nmonitors: [auc]\ndataset: LabelledFile\n", *case) for case in LABELLED),
        *(
            ("model: popularity\ndataset: File\ntrain_path: a.csv\ntest_path: b.csv\n", text, key)
            for text, key in GIVEN
        ),
        ("model: ease\ndataset: MovieLens100K\n", "split: given", "split"),
        ("model: ease\ndataset: MovieLens100K\n", "fold: u1", "fold"),
        ("model: ease\ndataset: MovieLens100K\n", "split: time\nfold: u1", "fold"),
        ("model: ease\ndataset: MovieLens100K\nfold: u1\nsplit: given\n", "test_ratio: 0.2", "test_ratio"),
        ("model: ease\ndataset: Beauty\n", "test_ratio: 0.2", "test_ratio"),
        ("model: ease\ndataset: LastFM\n", "test_ratio: 0.9\nvalid_ratio: 0.9", "test_ratio"),
    ],
)
def test_a_config_of_files_that_cannot_be_read_is_refused_at_its_line(
    tmp_path: Path, head: str, text: str, key: str
) -> None:
    config = tmp_path / "a.yaml"
    config.write_text(f"{head}{text}\n")
    with pytest.raises(ConfigError) as caught:
        resolve(config)
    lines = (head + text).splitlines()
    place = next(number for number, line in enumerate(lines, start=1) if line.startswith(f"{key}:"))
    assert (str(config), place) in [(fault.file, fault.line) for fault in caught.value.faults]
    assert all(fault.column is not None for fault in caught.value.faults)
