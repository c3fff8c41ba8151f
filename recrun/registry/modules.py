"""Find and parse Python modules without importing them.

Importing a model imports torch, which takes seconds; parsing its source takes milliseconds. Names are followed from
module to module, so that a class which inherits its constructor is found with it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

from recrun.errors import RegistryError
from recrun.files import read_regular
from recrun.memory import collection_paused

Definition = ast.ClassDef | ast.FunctionDef
_MAX_BYTES: Final = 1 << 24
NOT_FOLLOWED: Final = ("torch", "builtins", "abc", "typing", "collections")
"""Base classes of these packages declare no settings, and reading torch's sources takes long."""


@dataclass(frozen=True)
class Source:
    """A parsed module.

    Args:
        module: its dotted name, or "" for a user's own file.
        path: the file.
        tree: its syntax tree.
    """

    module: str
    path: Path
    tree: ast.Module

    @cached_property
    def definitions(self) -> dict[str, Definition]:
        """The top-level classes and functions by name."""
        return {node.name: node for node in self.tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}

    def find_class(self, expression: ast.expr) -> tuple[ast.ClassDef, Source] | None:
        """Return the class that an expression names in this module, and the module that defines it; None if unknown."""
        name = ast.unparse(expression)
        if name not in self._found:
            self._found[name] = self._look_up(name, depth=0)
        return self._found[name]

    @cached_property
    def _found(self) -> dict[str, tuple[ast.ClassDef, Source] | None]:
        return {}

    def _look_up(self, name: str, depth: int) -> tuple[ast.ClassDef, Source] | None:
        if depth > 10:
            return None
        local = self.definitions.get(name)
        if isinstance(local, ast.ClassDef):
            return local, self
        for module, rest in self._imported_as(name):
            source = None if module.partition(".")[0] in NOT_FOLLOWED else read_module(module, self.path.parent)
            found = source._look_up(rest, depth + 1) if source is not None else None
            if found is not None:
                return found
        return None

    def _imported_as(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield the (module, name within it) that a name of this module may stand for."""
        head, _, rest = name.partition(".")
        for written, module, imported in self._imports:
            if imported and written == head:
                yield (f"{module}.{imported}".lstrip("."), rest) if rest else (module, imported)
            elif not imported and name.startswith(written + "."):
                yield module, name[len(written) + 1 :]

    @cached_property
    def _imports(self) -> list[tuple[str, str, str]]:
        """Every import of the module itself, not of its functions: (name here, module, name there or "")."""
        found = []
        open_nodes: list[ast.stmt] = list(self.tree.body)
        for node in open_nodes:
            if isinstance(node, ast.ImportFrom):
                found += [(alias.asname or alias.name, self._absolute(node), alias.name) for alias in node.names]
            elif isinstance(node, ast.Import):
                found += [(alias.asname or alias.name, alias.name, "") for alias in node.names]
            elif isinstance(node, (ast.If, ast.Try)):
                open_nodes += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
        return found

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.module.split(".") if self.path.stem == "__init__" else self.module.split(".")[:-1]
        return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])


def parse_file(path: str | Path, module: str = "") -> Source:
    """Read and parse a Python file.

    Raises:
        RegistryError: the file is missing, unreadable, or not Python.
    """
    try:
        text = read_regular(path, limit=_MAX_BYTES)
        with collection_paused():
            return Source(module, Path(path), ast.parse(text, filename=str(path)))
    except OSError as error:
        raise RegistryError(f"cannot read {path}: {error.strerror}") from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise RegistryError(f"{path}{where} is not valid Python: {reason}") from error


def read_module(name: str, beside: Path | None = None) -> Source | None:
    """Return a module's source, or None when it has none or cannot be read.

    Args:
        name: the dotted name.
        beside: a folder in which a user's own file finds its neighbours.
    """
    path = _find_own_module(name) if name.startswith("recrun.") else find_module(name)
    if path is None and beside is not None:
        neighbour = beside.joinpath(*name.split(".")).with_suffix(".py")
        path = neighbour if neighbour.is_file() else None
    try:
        return None if path is None else parse_once(path, name)
    except RegistryError:
        return None


parse_once = cache(parse_file)


def find_module(name: str) -> Path | None:
    """Return the source file of a module, or None; unlike `importlib.util.find_spec`, import no package above it."""
    spec = _find_spec(name)
    return Path(spec.origin) if spec is not None and spec.has_location and spec.origin.endswith(".py") else None


# The modules of recrun lie where they lie as long as a process runs.
_find_own_module = cache(find_module)


def package_modules(name: str) -> list[tuple[str, Path]]:
    """Return the (name, path) of a module, or of a package and all modules that lie in it.

    Raises:
        RegistryError: there is no such module.
    """
    spec = _find_spec(name)
    path = find_module(name)
    if spec is None or path is None:
        raise RegistryError(f"there is no module {name}")
    modules = [(name, path)]
    for folder in spec.submodule_search_locations or ():
        modules += [(f"{name}.{each.stem}", each) for each in sorted(Path(folder).glob("[!_]*.py"))]
    return modules


def _find_spec(name: str) -> Any:
    spec: Any = None
    parts = name.split(".")
    for n in range(1, len(parts) + 1):
        prefix, folders = ".".join(parts[:n]), None if spec is None else spec.submodule_search_locations
        if n > 1 and folders is None:
            return None
        found = (finder.find_spec(prefix, folders) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        try:
            spec = next((each for each in found if each is not None), None)
        except (ImportError, KeyError):  # a package of several folders, that is only laid out when imported
            return None
        if spec is None:
            return None
    return spec
