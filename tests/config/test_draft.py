"""What a component in a file of one's own declares is checked where it is chosen, without running the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from recrun.config.resolve import Resolved, resolve
from recrun.errors import ConfigError

HEAD = """
from typing import Literal, Optional
from recrun.architectures import RecSysArch
from recrun.types import *
class M(RecSysArch):
    'A model.'
    def __init__(self, {}) -> None: ...
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config that chooses a model of one's own, in the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("model: ./m.py:M\n")
    return tmp_path


def _resolve(signature: str, *overrides: str) -> Resolved:
    Path("m.py").write_text(HEAD.format(signature))
    return resolve("c.yaml", overrides)


def _faults(signature: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _resolve(signature, *overrides)
    return [str(fault) for fault in caught.value.faults]


FAULTY_CONDITIONS = [
    ('Where("sise % 2 == 0", "no")', "has a condition that names 'sise', which is no setting; did you mean 'size'?"),
    ('Where("size > nonsense", "no")', "has a condition that names 'nonsense', which is no setting"),
    ('AppliesIf("haeds > 1", "no")', "has a condition that names 'haeds', which is no setting; did you mean 'heads'?"),
    ('Where(3, "no")', "has a faulty condition on it: expected two texts, a condition and a message, found 3 and 'no'"),
    ('Where(["size"], "no")', "has a faulty condition on it: expected two texts, a condition and a message, found ["),
    ('Where("size > 9", 5)', "has a faulty condition on it: expected two texts, a condition and a message, found "),
    ('AppliesIf("heads", None)', "has a faulty condition on it: expected two texts, a condition and a message, found "),
    ('Where("size > 0", "found {size!r}")', "has a faulty condition on it: 'size!r' is not a condition on settings: "),
    ('AppliesIf("size > 0", "{open(size)}")', "has a faulty condition on it: 'open(size)' is not a condition on "),
    ('Where("", "")', "has a faulty condition on it: '' is not a condition on settings: "),
    ('Where("size >", "no")', "has a faulty condition on it: 'size >' is not a condition on settings: "),
    ('Where("size ** 2 > 3", "no")', "has a faulty condition on it: 'size ** 2 > 3' is not a condition on settings: "),
    ('Where("size >> -1 == 0", "no")', "has a faulty condition on it: 'size >> -1 == 0' cannot be computed: negative"),
    ('Where("max([]) == 0", "no")', "has a faulty condition on it: 'max([]) == 0' cannot be computed: "),
    ('Where("size % 0 == 0", "no")', "has a faulty condition on it: 'size % 0 == 0' cannot be computed: "),
    ("Where(\"size > 'a'\", 'no')", "has a faulty condition on it: \"size > 'a'\" cannot be computed: "),
    ('Where("len() > 1", "no")', "has a faulty condition on it: 'len() > 1' cannot be computed: "),
    ('Where("size.real > 0", "no")', "has a faulty condition on it: 'size.real > 0' cannot be computed: "),
    ('Where("dataset.nonsense > 0", "no")', "has a faulty condition on it: 'dataset.nonsense > 0' cannot be computed"),
    ('Where("' + "(" * 300 + "size" + ")" * 300 + '", "no")', "has a faulty condition on it: '((((((("),
]


@pytest.mark.parametrize(("condition", "fault"), FAULTY_CONDITIONS)
def test_a_condition_that_means_nothing_is_refused_where_its_component_is_chosen(
    own: Path, condition: str, fault: str
) -> None:
    (found,) = _faults(f"data, *, size: Annotated[PositiveInt, {condition}] = 8, heads: PositiveInt = 2")
    assert found.startswith(f"c.yaml:1:8: size: model {own}/m.py:M {fault}")
    assert len(found) < 400


def test_a_setting_that_applies_only_sometimes_needs_a_default(own: Path) -> None:
    signature = 'data, *, size: Annotated[int, AppliesIf("heads > 1", "one head")], heads: int = 1'
    for overrides in ([], ["size=3"], ["heads=2"]):
        (found,) = _faults(signature, *overrides)
        assert found.endswith("AppliesIf needs a default, which holds where the setting does not apply")


@pytest.mark.parametrize(
    ("annotation", "default", "fault"),
    [
        ("PositiveInt", "0", "expected an integer >= 1, found 0 (an integer)"),
        ("PositiveInt", "'x'", "expected an integer >= 1, found 'x' (text)"),
        ("PositiveInt", "None", "expected an integer >= 1, found null"),
        ("PositiveInt", "True", "expected an integer >= 1, found true (true or false)"),
        ("PositiveInt", "3.0", "expected an integer >= 1, found 3.0 (a number)"),
        ("Fraction", "1.0", "expected a number >= 0 and < 1, found 1.0 (a number)"),
        ("float", "1e999", "expected a number, found inf (a number)"),
        ("float", "'1'", "expected a number, found '1' (text)"),
        ("int", "10**30", None),
        ("int", "1000000000000000000000000000000", "expected an integer, found 10000000000000000000"),
        ("bool", "1", "expected true or false, found 1 (an integer)"),
        ("str", "None", "expected text, found null"),
        ("list[int]", "['a']", "expected a list of integers, found ['a'] (a list)"),
        ("list[int]", "None", "expected a list of integers, found null"),
        ("Annotated[list[str], MinLen(1)]", "[]", "expected a list of text values with at least 1, found [] (a list)"),
        ("Literal['a', 'b']", "'c'", "expected one of a, b, found 'c' (text)"),
        ("SplitName", "'nonsense'", "expected one of cold_items, "),
    ],
)
def test_a_default_that_its_type_does_not_allow_is_refused(
    own: Path, annotation: str, default: str, fault: str | None
) -> None:
    (found,) = _faults(f"data, *, size: {annotation} = {default}")
    if fault is None:
        assert "the default of 'size' must be a literal" in found or "gives it a default" in found
    else:
        told = f"c.yaml:1:8: size: model {own}/m.py:M gives it a default that it cannot have: {fault}"
        assert found.startswith(told)


@pytest.mark.parametrize(
    ("annotation", "fault"),
    [
        ("Annotated[int, Ge('a')]", "Ge(ge='a') is a bound of numbers, by a number"),
        ("Annotated[int, Le(None)]", "Le(le=None) is a bound of numbers, by a number"),
        ("Annotated[int, Gt(True)]", "Gt(gt=True) is a bound of numbers, by a number"),
        ("Annotated[str, Lt(1)]", "Lt(lt=1) is a bound of numbers, by a number"),
        ("Annotated[bool, Ge(0)]", "Ge(ge=0) is a bound of numbers, by a number"),
        ("Annotated[list[int], Ge(0)]", "Ge(ge=0) is a bound of numbers, by a number"),
        ("Annotated[int, MinLen(1)]", "MinLen(min_length=1) is a bound of lists"),
        ("Annotated[int, Registered('splits')]", "Registered(kinds='splits', "),
        ("Annotated[str, Registered('splts')]", "'splts' is no kind of component (available: models, "),
        ("Annotated[int, EmptyIsText()]", "EmptyIsText() is a bound of text"),
        ("Annotated[int, Default(3)]", "Default must be outermost"),
        ("Annotated[int, Where('size > 3', 'no')] | None", "Where must be outermost"),
        ("list[Annotated[int, Ge('a')]]", "Ge(ge='a') is a bound of numbers, by a number"),
        ("set[int]", "set is not among the types of settings"),
        ("tuple[int, int]", "tuple is not among the types of settings"),
        ("dict[int, int]", "dict is not among the types of settings"),
        ("bytes", "bytes is not among the types of settings"),
        ("complex | None", "complex is not among the types of settings"),
        ("object", "object is not among the types of settings"),
    ],
)
def test_a_type_that_no_setting_can_have_is_refused(own: Path, annotation: str, fault: str) -> None:
    for overrides in ([], ["size=3"], ["size=[1]"], ["size=null"]):
        (found,) = _faults(f"data, *, size: {annotation} = None", *overrides)
        assert found.startswith(f"c.yaml:1:8: size: model {own}/m.py:M cannot have a setting of this type: {fault}")


@pytest.mark.parametrize("annotation", ["'Positive Int'", "'np.ndarray'", "'int |'", "'\\x00'", "'a' 'b c'"])
def test_a_type_in_quotes_that_is_none_is_refused(own: Path, annotation: str) -> None:
    (found,) = _faults(f"data, *, size: {annotation} = None")
    assert found.startswith("c.yaml:1:8: model: ")
    assert "is not a type that a setting can have" in found


@pytest.mark.parametrize(
    ("annotation", "default"),
    [
        ("Annotated[int | None, Ge(1)]", "None"),
        ("Annotated[list[int] | None, MinLen(1)]", "None"),
        ("Optional[int]", "None"),
        ("int | str | None", "'x'"),
        ("Literal['a', None]", "None"),
        ("dict[str, int]", "{'a': 1}"),
        ("float", "1"),
        ("OptionalColumn", "''"),
        ("'PositiveInt'", "3"),
    ],
)
def test_types_and_defaults_that_fit_are_taken(own: Path, annotation: str, default: str) -> None:
    assert _resolve(f"data, *, size: {annotation} = {default}").notes == ()


@pytest.mark.parametrize(
    ("signature", "fault"),
    [
        ("data, size", "needs 2 arguments by position, but is given 1; write it as (self, data, *, setting: type = "),
        ("data, size: int", "needs 2 arguments by position, but is given 1"),
        ("data, a, b, *, size: int = 3", "needs 3 arguments by position, but is given 1"),
        ("*, size: int = 3", "takes 0 arguments by position, but is given 1"),
    ],
)
def test_a_constructor_that_cannot_be_called_is_refused(own: Path, signature: str, fault: str) -> None:
    (found,) = _faults(signature)
    assert found.startswith(f"c.yaml:1:8: model: {own}/m.py:M {fault}")


@pytest.mark.parametrize("signature", ["data", "data, size=3", "*data", "data, /, *, size: int = 3", "data, **other"])
def test_a_constructor_that_can_be_called_is_taken(own: Path, signature: str) -> None:
    assert _resolve(signature).config.model == f"{own}/m.py:M"


@pytest.mark.parametrize("name", ["help", "extends", "expected", "tuned_for", "keys", "items", "compile"])
def test_a_reserved_name_is_refused_where_its_component_is_chosen(own: Path, name: str) -> None:
    (found,) = _faults(f"data, *, {name}: str = 'x'")
    assert found.startswith(f"c.yaml:1:8: {name}: model ")
    assert found.endswith("cannot have a setting of this name, which is reserved; choose another")


@pytest.mark.parametrize("setting", ["seed: int = 3", "id: str = 'x'", "lr: float = 0.5", "split: str = 'ratio'"])
def test_a_setting_of_another_type_than_the_runs_own_is_refused(own: Path, setting: str) -> None:
    (found,) = _faults(f"data, *, {setting}")
    assert found.endswith("; they cannot be used together")


def test_a_default_that_another_declaration_overrules_is_told(own: Path) -> None:
    resolved = _resolve("data, *, epochs: NonNegativeInt = 5")
    assert resolved.config.epochs == 100
    assert resolved.notes == ("epochs is a setting of training too: its default 100 holds, not 5",)
    assert _resolve("data, *, epochs: NonNegativeInt = 5", "epochs=7").notes == ()


def test_the_conditions_of_all_components_that_share_a_setting_hold(own: Path) -> None:
    (found,) = _faults('data, *, epochs: Annotated[NonNegativeInt, Where("epochs < 9", "few")] = 100', "epochs=9")
    assert found == "argument 1:8: epochs: few"


def test_a_setting_that_is_dropped_takes_those_with_it_that_depend_on_it(own: Path) -> None:
    signature = (
        'data, *, depth: Annotated[int, AppliesIf("heads > 1", "there is one head")] = 3, '
        'heads: Annotated[int, AppliesIf("attends", "it does not attend")] = 1, attends: bool = True'
    )
    Path("c.yaml").write_text("model: ./m.py:M\nheads: 2\ndepth: 5\n")
    resolved = _resolve(signature, "attends=false")
    assert (resolved.config.heads, resolved.config.depth) == (1, 3)
    assert resolved.notes == (
        "heads=2 of c.yaml does not apply: it does not attend; it is dropped",
        "depth=5 of c.yaml does not apply: there is one head; it is dropped",
    )


@pytest.mark.parametrize(
    ("conditions", "fault"),
    [
        ("{'a': 'b'}", "conditions: expected {setting: [(condition, message), ...]}, found {'a': 'b'}"),
        ("('a',)", "conditions: expected {setting: [(condition, message), ...]}, found ('a',)"),
        ("{'a': [('b',)]}", "conditions: expected {setting: [(condition, message), ...]}, found "),
        ("{'size': [('size >', 'no')]}", "'size >' is not a condition on settings: "),
        ("{'size': [(3, 'no')]}", "expected two texts, a condition and a message, found 3 and 'no'"),
        ("{'size': [('size > 0', '{size!r}')]}", "'size!r' is not a condition on settings: "),
        ("{'size': [('sise > 0', 'no')]}", "has a condition that names 'sise', which is no setting"),
        ("{'sise': [('size > 0', 'no')]}", "has a condition that names 'sise', which is no setting"),
    ],
)
def test_conditions_in_the_body_of_a_data_set_are_checked_too(own: Path, conditions: str, fault: str) -> None:
    Path("d.py").write_text(
        "from recrun.data.datasets.base import RecDataSet\nclass D(RecDataSet):\n    'Data.'\n"
        f"    conditions = {conditions}\n    def __init__(self, root, *, size: int = 3) -> None: ...\n"
    )
    with pytest.raises(ConfigError) as caught:
        resolve("bprmf", ["dataset=./d.py:D"])
    (found,) = caught.value.faults
    assert found.file == "argument 1"
    assert fault in found.message


FAMILY = "from recrun.config.family import Family\nfrom recrun.models.bprmf import BPRMF\nclass Mine(BPRMF):\n    'x'\n"
LOSS = "from recrun.criterions.base import BaseCriterion\n"
TRACKER = "from recrun.training.reporter import Reporter\nfrom recrun.types import *\nclass Mine(Reporter):\n    'x'\n"


@pytest.mark.parametrize(
    ("setting", "text", "fault"),
    [
        ("model", f"{FAMILY}    family = 3\n", "expected family = Family(...), found 3"),
        ("model", f"{FAMILY}    family = 'users'\n", "expected family = Family(...), found 'users'"),
        ("model", f"{FAMILY}    family = Family(without=('lr',))\n", "without: unknown training setting 'lr'. "),
        ("model", f"{FAMILY}    family = Family(without=('drawon',))\n", "without: unknown training setting 'drawon'"),
        ("model", f"{FAMILY}    family = Family(losses=('bce',))\n", " works only with bce, found hinge"),
        ("model", "class Mine: pass\n", "is no model: the class must derive from RecSysArch"),
        ("model", "class Mine(Mine): pass\n", "the classes above Mine derive from each other"),
        (
            "model",
            "class A(B): pass\nclass B(A): pass\nclass Mine(A): pass\n",
            "the classes above Mine derive from each",
        ),
        ("dataset", "class Mine: pass\n", "is no dataset: the class must derive from RecDataSet"),
        ("loss", "class Mine:\n    'x'\n", "is no loss: the class must derive from BaseCriterion"),
        ("loss", "def Mine(x): ...\n", "needs 1 arguments by position, but is given 0"),
        ("loss", f"{LOSS}class Mine(BaseCriterion):\n    def __init__(self, reduction): ...\n", "needs 1 arguments by"),
        ("loss", f"{LOSS}class Mine(BaseCriterion):\n    def __init__(): ...\n", "takes -1 arguments by position"),
        ("optimizer", "def Mine(params, lr): ...\n", "needs 2 arguments by position, but is given 1"),
        ("optimizer", "def Mine(): ...\n", "takes 0 arguments by position, but is given 1"),
        (
            "lr_scheduler",
            "def Mine(optimizer): ...\n",
            "takes 1 arguments by position, but is given 2; write it as (opt",
        ),
        ("sampler", "class Mine:\n    def __init__(self): ...\n", "takes 0 arguments by position, but is given 1"),
        ("split", "def Mine(): ...\n", "takes 0 arguments by position, but is given 1; write it as (rows, *, setting"),
        ("split", "def Mine(rows, share): ...\n", "needs 2 arguments by position, but is given 1"),
        ("split", "def Mine(rows, *, share: float = 0.1): ...\n", "a split has no settings; remove 'share'"),
        ("track", f"{TRACKER}    def __init__(self, run): ...\n", "takes 1 arguments by position, but is given 3"),
        (
            "track",
            f"{TRACKER}    def __init__(self, run, settings, resumed_from, *, url: PositiveInt = 0): ...\n",
            "gives it a default that it cannot have: expected an integer >= 1, found 0",
        ),
        (
            "track",
            f"{TRACKER}    def __init__(self, run, settings, resumed_from, *, url: set[int] = None): ...\n",
            "cannot have a setting of this type: set is not among the types of settings",
        ),
        (
            "track",
            f"{TRACKER}    def __init__(self, run, settings, resumed_from, *, "
            "url: Annotated[int, Where('ulr > 0', '')] = 1): ...\n",
            "has a condition that names 'ulr', which is no setting",
        ),
    ],
)
def test_what_cannot_be_used_as_what_it_is_chosen_for_is_refused(
    own: Path, setting: str, text: str, fault: str
) -> None:
    Path("o.py").write_text(text)
    chosen = "[./o.py:Mine]" if setting == "track" else "./o.py:Mine"
    overrides = [f"{setting}={chosen}", *(["loss=hinge"] if setting == "model" else [])]
    with pytest.raises(ConfigError) as caught:
        resolve("bprmf", overrides)
    texts = [str(each) for each in caught.value.faults]
    assert all(each.startswith("argument ") for each in texts), texts
    assert any(fault in each for each in texts), texts
