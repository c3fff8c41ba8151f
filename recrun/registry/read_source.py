"""Read a component's settings from its source text, without importing it.

A component's keyword-only parameters are its config keys: name, type and default come from the signature, help from
the docstring. Settings that several components share are a group: a `TypedDict` that a constructor takes as
`**settings: Unpack[Group]`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recrun.registry.annotations import Unreadable, resolve_annotation, split_conditions, split_default
from recrun.registry.component import REQUIRED, Component, Parameter
from recrun.registry.modules import Definition, Source
from recrun.registry.traits import Traits, Written


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
            parameters = read_parameters(node, doc, owner, source)
            return Component(kind, name, target, parameters, doc, (), traits, _positional(node))
        constructor, bases = _constructor(node, source)
        if constructor is None:
            return Component(kind, name, target, (), doc, bases, traits)
        function, where = constructor
        doc = "\n\n".join(part for part in (doc, ast.get_docstring(function) or "") if part)
        parameters = read_parameters(function, doc, owner, where)
        return Component(kind, name, target, parameters, doc, bases, traits, _positional(function, bound=1))
    except Unreadable as error:
        raise Unreadable(f"{source.path}: {error}") from None


def _positional(function: ast.FunctionDef, bound: int = 0) -> tuple[int, float]:
    """Return how many arguments by position a function needs and takes, besides those that are bound (`self`)."""
    arguments = function.args
    n_all = len(arguments.posonlyargs) + len(arguments.args) - bound
    return n_all - len(arguments.defaults), float("inf") if arguments.vararg is not None else n_all


def _constructor(node: ast.ClassDef, source: Source) -> tuple[tuple[ast.FunctionDef, Source] | None, tuple[str, ...]]:
    """Return the constructor that a class has or inherits, and the names of all classes above it that are known."""
    own = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
    constructor = (own[-1], source) if own else None
    bases: list[str] = []
    for base in node.bases:
        bases.append(ast.unparse(base).rpartition(".")[2])
        found = source.find_class(base)
        if found is not None:
            inherited, above = _constructor(*found)
            constructor = constructor or inherited
            bases += above
    return constructor, tuple(bases) or ("object",)


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
            found = joined(class_attributes(*above, names), found)
    return found


def joined(above: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a class with those above it; of two dictionaries, the entries of both."""
    both = {name: {**above[name], **value} for name, value in own.items() if isinstance(value, dict) and name in above}
    return {**above, **own, **both}


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


def read_parameters(function: ast.FunctionDef, doc: str, owner: str, source: Source) -> tuple[Parameter, ...]:
    """Return the keyword-only parameters of a function's syntax tree, and those of the group it takes.

    Raises:
        Unreadable: a parameter has no annotation, or a default that is not a literal; the group cannot be found.
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
        annotation, conditions = split_conditions(resolve_annotation(argument.annotation))
        parameters.append(Parameter(argument.arg, annotation, value, helps.get(argument.arg, ""), owner, conditions))
    rest = function.args.kwarg
    group = None if rest is None else group_name(rest.annotation)
    if group is not None:
        found = source.find_class(group)
        if found is None:
            raise Unreadable(f"line {group.lineno}: there is no group of settings {ast.unparse(group)!r}")
        parameters += read_group(*found, owner, helps)
    return tuple(parameters)


def group_name(annotation: ast.expr | None) -> ast.expr | None:
    """Return the `Group` of the annotation `Unpack[Group]`; None for any other."""
    match annotation:
        case ast.Subscript(value=ast.Name(id="Unpack") | ast.Attribute(attr="Unpack"), slice=group):
            return group
    return None


def read_group(node: ast.ClassDef, source: Source, owner: str, helps: Mapping[str, str]) -> list[Parameter]:
    """Return the settings of a group: a `TypedDict` whose `Args:` say what each is for.

    Args:
        node: the syntax tree of the group's class.
        source: the module that defines it.
        owner: what takes the group, as shown in messages.
        helps: help of settings that takes the place of the group's own.

    Raises:
        Unreadable: a setting's type is not one that a setting can have.
    """
    helps = argument_help(ast.get_docstring(node) or "") | dict(helps)
    found: dict[str, Parameter] = {}
    for base in node.bases:
        above = source.find_class(base)
        if above is not None:
            found |= {parameter.name: parameter for parameter in read_group(*above, owner, helps)}
    for item in node.body:
        match item:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=written):
                annotation, default = split_default(resolve_annotation(written))
                annotation, conditions = split_conditions(annotation)
                found[name] = Parameter(name, annotation, default, helps.get(name, ""), owner, conditions)
    return list(found.values())
