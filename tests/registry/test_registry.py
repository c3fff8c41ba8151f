from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from recrun.errors import RegistryError
from recrun.registry import LOSSES, MODELS, REGISTRIES, entry_points
from recrun.registry.component import Parameter
from recrun.registry.read_object import describe_object
from recrun.registry.registry import Registry
from recrun.registry.traits import Traits


@dataclass(frozen=True)
class ThingTraits(Traits):
    OF_CLASS: ClassVar[tuple[str, ...]] = ("shiny",)
    sort: Literal["plain", "odd", "far", "own"] = "plain"
    shiny: bool = False


class Thing:
    """Be a thing."""

    def __init__(self, data: object, *, size: int = 3) -> None:
        """Make it.

        Args:
            size: how large.
        """


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry of a package of its own, with one built-in thing."""
    (tmp_path / "things").mkdir()
    (tmp_path / "things" / "__init__.py").write_text("")
    (tmp_path / "things" / "first.py").write_text(
        "raise ImportError('no such library')\n"
        "@THINGS.register('first', sort='plain')\nclass First:\n    'The first.'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return Registry("thing", "THINGS", "things", "things", ThingTraits)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Install packages that register things: write their metadata into a folder of the path."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def write(package: str, **points: str) -> Path:
        info = site / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = "".join(f"{name} = {value}\n" for name, value in points.items())
        (info / "entry_points.txt").write_text(f"[recrun.things]\n{lines}")
        entry_points.find_entry_points.cache_clear()
        return site

    yield write
    entry_points.find_entry_points.cache_clear()


def test_a_registered_thing_is_found_and_described(registry: Registry) -> None:
    assert registry.register("second", sort="odd")(Thing) is Thing
    assert registry.get("second") is Thing
    component = registry.describe("second")
    assert component.parameters == (Parameter("size", int, 3, "how large.", "thing second"),)
    assert component.traits == ThingTraits(sort="odd")
    assert component.summary == "Be a thing."
    assert "second" in registry
    assert registry.names() == ["first", "second"]


def test_a_name_is_registered_once(registry: Registry) -> None:
    registry.register("second")(Thing)
    registry.register("second")(Thing)
    with pytest.raises(RegistryError, match="thing 'second' is registered twice"):
        registry.register("second")(type("Other", (), {}))
    with pytest.raises(RegistryError, match=r"thing 'first' is registered twice: things\.first:First and"):
        registry.register("first")(Thing)


def test_a_built_in_thing_is_described_without_importing_it(registry: Registry) -> None:
    component = registry.describe("first")
    assert (component.target, component.traits, component.doc) == (
        "things.first:First",
        ThingTraits(),
        "The first.",
    )
    assert "things.first" not in sys.modules


def test_a_thing_whose_module_cannot_be_imported_is_an_error(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="thing 'first' cannot be imported: no such library"):
        registry.get("first")


def test_an_unknown_name_names_the_nearest() -> None:
    for ask in (LOSSES.describe, LOSSES.get):
        with pytest.raises(RegistryError, match="unknown loss 'brp'; did you mean 'bpr'"):
            ask("brp")


def test_two_built_in_things_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "@TWINS.register('a')\ndef a(): 'A.'\n"
    (tmp_path / "twins.py").write_text(text + text.replace("def a", "def b"))
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RegistryError, match="twin 'a' is registered twice: twins:a and twins:b"):
        Registry("twin", "TWINS", "twins", "twins").names()


def test_the_name_of_every_registry_is_the_plural_of_its_kind() -> None:
    assert list(REGISTRIES) == [
        "models", "losses", "datasets", "formats", "metrics", "metric_kinds", "optimizers", "lr_schedulers",
        "samplers", "splits", "reporters", "engines",
    ]  # fmt: skip


def test_file_registry_and_config_name_agree_for_models(repository: Path) -> None:
    files = {path.stem for path in (repository / "models").glob("[!_]*.py")}
    assert files <= set(MODELS.names())
    assert files <= {path.stem for path in (repository / "configs").glob("*.yaml")}


def test_an_entry_point_is_described_without_importing_it(registry: Registry, install: Any) -> None:
    site = install("shop", third="shop.parts:Third")
    (site / "shop").mkdir()
    (site / "shop" / "__init__.py").write_text("raise RuntimeError('imported')")
    (site / "shop" / "parts.py").write_text(
        "@THINGS.register('third', sort='far')\n"
        "class Third:\n    'The third.'\n    def __init__(self, *, size: int = 1): ...\n"
    )
    assert registry.names() == ["first", "third"]
    component = registry.describe("third")
    assert (component.summary, component.traits, component.target) == (
        "The third.",
        ThingTraits(sort="far"),
        "shop.parts:Third",
    )
    assert [parameter.name for parameter in component.parameters] == ["size"]
    assert registry.problems() == []


def test_an_entry_point_that_no_source_describes_is_imported(registry: Registry, install: Any) -> None:
    site = install("mart", fourth="mart:Fourth", fifth="mart:Fifth")
    (site / "mart.py").write_text(
        "def _make(n):\n    class Made:\n        def __init__(self, *, size: int = n): 'Make.'\n    return Made\n"
        "Fourth = _make(4)\nFifth = _make(5)\nFifth.__qualname__ = 'Fifth'\n"
    )
    assert registry.describe("fourth").parameters[0].default == 4
    assert registry.get("fifth")(size=2) is not None


def test_what_an_entry_point_registers_itself_keeps_its_traits(registry: Registry, install: Any) -> None:
    site = install("kiosk", sixth="kiosk:Sixth")
    (site / "kiosk.py").write_text(
        "import builtins\n@builtins.THINGS.register('sixth', sort='own')\nclass Sixth: 'S.'\n"
    )
    import builtins

    builtins.THINGS = registry  # type: ignore[attr-defined]
    try:
        registry.get("sixth")
    finally:
        del builtins.THINGS  # type: ignore[attr-defined]
    assert registry._registered["sixth"].traits == ThingTraits(sort="own")


@pytest.mark.parametrize(
    "text", ["raise RuntimeError('broken')", "raise SystemExit(3)", "import no_such_library", "x ="]
)
def test_a_broken_entry_point_spoils_nothing_but_itself(registry: Registry, install: Any, text: str) -> None:
    site = install("junk", broken="junk_module:Broken")
    (site / "junk_module.py").write_text(text)
    assert [component.name for component in registry] == ["first"]
    (problem,) = registry.problems()
    assert "junk_module" in problem
    for ask in (registry.describe, registry.get):
        with pytest.raises(RegistryError, match="junk_module"):
            ask("broken")


def test_an_entry_point_whose_module_is_gone_is_a_problem(registry: Registry, install: Any) -> None:
    install("gone", lost="gone_module:Lost")
    assert "thing 'lost' (entry point lost = gone_module:Lost) cannot be loaded" in registry.problems()[0]


def test_a_name_that_two_packages_or_a_package_and_recrun_claim_is_refused(registry: Registry, install: Any) -> None:
    install("one", same="one:A", first="one:B")
    install("two", same="two:A")
    for name in ("same", "first"):
        for ask in (registry.describe, registry.get):
            with pytest.raises(RegistryError, match=f"thing '{name}' is registered twice: .* uninstall one of them"):
                ask(name)
    assert len(registry.problems()) == 2


def test_the_look_at_entry_point_files_agrees_with_the_library(install: Any) -> None:
    assert not entry_points._may_be_any()
    install("shop2", third="shop2:Third")
    assert entry_points._may_be_any()
    assert [point.value for point in entry_points.find_entry_points()["recrun.things"]["third"]] == ["shop2:Third"]


MINE = '''
"""A model of one's own."""
from recrun.architectures import ClosedFormArch
from recrun.registry import MODELS
from recrun.types import PositiveInt

class Mine(ClosedFormArch):
    """Do it my way."""
    def __init__(self, data, *, depth: PositiveInt = 2) -> None:
        super().__init__()

SIZE = 3
class Odd(Mine):
    def __init__(self, data, *, size: int = SIZE) -> None:
        """Be odd."""
'''


def test_a_users_own_file_is_described_without_running_it_and_loaded_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    component = MODELS.describe(f"{path}:Mine")
    assert (component.name, component.summary) == (f"{path}:Mine", "Do it my way.")
    assert [(parameter.name, parameter.default) for parameter in component.parameters] == [("depth", 2)]
    assert "ClosedFormArch" in component.bases
    assert MODELS.get(f"{path}:Mine") is MODELS.get(f"{path}:Mine")


def test_a_users_class_that_its_text_does_not_explain_is_imported(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    component = MODELS.describe(f"{tmp_path}/mine.py:Odd")
    assert component.parameters[0].default == 3
    assert "ClosedFormArch" in component.bases


def test_a_users_file_may_import_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_mine.py").write_text("class Base:\n    def __init__(self, *, width: int = 7): ...\n")
    (tmp_path / "mine.py").write_text("from neighbour_of_mine import Base\nclass Mine(Base): 'Mine.'\n")
    assert MODELS.describe(f"{tmp_path}/mine.py:Mine").parameters[0].default == 7
    assert MODELS.get(f"{tmp_path}/mine.py:Mine").__name__ == "Mine"
    assert str(tmp_path) not in sys.path
    del sys.modules["neighbour_of_mine"]


@pytest.mark.parametrize(
    ("text", "reference", "message"),
    [
        (None, "Mine", "cannot read .*mine.py: No such file"),
        ("class Other: ...", "Mine", "unknown class or function 'Mine'"),
        ("class Min: ...", "Mine", "did you mean 'Min'"),
        ("class Mine:\n  def f(", "Mine", "is not valid Python"),
    ],
)
def test_a_users_file_that_cannot_be_used_says_why(
    tmp_path: Path, text: str | None, reference: str, message: str
) -> None:
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RegistryError, match=message):
        MODELS.describe(f"{path}:{reference}")


@pytest.mark.parametrize("text", ["raise RuntimeError('no')", "import sys; sys.exit(0)", "import no_such_library"])
def test_a_users_file_that_fails_when_imported_says_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fails.py"
    path.write_text(f"class Mine: ...\n{text}\n")
    assert MODELS.describe(f"{path}:Mine").parameters == ()
    for _ in range(2):
        with pytest.raises(RegistryError, match=r"fails\.py cannot be imported: "):
            MODELS.get(f"{path}:Mine")


def test_a_name_that_a_users_file_loses_when_imported_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "loses.py"
    path.write_text("class Mine: ...\nclass Main: ...\ndel Mine\n")
    with pytest.raises(RegistryError, match="unknown name 'Mine'; did you mean 'Main'"):
        MODELS.get(f"{path}:Mine")
    with pytest.raises(RegistryError, match="there is no file"):
        MODELS.get(f"{tmp_path}/nothing.py:Mine")


def test_a_function_is_described_by_its_keywords() -> None:
    def build(data: object, *, size: int = 3) -> None:
        """Build."""

    component = describe_object("thing", "build", build, Traits())
    assert [parameter.name for parameter in component.parameters] == ["size"]


def test_describing_every_registry_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from recrun.registry import REGISTRIES\n"
        "for registry in REGISTRIES.values(): list(registry)\n"
        "heavy = 'torch', 'numpy', 'polars', 'scipy', 'yaml', 'rich', 'click'\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"
