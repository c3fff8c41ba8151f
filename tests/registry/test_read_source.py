from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from recrun.errors import RegistryError
from recrun.registry.annotations import Unreadable
from recrun.registry.modules import find_module, package_modules, parse_file, read_module
from recrun.registry.read_source import describe_definition, registrations


def _write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / (name.replace("_", "/") + ".py").replace("/init.py", "/__init__.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _settings(path: Path, name: str) -> tuple[list[str], tuple[str, ...]]:
    source = parse_file(path)
    component = describe_definition("model", name, name, source.definitions[name], source, {})
    return [parameter.name for parameter in component.parameters], component.bases


def test_a_class_has_the_settings_of_its_constructor(tmp_path: Path) -> None:
    _write(tmp_path, a="class A:\n    def __init__(self, data, *, size: int = 3): ...\n")
    assert _settings(tmp_path / "a.py", "A") == (["size"], ("object",))


def test_an_inherited_constructor_is_found_in_the_same_file_and_in_a_neighbour(tmp_path: Path) -> None:
    _write(
        tmp_path,
        neighbour="class Base:\n    def __init__(self, *, depth: int = 1): ...\n",
        a="from neighbour import Base as B\nclass Middle(B): ...\nclass A(Middle): ...\n",
        b="import neighbour as n\nclass B(n.Base): ...\n",
    )
    assert _settings(tmp_path / "a.py", "A") == (["depth"], ("Middle", "B", "object"))
    assert _settings(tmp_path / "b.py", "B") == (["depth"], ("Base", "object"))


def test_a_model_that_derives_from_a_registered_one_has_its_settings_and_its_bases(tmp_path: Path) -> None:
    _write(tmp_path, mine="from recrun.models.ease import EASE\nclass Mine(EASE):\n    'Mine.'\n")
    settings, bases = _settings(tmp_path / "mine.py", "Mine")
    assert "reg_weight" in settings
    assert {"EASE", "ClosedFormArch", "RecSysArch"} <= set(bases)


def test_relative_imports_and_names_passed_on_by_a_package_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(
        tmp_path,
        pack_init="from .base import Base\n",
        pack_base="class Base:\n    def __init__(self, *, width: int): ...\n",
        pack_models_one="from ..base import Base\nclass One(Base): ...\n",
        outside="import pack\nclass Two(pack.Base): ...\n",
    )
    _write(tmp_path, pack_models_init="")
    monkeypatch.syspath_prepend(str(tmp_path))
    one = read_module("pack.models.one")
    assert one is not None
    assert one.find_class(ast.Name("Base")) is not None
    assert _settings(tmp_path / "outside.py", "Two")[0] == ["width"]
    assert not any(name.partition(".")[0] == "pack" for name in sys.modules)


def test_classes_that_cannot_be_found_are_named_and_passed_over(tmp_path: Path) -> None:
    _write(
        tmp_path, a="from nowhere import X\nimport torch\nclass A(X, torch.nn.Module, B.C): ...\nclass B(A, B): ...\n"
    )
    assert _settings(tmp_path / "a.py", "A") == ([], ("X", "Module", "C"))


def test_circular_imports_end(tmp_path: Path) -> None:
    _write(tmp_path, a="from b import X\nclass A(X): ...\n", b="from a import X\n")
    assert _settings(tmp_path / "a.py", "A") == ([], ("X",))


def test_a_signature_that_cannot_be_read_is_reported_with_its_file(tmp_path: Path) -> None:
    _write(tmp_path, a="def f(*, x: Tensor = 1): ...\n")
    with pytest.raises(Unreadable, match=r"a\.py: line 1: 'Tensor' is not a type that a setting can have"):
        _settings(tmp_path / "a.py", "f")


def test_registrations_are_read_with_their_traits(tmp_path: Path) -> None:
    _write(tmp_path, a="@MODELS.register('x', n=2, on=True)\n@OTHERS.register('y')\n@plain\nclass A: ...\n")
    node = parse_file(tmp_path / "a.py").definitions["A"]
    assert list(registrations(node, "MODELS")) == [("x", {"n": 2, "on": True}, 1)]
    _write(tmp_path, b="@MODELS.register('x', n=COUNT)\nclass A: ...\n")
    with pytest.raises(Unreadable, match="traits of 'x' must be literals"):
        list(registrations(parse_file(tmp_path / "b.py").definitions["A"], "MODELS"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"def f(:\n", "bad.py:1 is not valid Python"),
        (b"x = 1\nif\n", "bad.py:2 is not valid Python"),
        (b"x = '\xff'\n", "is not valid Python"),
        (b"x\x00y\n", "is not valid Python"),
        (b"x = " + b"(" * 5000 + b"\n", "is not valid Python"),
    ],
)
def test_a_file_that_is_no_python_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "bad.py").write_bytes(content)
    with pytest.raises(RegistryError, match=reason):
        parse_file(tmp_path / "bad.py")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"cannot read .*nothing\.py: No such file"):
        parse_file(tmp_path / "nothing.py")


def test_modules_are_found_without_importing_the_packages_above_them() -> None:
    assert find_module("recrun.models.bprmf") is not None
    assert find_module("recrun.nowhere.x") is None
    assert find_module("no_such_package.x") is None
    assert find_module("sys") is None
    assert "recrun.models.bprmf" in dict(package_modules("recrun.models"))
    with pytest.raises(RegistryError, match=r"there is no module recrun\.nowhere"):
        package_modules("recrun.nowhere")


def test_a_package_without_init_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path, loose_inner_one="class One: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_module("loose.inner.one") is None
