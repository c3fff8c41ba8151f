"""Read a component's settings from its source text, without importing it.

A component's keyword-only parameters are its config keys: name, type and default come from the signature, help from
the docstring. Importing a model imports torch, which takes seconds; parsing its source takes milliseconds. Base classes
are followed from module to module, so that a class which inherits its constructor has its settings.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

from recrun.errors import RegistryError
from recrun.registry.annotations import Unreadable, resolve_annotation
from recrun.registry.component import REQUIRED, Component, Parameter
from recrun.registry.traits import Traits, Written

Definition = ast.ClassDef | ast.FunctionDef
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
        return Source(module, Path(path), ast.parse(Path(path).read_bytes(), filename=str(path)))
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


def registrations(node: Definition, constant: str) -> Iterator[tuple[str, dict[str, Any], int]]:
    """Yield the name, traits and line of each `@CONSTANT.register("name", trait=...)` above a class or function.

    Raises:
        Unreadable: a trait is not a literal.
    """
    for decorator in node.decorator_list:
        match decorator:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=registry), attr="register"),
                args=[ast.Constant(value=str() as name)],
            ) if registry == constant:
                try:
                    traits = {str(word.arg): ast.literal_eval(word.value) for word in decorator.keywords}
                except ValueError:
                    raise Unreadable(f"line {decorator.lineno}: the traits of {name!r} must be literals") from None
                yield name, traits, decorator.lineno


def describe_definition(
    kind: str, name: str, target: str, node: Definition, source: Source, traits: Traits
) -> Component:
    """Describe a class or function from its syntax tree.

    Raises:
        Unreadable: its settings cannot be told from the text alone.
    """
    doc = ast.get_docstring(node) or ""
    owner = f"{kind} {name}"
    try:
        if isinstance(node, ast.FunctionDef):
            return Component(kind, name, target, read_parameters(node, doc, owner), doc, (), traits)
        constructor, bases = _constructor(node, source)
        if constructor is None:
            return Component(kind, name, target, (), doc, bases, traits)
        doc = "\n\n".join(part for part in (doc, ast.get_docstring(constructor) or "") if part)
        return Component(kind, name, target, read_parameters(constructor, doc, owner), doc, bases, traits)
    except Unreadable as error:
        raise Unreadable(f"{source.path}: {error}") from None


def _constructor(node: ast.ClassDef, source: Source) -> tuple[ast.FunctionDef | None, tuple[str, ...]]:
    """Return the constructor that a class has or inherits, and the names of all classes above it that are known."""
    own = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
    constructor = own[-1] if own else None
    bases: list[str] = []
    for base in node.bases:
        bases.append(ast.unparse(base).rpartition(".")[2])
        found = source.find_class(base)
        if found is not None:
            inherited, above = _constructor(*found)
            constructor = constructor or inherited
            bases += above
    return constructor, tuple(bases)


def class_attributes(node: Definition, source: Source, names: Sequence[str]) -> dict[str, Any]:
    """Return those of some attributes that a class or a class above it gives, each a literal or a `Written` call.

    Raises:
        Unreadable: one is neither a literal nor a call with literal keywords.
    """
    found: dict[str, Any] = {}
    if not names or not isinstance(node, ast.ClassDef):
        return found
    for item in node.body:
        match item:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.expr() as value) if name in names:
                found[name] = _literal(value, name, source)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if name in names:
                found[name] = _literal(value, name, source)
    for base in node.bases:
        above = source.find_class(base)
        if above is not None:
            found = class_attributes(*above, names) | found
    return found


def _literal(value: ast.expr, name: str, source: Source) -> Any:
    try:
        if not isinstance(value, ast.Call):
            return ast.literal_eval(value)
        if value.args:
            raise ValueError("arguments by position")
        keywords = {str(word.arg): ast.literal_eval(word.value) for word in value.keywords}
        return Written(keywords, f"{source.path}:{value.lineno}")
    except ValueError:
        message = f"{source.path}:{value.lineno}: {name!r} must be a literal, or a call with literal keywords"
        raise Unreadable(message) from None


def argument_help(doc: str) -> dict[str, str]:
    """Return the help of each parameter from the `Args:` section of a docstring (Google style)."""
    match = re.search(r"^[ \t]*Args:[ \t]*\n(.*?)(?=^\S|^[ \t]*[A-Z]\w+:[ \t]*\n|\Z)", doc, re.DOTALL | re.MULTILINE)
    if not match:
        return {}
    entries: dict[str, str] = {}
    lines = [line for line in match.group(1).splitlines() if line.strip()]
    indent = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    current = ""
    for line in lines:
        entry = re.match(r"(\w+)(?: \([^)]*\))?:\s*(.*)", line[indent:])
        if entry:
            current = entry.group(1)
            entries[current] = entry.group(2)
        elif line.startswith(" " * (indent + 1)) and current:
            entries[current] += " " + line.strip()
        else:
            break
    return entries


def read_parameters(function: ast.FunctionDef, doc: str, owner: str) -> tuple[Parameter, ...]:
    """Return the keyword-only parameters of a function's syntax tree.

    Raises:
        Unreadable: a parameter has no annotation, or a default that is not a literal.
    """
    helps = argument_help(doc)
    parameters = []
    for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        if argument.annotation is None:
            raise Unreadable(f"line {argument.lineno}: parameter {argument.arg!r} needs a type annotation")
        try:
            value = REQUIRED if default is None else ast.literal_eval(default)
        except ValueError:
            raise Unreadable(f"line {argument.lineno}: the default of {argument.arg!r} must be a literal") from None
        annotation = resolve_annotation(argument.annotation)
        parameters.append(Parameter(argument.arg, annotation, value, helps.get(argument.arg, ""), owner))
    return tuple(parameters)
