"""Names for the things a config can choose: models, losses, data sets, metrics, optimizers, schedulers, formats.

A registry knows its things before they are imported: it reads the sources of its place (a package whose modules hold
one or more registered things, or one module) with `recrun.signature`. `describe(name)` gives what a config needs to be
checked; `get(name)` imports the one module and returns the object.

Other packages add things through entry points of the group `recrun.<kind>s`; a user's own file is named as
`./file.py:Name`. Neither needs a list here to be edited.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from recrun.errors import RegistryError, unknown
from recrun.signature import Component, Unreadable, argument_help, read_parameters, resolve_annotation
from recrun.signature import REQUIRED, Parameter

T = TypeVar("T")


class Registry:
    """The registered things of one kind.

    Args:
        kind: the singular word used in messages and in the entry-point group ("model").
        constant: the name this registry is bound to, as it stands before `.register` in the sources ("MODELS").
        place: the package or module whose sources hold the built-in things.
    """

    def __init__(self, kind: str, constant: str, place: str) -> None:
        self.kind = kind
        self.constant = constant
        self.place = place
        self._objects: dict[str, Any] = {}
        self._registered: dict[str, Component] = {}

    def register(self, name: str, **traits: Any) -> Callable[[T], T]:
        """Return a decorator that registers a class or function under `name` and returns it untouched.

        Args:
            name: the name in configs.
            traits: literal facts that the config layer needs before the thing is imported.

        Raises:
            RegistryError: the name is already taken by something else.
        """

        def decorate(thing: T) -> T:
            known = self._objects.get(name)
            if known is not None and _identity(known) != _identity(thing):
                raise RegistryError(f"{self.kind} {name!r} is registered twice: {_identity(known)} and {_identity(thing)}")
            self._objects[name] = thing
            self._registered[name] = describe_object(self.kind, name, thing, traits)
            return thing

        return decorate

    def names(self) -> list[str]:
        """Return every registered name, sorted, without importing anything."""
        return sorted({*self._index(), *self._registered, *self._entry_points()})

    def __contains__(self, name: str) -> bool:
        return name in self._index() or name in self._registered or name in self._entry_points()

    def __iter__(self) -> Iterator[Component]:
        return (self.describe(name) for name in self.names())

    def describe(self, name: str) -> Component:
        """Return what is known of `name` without importing a built-in thing.

        Args:
            name: a registered name, or `path/to/file.py:Name`.

        Raises:
            RegistryError: there is no such thing; the message names the nearest one.
        """
        if _is_file_reference(name):
            return self._describe_file(name)
        if name in self._index():
            return self._index()[name]
        if name not in self._registered and name in self._entry_points():
            self.get(name)
        if name in self._registered:
            return self._registered[name]
        raise RegistryError(unknown(self.kind, name, self.names()))

    def get(self, name: str) -> Any:
        """Import and return the thing called `name`.

        Raises:
            RegistryError: there is no such thing, or its module cannot be imported.
        """
        if name in self._objects:
            return self._objects[name]
        if _is_file_reference(name):
            path, _, attribute = name.rpartition(":")
            return _attribute(load_file(path), attribute, name)
        if name in self._index():
            module = self._index()[name].target.partition(":")[0]
        elif name in self._entry_points():
            point = self._entry_points()[name]
            return self._objects.get(name) or self.register(name)(point.load())
        else:
            raise RegistryError(unknown(self.kind, name, self.names()))
        importlib.import_module(module)
        if name not in self._objects:
            raise RegistryError(f"importing {module} did not register {self.kind} {name!r}")
        return self._objects[name]

    def _index(self) -> dict[str, Component]:
        return _read_place(self.kind, self.constant, self.place)

    def _entry_points(self) -> dict[str, Any]:
        return _find_entry_points(f"recrun.{self.kind}s")

    def _describe_file(self, reference: str) -> Component:
        path, _, attribute = reference.rpartition(":")
        tree = parse_file(path)
        for node in tree.body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == attribute:
                traits = next((traits for _, traits in _registrations(node, self.constant)), {})
                try:
                    return _describe_node(self.kind, reference, reference, node, tree, traits)
                except Unreadable:
                    return describe_object(self.kind, reference, self.get(reference), traits)
        defined = [node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))]
        raise RegistryError(f"{path}: {unknown('class or function', attribute, defined)}")


MODELS = Registry("model", "MODELS", "recrun.models")
LOSSES = Registry("loss", "LOSSES", "recrun.criterions")
DATASETS = Registry("dataset", "DATASETS", "recrun.data.datasets")
FORMATS = Registry("format", "FORMATS", "recrun.data.formats")
METRICS = Registry("metric", "METRICS", "recrun.metrics")
OPTIMIZERS = Registry("optimizer", "OPTIMIZERS", "recrun.optimizers")
SCHEDULERS = Registry("lr_scheduler", "SCHEDULERS", "recrun.schedulers")
SAMPLERS = Registry("sampler", "SAMPLERS", "recrun.data.sampling")

REGISTRIES: dict[str, Registry] = {
    "models": MODELS,
    "losses": LOSSES,
    "datasets": DATASETS,
    "formats": FORMATS,
    "metrics": METRICS,
    "optimizers": OPTIMIZERS,
    "lr_schedulers": SCHEDULERS,
    "samplers": SAMPLERS,
}


def describe_object(kind: str, name: str, thing: Any, traits: dict[str, Any]) -> Component:
    """Describe an imported class or function: the counterpart of reading its source."""
    constructor = thing.__init__ if inspect.isclass(thing) else thing
    doc = inspect.cleandoc((thing.__doc__ or "") + _constructor_doc(thing))
    helps = argument_help(doc)
    parameters = []
    for parameter in inspect.signature(constructor).parameters.values():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        annotation = parameter.annotation
        if isinstance(annotation, str):
            annotation = resolve_annotation(ast.parse(annotation, mode="eval").body)
        default = REQUIRED if parameter.default is inspect.Parameter.empty else parameter.default
        parameters.append(
            Parameter(parameter.name, annotation, default, helps.get(parameter.name, ""), f"{kind} {name}")
        )
    bases = tuple(base.__name__ for base in inspect.getmro(thing)[1:]) if inspect.isclass(thing) else ()
    return Component(kind, name, _identity(thing), tuple(parameters), doc, bases, dict(traits))


def load_file(path: str | Path) -> Any:
    """Import a user's own Python file as a module of its own, once.

    Raises:
        RegistryError: there is no such file, or it fails while it is imported.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise RegistryError(f"there is no file {str(path)!r}")
    name = f"recrun_user.{file.stem}_{abs(hash(str(file))):x}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise RegistryError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise RegistryError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def parse_file(path: str | Path) -> ast.Module:
    """Return the syntax tree of a Python file.

    Raises:
        RegistryError: the file is missing, unreadable, or not Python.
    """
    try:
        return ast.parse(Path(path).read_bytes(), filename=str(path))
    except OSError as error:
        raise RegistryError(f"cannot read {path}: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        raise RegistryError(f"{path} is not valid Python: {error}") from error


def _is_file_reference(name: str) -> bool:
    path, colon, attribute = name.rpartition(":")
    return bool(colon) and path.endswith(".py") and attribute.isidentifier()


def _identity(thing: Any) -> str:
    return f"{thing.__module__}:{thing.__qualname__}"


def _attribute(module: Any, attribute: str, reference: str) -> Any:
    if not hasattr(module, attribute):
        raise RegistryError(f"{reference}: {unknown('name', attribute, [n for n in vars(module) if n[0] != '_'])}")
    return getattr(module, attribute)


def _constructor_doc(thing: Any) -> str:
    if not inspect.isclass(thing) or "__init__" not in vars(thing) or not thing.__init__.__doc__:
        return ""
    return "\n\n" + inspect.cleandoc(thing.__init__.__doc__)


@lru_cache(maxsize=None)
def _find_entry_points(group: str) -> dict[str, Any]:
    return {point.name: point for point in entry_points(group=group)}


@lru_cache(maxsize=None)
def _read_place(kind: str, constant: str, place: str) -> dict[str, Component]:
    components: dict[str, Component] = {}
    for module, path in _sources(place):
        text = path.read_text(encoding="utf-8")
        if f"{constant}.register(" not in text:
            continue
        tree = ast.parse(text, filename=str(path))
        for node in tree.body:
            if not isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                continue
            for name, traits in _registrations(node, constant):
                if name in components:
                    raise RegistryError(f"{kind} {name!r} is registered twice: {components[name].target} and {module}")
                target = f"{module}:{node.name}"
                components[name] = _describe_node(kind, name, target, node, tree, traits)
    return components


def _sources(place: str) -> list[tuple[str, Path]]:
    """Return (module name, path) of a module, or of a package's modules, without importing either."""
    spec = importlib.util.find_spec(place)
    if spec is None or spec.origin is None:
        raise RegistryError(f"there is no module {place}")
    if spec.submodule_search_locations is None:
        return [(place, Path(spec.origin))]
    files = sorted(path for folder in spec.submodule_search_locations for path in Path(folder).glob("*.py"))
    return [(place if path.stem == "__init__" else f"{place}.{path.stem}", path) for path in files]


def _registrations(node: ast.ClassDef | ast.FunctionDef, constant: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for decorator in node.decorator_list:
        match decorator:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=registry), attr="register"), args=[ast.Constant(value=str() as name)]
            ) if registry == constant:
                yield name, {str(word.arg): ast.literal_eval(word.value) for word in decorator.keywords}


def _describe_node(
    kind: str, name: str, target: str, node: ast.ClassDef | ast.FunctionDef, tree: ast.Module, traits: dict[str, Any]
) -> Component:
    """Describe a class or function from its syntax tree, following base classes within the same file."""
    doc = ast.get_docstring(node) or ""
    owner = f"{kind} {name}"
    if isinstance(node, ast.FunctionDef):
        return Component(kind, name, target, read_parameters(node, doc, owner), doc, (), traits)
    classes = {other.name: other for other in tree.body if isinstance(other, ast.ClassDef)}
    constructor: ast.FunctionDef | None = None
    bases: list[str] = []
    current: ast.ClassDef | None = node
    while current is not None:
        found = [item for item in current.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
        constructor = constructor or (found[0] if found else None)
        own_bases = [ast.unparse(base).rpartition(".")[2] for base in current.bases]
        bases += own_bases
        current = next((classes[base] for base in own_bases if base in classes), None)
    if constructor is None:
        return Component(kind, name, target, (), doc, tuple(bases), traits)
    doc = "\n\n".join(part for part in (doc, ast.get_docstring(constructor) or "") if part)
    return Component(kind, name, target, read_parameters(constructor, doc, owner), doc, tuple(bases), traits)
