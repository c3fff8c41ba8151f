"""Register components by name, describe them from their source, and import them on demand.

A registry describes its components without importing them: it reads the sources of one module or package with
`recrun.registry.read_source`. `describe(name)` returns what is needed to check a config; `get(name)` imports the
component's module and returns the object.

Other packages add components through entry points of the group `recrun.<kinds>`; a component in a user's own file is
named `./file.py:Name`. Neither needs a change here.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from recrun.errors import RegistryError, unknown
from recrun.registry.annotations import Unreadable
from recrun.registry.component import Component
from recrun.registry.entry_points import find_entry_points
from recrun.registry.modules import Definition, Source, find_module, package_modules, parse_file, parse_once
from recrun.registry.other_names import meant_name
from recrun.registry.read_object import describe_object, identity
from recrun.registry.read_source import class_attributes, describe_definition, joined, registrations
from recrun.registry.traits import Traits, read_traits
from recrun.registry.user_files import cause, is_file_reference, load_reference

T = TypeVar("T")


class Registry:
    """The components of one kind.

    Args:
        kind: the singular word used in messages ("model").
        constant: the name of this registry in source code, before `.register` ("MODELS").
        place: the package or module that defines the built-in components.
        plural: the word after `recrun.` in the entry-point group, and in `recrun list`.
        traits: the dataclass of the traits that its components may have.
    """

    def __init__(self, kind: str, constant: str, place: str, plural: str, traits: type[Traits] = Traits) -> None:
        self.kind = kind
        self.constant = constant
        self.place = place
        self.plural = plural
        self.traits = traits
        self._objects: dict[str, Any] = {}
        self._registered: dict[str, Component] = {}
        self._is_all_read = False

    def register(self, name: str, **traits: Any) -> Callable[[T], T]:
        """Return a decorator that registers a class or function under `name` and returns it unchanged.

        Args:
            name: the name in configs.
            traits: literals that the config layer needs before the import; see `recrun.registry.traits`.

        Raises:
            RegistryError: the name is already registered for something else, or a trait is unknown or wrong.
        """
        caller = sys._getframe(1)
        where = f"{caller.f_code.co_filename}:{caller.f_lineno}: {self.kind} {name!r}"

        def decorate(thing: T) -> T:
            target = identity(thing)
            known = [identity(self._objects[name])] if name in self._objects else []
            built_in = None if target.startswith((f"{self.place}:", f"{self.place}.")) else self._built_in(name)
            known += [] if built_in is None else [built_in.target]
            if any(other != target for other in known):
                raise RegistryError(f"{self.kind} {name!r} is registered twice: {known[0]} and {target}")
            described = describe_object(self.kind, name, thing, _traits_of_object(self.traits, thing, traits, where))
            self._objects[name] = thing
            self._registered[name] = described
            return thing

        return decorate

    def names(self) -> list[str]:
        """Return every registered name, sorted, without importing anything."""
        return sorted({*self._all_built_in(), *self._registered, *self._entry_points()})

    def __contains__(self, name: str) -> bool:
        return self._built_in(name) is not None or name in self._registered or name in self._entry_points()

    def __iter__(self) -> Iterator[Component]:
        """Describe every component except those that `problems` reports."""
        return iter(self._survey()[0])

    def problems(self) -> list[str]:
        """Return a message for each component of another package that cannot be used."""
        return self._survey()[1]

    def _survey(self) -> tuple[list[Component], list[str]]:
        components, problems = [], []
        for name in self.names():
            try:
                components.append(self.describe(name))
            except RegistryError as error:
                if name not in self._entry_points():
                    raise
                problems.append(str(error))
        return components, problems

    def describe(self, name: str) -> Component:
        """Describe a component from its source, or by importing it if the source is not enough.

        Args:
            name: a registered name, or `path/to/file.py:Name`.

        Raises:
            RegistryError: there is no such component (the message suggests the nearest name), or it cannot be read.
        """
        if is_file_reference(name):
            return self._describe_file(name)
        if name in self._entry_points():
            return self._describe_entry_point(name)
        built_in = self._built_in(name)
        if built_in is not None:
            return built_in
        if name in self._registered:
            return self._registered[name]
        raise self._unknown(name)

    def get(self, name: str) -> Any:
        """Import and return the component called `name`.

        Raises:
            RegistryError: there is no such component, or its module cannot be imported.
        """
        if name in self._objects:
            return self._objects[name]
        if is_file_reference(name):
            return load_reference(name)
        if name in self._entry_points():
            return self._load_entry_point(name)
        built_in = self._built_in(name)
        if built_in is None:
            raise self._unknown(name)
        module = built_in.target.partition(":")[0]
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise RegistryError(f"{self.kind} {name!r} cannot be imported: {error}") from error
        if name not in self._objects:
            raise RegistryError(f"importing {module} did not register {self.kind} {name!r}")
        return self._objects[name]

    def _unknown(self, name: str) -> RegistryError:
        known = self.names()
        return RegistryError(unknown(self.kind, name, known, meant_name(self.plural, name, known)))

    def _all_built_in(self) -> dict[str, Component]:
        traits: Any = self.traits  # The cache needs it hashable, which a class is; mypy checks its instances instead.
        self._is_all_read = True
        return _read_place(self.kind, self.constant, self.place, traits)

    def _built_in(self, name: str) -> Component | None:
        """Return what is registered under a name at `place`, reading only the modules whose text has that name."""
        traits: Any = self.traits
        only = None if self._is_all_read else name
        return _read_place(self.kind, self.constant, self.place, traits, only).get(name)

    def _entry_points(self) -> dict[str, list[Any]]:
        return find_entry_points().get(f"recrun.{self.plural}", {})

    def _entry_point(self, name: str) -> Any:
        """Return the entry point of a name.

        Raises:
            RegistryError: several packages use the name, or it is the name of a built-in component.
        """
        points = self._entry_points()[name]
        claims = [f"{point.value} of {point.dist.name if point.dist else 'a package'}" for point in points]
        built_in = self._built_in(name)
        if built_in is not None:
            claims.append(f"{built_in.target} of recrun")
        if len(claims) > 1:
            raise RegistryError(
                f"{self.kind} {name!r} is registered twice: {' and '.join(claims)}; uninstall one of them"
            )
        return points[0]

    def _describe_entry_point(self, name: str) -> Component:
        point = self._entry_point(name)
        path = find_module(point.module)
        if path is not None:
            source = parse_file(path, point.module)
            node = source.definitions.get(point.attr)
            if node is not None:
                written, where = self._decorator(name, node, source)
                try:
                    attributes = class_attributes(node, source, self.traits.OF_CLASS)
                    traits = read_traits(self.traits, written, where, attributes)
                    return describe_definition(self.kind, name, point.value, node, source, traits)
                except Unreadable:
                    pass  # The imported object may say more than its source.
        self._load_entry_point(name)
        return self._registered[name]

    def _decorator(self, name: str, node: Definition, source: Source) -> tuple[dict[str, Any], str]:
        """Return the traits in this registry's decorator, and its position; no traits without a decorator."""
        for registered, written, line in registrations(node, self.constant):
            return written, f"{source.path}:{line}: {self.kind} {registered!r}"
        return {}, f"{source.path}:{node.lineno}: {self.kind} {name!r}"

    def _load_entry_point(self, name: str) -> Any:
        point = self._entry_point(name)
        try:
            thing = point.load()
            if name not in self._objects:
                self.register(name)(thing)
        except (Exception, SystemExit) as error:
            where = f"entry point {point.name} = {point.value}"
            raise RegistryError(f"{self.kind} {name!r} ({where}) cannot be loaded: {cause(error)}") from error
        return self._objects[name]

    def _describe_file(self, reference: str) -> Component:
        path, _, attribute = reference.rpartition(":")
        source = parse_file(path)
        node = source.definitions.get(attribute)
        if node is None:
            raise RegistryError(f"{path}: {unknown('class or function', attribute, source.definitions)}")
        written, where = self._decorator(reference, node, source)
        try:
            traits = read_traits(self.traits, written, where, class_attributes(node, source, self.traits.OF_CLASS))
            return describe_definition(self.kind, reference, reference, node, source, traits)
        except RecursionError:
            raise RegistryError(f"{where}: the classes above {attribute} derive from each other") from None
        except Unreadable as error:
            thing = self.get(reference)
            traits = _traits_of_object(self.traits, thing, written, where)
            try:
                return describe_object(self.kind, reference, thing, traits)
            except Unreadable:
                raise error from None  # It names the file and the line.


def _traits_of_object(kind: type[Traits], thing: Any, written: dict[str, Any], where: str) -> Traits:
    attributes: dict[str, Any] = {}
    for above in reversed(getattr(thing, "__mro__", ())):
        attributes = joined(attributes, {name: vars(above)[name] for name in kind.OF_CLASS if name in vars(above)})
    return read_traits(kind, written, where, attributes)


@cache
def _sources(constant: str, place: str) -> list[tuple[str, Path, str]]:
    """Return the name, path and text of each module of a place that registers something."""
    texts = [(module, path, path.read_text(encoding="utf-8")) for module, path in package_modules(place)]
    return [source for source in texts if f"{constant}.register(" in source[2]]


@cache
def _read_place(
    kind: str, constant: str, place: str, traits_of_kind: type[Traits], only: str | None = None
) -> dict[str, Component]:
    """Return what the modules of a place register, by name; with `only`, no more than what has that name."""
    components: dict[str, Component] = {}
    for module, path, text in _sources(constant, place):
        if only is not None and not re.search(rf"{constant}\.register\(\s*[\"']{re.escape(only)}[\"']", text):
            continue
        source = parse_once(path, module)
        for node in source.definitions.values():
            for name, written, line in registrations(node, constant):
                if only not in (None, name):
                    continue
                target = f"{source.module}:{node.name}"
                if name in components:
                    raise RegistryError(f"{kind} {name!r} is registered twice: {components[name].target} and {target}")
                where = f"{path}:{line}: {kind} {name!r}"
                attributes = class_attributes(node, source, traits_of_kind.OF_CLASS)
                traits = read_traits(traits_of_kind, written, where, attributes)
                components[name] = describe_definition(kind, name, target, node, source, traits)
    return components
