from __future__ import annotations

import ast
import inspect
import itertools
import sys
import types
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from recrun.config.check_value import fit, json_schema, type_name
from recrun.config.settings import COMPONENTS, RUN, TRAINING
from recrun.registry import REGISTRIES
from recrun.registry.annotations import Unreadable, resolve_annotation
from recrun.registry.component import REQUIRED, Component, Parameter
from recrun.registry.modules import Source
from recrun.registry.read_object import describe_object
from recrun.registry.read_source import argument_help, read_parameters
from recrun.registry.registry import Registry
from recrun.registry.traits import Traits
from recrun.types import Fraction, Ge, Lt, PositiveInt


def _registered() -> Iterator[tuple[Registry, str]]:
    for registry in REGISTRIES.values():
        for name in registry.names():
            yield registry, name


EVERYTHING = [pytest.param(registry, name, id=f"{registry.kind}-{name}") for registry, name in _registered()]


def _annotation(text: str) -> Any:
    return resolve_annotation(ast.parse(text, mode="eval").body)


@pytest.mark.parametrize(
    ("text", "annotation"),
    [
        ("int", int),
        ("PositiveInt", PositiveInt),
        ("types.Fraction", Fraction),
        ("str | None", str | None),
        ("None | str", None | str),
        ("list[int]", list[int]),
        ("list[PositiveInt] | None", list[PositiveInt] | None),
        ("dict[str, float]", dict[str, float]),
        ("Optional[int]", int | None),
        ("Any", Any),
        ("Literal['a', 'b']", Literal["a", "b"]),
        ("Literal[-1, True]", Literal[-1, True]),
        ("Annotated[int, Ge(-1)]", Annotated[int, Ge(-1)]),
        ("Annotated[float, Ge(0), Lt(2.5)]", Annotated[float, Ge(0), Lt(2.5)]),
        ("'PositiveInt'", PositiveInt),
    ],
)
def test_an_annotation_is_read_from_its_text(text: str, annotation: Any) -> None:
    assert _annotation(text) == annotation


@pytest.mark.parametrize(
    "text",
    [
        "Tensor",
        "set[int]",
        "np.ndarray",
        "int[str]",
        "Literal[x]",
        "Annotated[int, f(1)]",
        "Annotated[int, Ge(x)]",
        "'a b'",
        "1",
    ],
)
def test_an_annotation_that_no_setting_can_have_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(Unreadable, match=r"line 1: .* is not a (type|bound) that a setting can have"):
        _annotation(text)


def _parameters(signature: str, doc: str = "") -> tuple[Parameter, ...]:
    function = ast.parse(f"def f({signature}): pass").body[0]
    assert isinstance(function, ast.FunctionDef)
    return read_parameters(function, doc, "model x", Source("", Path("x.py"), ast.parse("")))


def test_keyword_only_parameters_are_settings_and_others_are_not() -> None:
    a, b = _parameters("data, scale=2, *, a: int, b: list[int] = [1, 2], **rest", "Do.\n\nArgs:\n    b: sizes.\n")
    assert a == Parameter("a", int, REQUIRED, "", "model x")
    assert b == Parameter("b", list[int], [1, 2], "sizes.", "model x")
    assert repr(REQUIRED) == "REQUIRED"


def test_a_setting_without_annotation_or_literal_default_is_refused() -> None:
    with pytest.raises(Unreadable, match="parameter 'a' needs a type annotation"):
        _parameters("*, a=1")
    with pytest.raises(Unreadable, match="the default of 'a' must be a literal"):
        _parameters("*, a: int = DEFAULT")


def test_help_is_read_from_the_args_section() -> None:
    doc = """Do something.

    Args:
        first: one line
            and another; with a colon: here.
        second (int): typed.

    Returns:
        third: not an argument.
    """
    assert argument_help(inspect.cleandoc(doc)) == {
        "first": "one line and another; with a colon: here.",
        "second": "typed.",
    }
    assert argument_help("No arguments.") == {}


def test_summary_and_source_are_read_from_the_docstring() -> None:
    doc = 'Score by\nproducts.\n\n*Source:* Someone,\n"A paper", 2009.\n\nArgs:\n    a: b.'
    component = Component("model", "x", "m:X", doc=doc)
    assert component.summary == "Score by products."
    assert component.source == 'Someone, "A paper", 2009.'
    assert Component("model", "x", "m:X").source == ""


@pytest.mark.parametrize(("registry", "name"), EVERYTHING)
def test_reading_the_source_says_what_inspecting_the_object_says(registry: Registry, name: str) -> None:
    read = registry.describe(name)
    thing = registry.get(name)
    seen = describe_object(registry.kind, name, thing, read.traits)
    assert read.parameters == seen.parameters
    assert (read.target, read.doc, read.traits) == (seen.target, seen.doc, registry._registered[name].traits)
    assert set(read.bases) <= {*seen.bases, *(base.__qualname__ for base in inspect.getmro(type(thing)))}


@pytest.mark.parametrize(("registry", "name"), EVERYTHING)
def test_every_default_fits_its_own_type_and_every_type_has_a_name_and_a_schema(registry: Registry, name: str) -> None:
    for parameter in registry.describe(name).parameters:
        assert type_name(parameter.annotation)
        assert isinstance(json_schema(parameter.annotation), dict)
        if parameter.default is not REQUIRED:
            assert fit(parameter.annotation, parameter.default) == parameter.default, parameter.name


@pytest.mark.parametrize(("registry", "name"), EVERYTHING)
def test_everything_registered_says_what_it_is_and_what_its_settings_mean(registry: Registry, name: str) -> None:
    component = registry.describe(name)
    assert component.summary.endswith(".") or ":" in component.summary
    assert [parameter.name for parameter in component.parameters if not parameter.help] == []
    if registry.kind == "model":
        assert component.source


def test_defaults_of_the_runs_own_settings_fit() -> None:
    for parameter in (*RUN, *TRAINING):
        assert fit(parameter.annotation, parameter.default) == parameter.default, parameter.name


def _by_kind() -> dict[str, dict[str, list[Parameter]]]:
    """Return the settings by key and by what declares them: the run itself, or a kind of component."""
    declared: dict[str, dict[str, list[Parameter]]] = defaultdict(lambda: defaultdict(list))
    for parameter in RUN:
        declared[parameter.name]["run"].append(parameter)
    for parameter in TRAINING:
        declared[parameter.name]["training"].append(parameter)
    for registry in COMPONENTS.values():
        for component in registry:
            kind = "closed form" if "ClosedFormArch" in component.bases else registry.kind
            for parameter in component.parameters:
                declared[parameter.name][kind].append(parameter)
    return declared


def _meet(one: str, other: str) -> bool:
    """Whether two kinds of declarers can be in one run: what is fitted in closed form meets nothing that trains."""
    kinds = {one, other}
    return one != other and ("closed form" not in kinds or kinds <= {"closed form", "dataset", "run"})


def test_components_that_may_meet_in_a_run_agree_on_the_type_and_default_of_a_key_they_share() -> None:
    """A model and an optimizer, say: of two defaults the one that counts would depend on their order."""
    for key, kinds in _by_kind().items():
        for one, other in itertools.combinations(kinds, 2):
            if _meet(one, other):
                seen = {repr((each.annotation, each.default)) for each in kinds[one] + kinds[other]}
                assert len(seen) == 1, f"{key}: {seen}"


def test_a_key_of_several_components_of_one_kind_has_one_type_or_choices_of_the_same_sort() -> None:
    choices = ("typing.Literal", "typing.Annotated[str, Registered(")
    for key, kinds in _by_kind().items():
        for declared in kinds.values():
            types = {repr(each.annotation) for each in declared}
            assert len(types) == 1 or all(text.startswith(choices) for text in types), f"{key}: {types}"


def test_a_group_that_cannot_be_found_is_named_with_its_line() -> None:
    with pytest.raises(Unreadable, match=r"line 1: there is no group of settings 'Nowhere'"):
        _parameters("**rest: Unpack[Nowhere]")
    assert _parameters("**rest: int") == ()


def test_a_group_of_an_imported_object_must_be_defined_in_a_file() -> None:
    scope: dict[str, Any] = {"__name__": "elsewhere"}
    sys.modules["elsewhere"] = types.ModuleType("elsewhere")
    text = (
        "from typing import TypedDict\nfrom typing_extensions import Unpack\n"
        "class Group(TypedDict): size: int\n"
        "def build(**rest: Unpack[Group]): ...\n"
        "def lost(**rest: 'Unpack[Nowhere]'): ...\n"
    )
    exec(compile(text, "elsewhere", "exec", dont_inherit=True), scope)
    with pytest.raises(Unreadable, match="build: define the group of settings Group in a file"):
        describe_object("thing", "build", scope["build"], Traits())
    with pytest.raises(Unreadable, match="lost: there is no group of settings 'Nowhere'"):
        describe_object("thing", "lost", scope["lost"], Traits())
    del sys.modules["elsewhere"]
