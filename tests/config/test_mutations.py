"""Every shipped config with one thing wrong in it is refused: nothing that is asked for is ignored in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest

from recrun.config.find import bundled_configs
from recrun.config.resolve import Resolved, resolve
from recrun.config.settings import RUN, TRAINING
from recrun.errors import ConfigError
from recrun.registry.component import Parameter

CONFIGS = bundled_configs()
OF_EACH_KIND = ("bprmf", "lightgcn", "simplex", "sasrec", "bert4rec", "multvae", "ease", "itemknn", "deepfm")
NAMES = [pytest.param(name, marks=[] if name in OF_EACH_KIND else [pytest.mark.slow]) for name in CONFIGS]
"""All configs; those of other models and of single data sets are marked slow."""


@dataclass
class Tally:
    """What was tried, and what got through."""

    tried: int = 0
    missed: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def tally() -> Iterator[dict[str, Tally]]:
    """Counts by kind of mutation, printed at the end (seen with `pytest -rP` or `-s`)."""
    counts: dict[str, Tally] = {}
    yield counts
    for kind, count in counts.items():
        print(f"{kind}: {count.tried} tried, {count.tried - len(count.missed)} caught")


def _misspelt(key: str) -> set[str]:
    dropped = {key[:n] + key[n + 1 :] for n in range(len(key))}
    swapped = {key[:n] + key[n + 1] + key[n] + key[n + 2 :] for n in range(len(key) - 1)}
    return {written for written in dropped | swapped if written and written != key}


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()


def _parameters(name: str) -> list[Parameter]:
    """Return the settings to try of a config, in the order of its components."""
    resolved, keys = resolve(CONFIGS[name]), _keys_to_try(name)
    own = [parameter for component in resolved.components.values() for parameter in component.parameters]
    return [parameter for parameter in (*RUN, *TRAINING, *own) if parameter.name in keys]


@cache
def _resolved() -> dict[str, Resolved]:
    """Return all configs, those that are tried by default before the others."""
    names = dict.fromkeys([*OF_EACH_KIND, *CONFIGS])
    return {name: resolve(CONFIGS[name]) for name in names}


def _before(name: str) -> list[str]:
    """Return the configs that are tried before this one."""
    names = list(_resolved())
    return names[: names.index(name)]


def _keys_to_try(name: str) -> frozenset[str]:
    """Return the keys a config sets that none of the same model and loss set before it, and those that none had."""
    resolved = _resolved()
    config, before = resolved[name], [resolved[other] for other in _before(name)]
    known = {key for other in before for key in other.config}
    alike = [other for other in before if _learns(other) == _learns(config)]
    tried = {key for other in alike for key in other.given}
    return frozenset(config.given.keys() - tried) | (config.config.keys() - known)


def _learns(resolved: Resolved) -> tuple[str | None, ...]:
    """Return the names of a config's model and loss."""
    components = resolved.components
    return tuple(components[kind].name if kind in components else None for kind in ("model", "loss"))


def _wrong(annotation: Any) -> list[str]:
    """Return values, as YAML writes them, that no setting of this type can take."""
    if get_origin(annotation) is Annotated:
        base, *bounds = get_args(annotation)
        step = 1 if base is int else 0.5
        beyond = []
        for bound in bounds:
            beyond += [bound.ge - step] if hasattr(bound, "ge") else []
            beyond += [bound.gt, bound.gt - step] if hasattr(bound, "gt") else []
            beyond += [bound.le + step] if hasattr(bound, "le") else []
            beyond += [bound.lt, bound.lt + step] if hasattr(bound, "lt") else []
        return [*map(str, beyond), *_wrong(base)]
    if annotation is int:
        return ["1.5", "1e3", "many", "true", "[1]", "{a: 1}", "null", "99999999999999999999", "'1'", ".nan"]
    if annotation is float:
        return ["fast", "true", "[0.5]", "{a: 1}", "null", ".inf", "-.inf", ".nan", "'0.5'", "1e999"]
    if annotation is bool:
        return ["yes", "1", "0.0", "[true]", "null", "'true'"]
    if get_origin(annotation) is Literal:
        return ["nonsense", "[a]", "{a: 1}", "null"]
    if annotation is str:
        return ["[a]", "{a: 1}", "null"]
    if get_origin(annotation) is list:
        return ["text", "1", "{a: 1}", "null", "[a]" if _is_nested(annotation) else "[[a]]", "[null]", "[{a: 1}]"]
    if get_origin(annotation) is dict:
        return ["text", "1", "[a]", "null", "{a: [b]}"]
    choices = get_args(annotation)
    assert type(None) in choices, annotation
    shared = set.intersection(*(set(_wrong(choice)) for choice in choices if choice is not type(None)))
    return sorted(shared - {"null"})


def _is_nested(annotation: Any) -> bool:
    """Return whether the elements of a list are lists."""
    (element,) = get_args(annotation)
    return get_origin(get_args(element)[0] if get_origin(element) is Annotated else element) is list


def _caught(config: Path, overrides: list[str] | None = None) -> ConfigError | None:
    try:
        resolve(config, overrides or [])
    except ConfigError as error:
        return error
    return None


def _check(count: Tally, what: str, key: str, error: ConfigError | None, *, in_file: bool = True) -> None:
    """Count a mutation; its fault must have a place, name the key, and stand in one line."""
    count.tried += 1
    if error is None:
        count.missed.append(what)
        return
    fault = next((fault for fault in error.faults if fault.key == key), None)
    assert fault is not None, f"{what}: {error}"
    assert fault.file is not None
    assert fault.column is not None
    assert (fault.line is not None) is in_file
    assert "\n" not in str(fault)


def _text(name: str) -> str:
    """Return the text of a config, which may stand in any folder."""
    path = CONFIGS[name]
    text = path.read_text(encoding="utf-8")
    return re.sub(r"^extends: (.+)$", lambda found: f"extends: {path.parent / found[1]}", text, flags=re.MULTILINE)


def _settings(name: str) -> str:
    """Return the text of a config's settings, without the results that it says."""
    return re.sub(r"^expected:\n(?:[ -].*\n)+", "", _text(name), flags=re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_a_key_with_a_letter_dropped_or_swapped_is_refused_and_the_right_one_is_named(
    name: str, tmp_path: Path, tally: dict[str, Tally]
) -> None:
    count = tally.setdefault("misspelt keys", Tally())
    text = _settings(name)
    config = tmp_path / "mutated.yaml"
    resolved = resolve(CONFIGS[name])
    for parameter in _parameters(name):
        key, in_file = parameter.name, re.search(rf"^{parameter.name}:", text, flags=re.MULTILINE) is not None
        # All of them at once: every one must be told.
        first, *others = sorted(_misspelt(key) - set(resolved.config))
        if in_file:
            renamed = re.sub(rf"^{key}:", f"{first}:", text, flags=re.MULTILINE)
            config.write_text("\n".join([renamed, *(f"{each}: 1" for each in others), ""]), encoding="utf-8")
            error = _caught(config)
        else:
            error = _caught(CONFIGS[name], [f"{each}=1" for each in (first, *others)])
        for written in (first, *others):
            _check(count, f"{name}: {written}", written, error, in_file=in_file)
            if error is not None:
                (suggestion,) = {fault.suggestion for fault in error.faults if fault.key == written}
                assert suggestion is not None, written
                assert suggestion == key or _likeness(suggestion, written) >= _likeness(key, written)
    assert count.missed == []


@pytest.mark.parametrize("name", NAMES)
def test_a_value_of_the_wrong_type_or_out_of_range_is_refused_in_the_file_and_as_an_override(
    name: str, tmp_path: Path, tally: dict[str, Tally]
) -> None:
    text = _settings(name)
    config = tmp_path / "mutated.yaml"
    for parameter in _parameters(name):
        key = parameter.name
        others = re.sub(rf"^{key}:.*\n", "", text, flags=re.MULTILINE)
        # In a file that extends none, a null takes nothing back.
        takes_back = key in resolve(CONFIGS[name]).given
        for value in _wrong(parameter.annotation):
            if takes_back and value == "null" and "extends:" in text:
                continue
            config.write_text(f"{others}\n{key}: {value}\n", encoding="utf-8")
            _check(tally.setdefault("wrong values in a file", Tally()), f"{name}: {key}: {value}", key, _caught(config))
            if takes_back and value == "null":
                continue
            error = _caught(CONFIGS[name], [f"{key}={value}"])
            _check(tally.setdefault("wrong overrides", Tally()), f"{name}: {key}={value}", key, error, in_file=False)
    assert [missed for count in tally.values() for missed in count.missed] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_damage_to_the_writing_is_refused(name: str, tmp_path: Path, tally: dict[str, Tally]) -> None:
    count = tally.setdefault("damaged lines", Tally())
    lines = _text(name).splitlines(keepends=True)
    tried = {line for other in _before(name) for line in _text(other).splitlines(keepends=True)}
    config = tmp_path / "mutated.yaml"
    for n, line in enumerate(lines):
        if line.startswith("#") or ":" not in line or line in tried:
            continue
        key, _, value = line.rstrip("\n").partition(":")
        last = n  # the last line of a block that begins here: an open quote is noticed where it ends
        while last + 1 < len(lines) and lines[last + 1].startswith((" ", "-")):
            last += 1
        for damaged, at in [
            (f"{line}{line}", key),
            (f"\t{line}", None),
            (f"{key}:\t{value}\n", key),
            (f"{key}{value.strip()}\n", None),
            (f"{key}: &a {value}\n", key),
            (f"{key}: *a\n", key),
            (f"{key}: !!python/name:os.system {value}\n", key),
            (f"{key}: [{value}\n", key),
            (f'{key}: "{value}\n', key),
            (f"{key}: x: {value}\n", key),
            (f"{key}: {'[' * 50}{value}{']' * 50}\n", key),
            (f"{key}: {value}\0\n", None),
            (f"{key}: \udcff{value}\n", None),
            (f"{line}---\n", None),
            (f"- {line}", None),
        ]:
            content = "".join([*lines[:n], damaged, *lines[n + 1 :]]).encode("utf-8", errors="surrogateescape")
            config.write_bytes(content)
            error = _caught(config)
            count.tried += 1
            if error is None:
                count.missed.append(f"{name}: {damaged!r}")
                continue
            assert any(fault.line is not None and n <= fault.line <= last + 2 for fault in error.faults), (
                damaged,
                error,
            )
            is_entry = line.startswith((" ", "-"))
            assert at is None or is_entry or any(fault.key == at for fault in error.faults), (damaged, error)
    assert count.missed == []


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
    ("sasrec", "optimizer=sparse_adam"),
    ("sasrec", "optimizer=lazy_adam loss=cross_entropy"),
    ("caser", "optimizer=lazy_adam"),
    ("lightgcn", "optimizer=lazy_adam"),
    ("lightgcn", "optimizer=row_adagrad"),
    ("bprmf", "optimizer=row_adagrad state_precision=bf16"),
    ("bprmf", "optimizer=lazy_adam state_precision=fp16"),
    ("bprmf", "second_moment=row"),
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
    ("train_path: a.csv\ntest_path: b.csv\nvalid_path: b.csv", "test_path"),
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
    ("path: a.csv\nformat: ./mine.py:read", "format"),
    ("path: a.csv\nrating_column: t\ntime_column: t", "time_column"),
    ("path: a.csv\nformat: lightgcn\nsplit: time", "split"),
    ("path: a.csv\nformat: lightgcn\nsplit: leave_one_out", "split"),
    ("path: a.csv\nformat: triples\nsplit: user_time", "split"),
    ("path: a.csv\nformat: pairs\nsplit: time", "split"),
    ("path: a.csv\nformat: sequences\nsplit: time", "split"),
    ("path: a.csv\ntime_column: ''\nsplit: leave_k", "split"),
    ("path: a.csv\nformat: lightgcn\nrating_threshold: 3", "rating_threshold"),
    ("path: a.csv\nformat: pairs\nrating_threshold: 3", "rating_threshold"),
    ("path: a.csv\nrating_column: ''\nrating_threshold: 3", "rating_threshold"),
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
        *(("model: sasrec\n", f"dataset: {name}", "dataset") for name in ("Gowalla_m1", "Yelp18_m1", "LastFM")),
        ("model: gru4rec\ndataset: File\npath: a.txt\nsplit: user_time\n", "format: lightgcn", "format"),
        ("model: gru4rec\ndataset: File\npath: a.csv\nsplit: user_time\n", "time_column: ''", "time_column"),
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
