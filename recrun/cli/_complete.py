"""Complete what is being typed on a command line: configs, settings, their values, runs, names and paths.

A candidate is of the type `plain`, after which a blank follows, or `open`, of which more is to be typed.
"""

from __future__ import annotations

import os
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

_DEVICES: Final = ("auto", "cpu", "cuda", "mps")
_CUTOFFS: Final = (5, 10, 20, 50, 100)
_MOST: Final = 200
"""Candidates of one folder, and runs, that are offered at most."""


def _items(words: Iterable[str], incomplete: str, prefix: str = "", kind: str = "plain") -> list[CompletionItem]:
    """Return the words that begin with what was typed, after a prefix that stays."""
    return [CompletionItem(prefix + word, kind) for word in words if word.startswith(incomplete)]


def paths(typed: str, prefix: str = "", endings: tuple[str, ...] = (), only_folders: bool = False) -> list[Any]:
    """Return the files and folders that begin with what was typed, after a prefix that stays."""
    folder, _, start = typed.rpartition("/")
    above = folder + "/" if "/" in typed else ""
    found = []
    try:
        with os.scandir(os.path.expanduser(above) or ".") as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                hidden = entry.name.startswith(".") and not start.startswith(".")
                if not entry.name.startswith(start) or hidden or not entry.name.isprintable():
                    continue
                if entry.is_dir():
                    found.append(CompletionItem(f"{prefix}{above}{entry.name}/", "open"))
                elif not only_folders and entry.name.endswith(endings or ("",)):
                    found.append(CompletionItem(f"{prefix}{above}{entry.name}"))
    except OSError:
        return []
    return found[:_MOST]


def configs(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return names of bundled configs, and paths of YAML files."""
    from recrun.config.find import bundled_configs

    return _items(bundled_configs(), incomplete) + paths(incomplete, endings=(".yaml", ".yml"))


def config_and_settings(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return configs where none was named yet, and `KEY=VALUE` of the config and the model that were."""
    earlier = _earlier(context)
    named = [each for each in earlier if "=" not in each]
    items = [] if named or "=" in incomplete or context.params.get("resumed") else configs(context, incomplete)
    return items + _settings(named[0] if named else None, earlier, incomplete)


def settings(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return `KEY=VALUE` of what was named before: a config, a model, or a data set."""
    from recrun.config.find import bundled_config
    from recrun.registry import DATASETS, MODELS

    earlier = _earlier(context)
    named = next((context.params[key] for key in ("model", "what", "name") if key in context.params), None)
    if named is None and "checkpoint" in context.params:
        from recrun.config.settings import OF_EVALUATION

        return _settings(None, earlier, incomplete, OF_EVALUATION)
    name = str(named)
    if "model" in context.params:
        return _settings(None, [f"model={name}" if name in MODELS else "model=bprmf", *earlier], incomplete)
    if "timeout" in context.params:  # of `data fetch`
        return _settings(None, earlier, incomplete, ("root",))
    is_config = bundled_config(name) is not None or name.endswith((".yaml", ".yml"))
    chosen = [] if is_config else [f"dataset={name if name in DATASETS else 'File'}"]
    own = DATASETS.describe(chosen[0].partition("=")[2]).parameters if chosen else ()
    keys = ("root", *(each.name for each in own)) if chosen else ()
    return _settings(name if is_config else None, [*chosen, *earlier], incomplete, keys)


def runs(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the latest runs of the folder of runs, and paths."""
    found = []
    if not incomplete.startswith((".", "/", "~")):
        from recrun.runs.scan import find_folders

        root = str(context.params.get("runs") or "runs")
        newest = find_folders(root)[: -_MOST - 1 : -1]
        latest = [os.path.join(root, "latest")] if os.path.lexists(os.path.join(root, "latest")) else []
        found = _items([*latest, *newest], incomplete)
    known = {run.value for run in found}
    return found + [each for each in paths(incomplete, endings=(".safetensors",)) if each.value[:-1] not in known]


def kinds(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return what `recrun list` lists."""
    from recrun.registry import REGISTRIES

    return _items([*REGISTRIES, "configs", "runs"], incomplete)


def components(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the name of every component, and paths of Python files."""
    from recrun.registry import REGISTRIES

    names = {name for registry in REGISTRIES.values() for name in registry.names()}
    return _items(sorted(names), incomplete) + paths(incomplete, endings=(".py",))


def models(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the names of models, and paths of Python files."""
    from recrun.registry import MODELS

    return _items(MODELS.names(), incomplete) + paths(incomplete, endings=(".py",))


def datasets(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the names of data sets."""
    from recrun.registry import DATASETS

    return _items(DATASETS.names(), incomplete)


def data(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return what holds data: registered data sets, and paths."""
    return datasets(context, incomplete) + paths(incomplete)


CANDIDATES: Final[dict[str, Callable[[click.Context, str], list[CompletionItem]]]] = {
    each.__name__: each
    for each in (configs, config_and_settings, settings, runs, kinds, components, models, datasets, data)
}
"""What a parameter may be completed with, by the name that its declaration gives (`recrun.cli._options.completes`)."""


def _earlier(context: click.Context) -> list[str]:
    """Return the configs and `KEY=VALUE` arguments that were typed before the current word."""
    found = [context.params[key] for key in ("arguments", "overrides", "settings") if context.params.get(key)]
    return [str(word) for several in found for word in several]


def _settings(
    config: str | None, arguments: Iterable[str], incomplete: str, only: tuple[str, ...] = ()
) -> list[CompletionItem]:
    from recrun.config.draft import choose
    from recrun.config.resolve import read

    overrides = [each for each in arguments if "=" in each]
    choice = choose(read(config, overrides)[0])
    own = (each for part in (*choice.components.values(), *choice.trackers) for each in part.parameters)
    parameters = {each.name: each for each in (*choice.settings(), *own, *choice.possible())}
    key, equals, text = incomplete.partition("=")
    if not equals:
        given = {each.partition("=")[0] for each in overrides}
        known = only or tuple(parameters)
        return [
            CompletionItem(f"{name}=", "open", help=parameters[name].help)
            for name in sorted(known)
            if name.startswith(key) and name not in given and name in parameters
        ]
    return _values(key, text, parameters[key].annotation if key in parameters else str)


def _values(key: str, text: str, annotation: Any) -> list[CompletionItem]:
    """Return the values of a setting that go on from what was typed of it."""
    from recrun.config.check_value import find_registered
    from recrun.config.settings import COMPONENTS
    from recrun.registry import choices

    if key in ("monitors", "which4best"):
        return _monitors(key, text)
    # Of several values, for a sweep or in a list, the last is being typed.
    cut = max(text.rfind(","), text.rfind("[")) + 1
    prefix, typed = f"{key}={text[:cut]}", text[cut:]
    registered = find_registered(annotation)
    if key in COMPONENTS:
        names = COMPONENTS[key].names()
    elif registered is not None:
        names = choices(registered)
    elif key == "device":
        names = list(_DEVICES)
    else:
        names = list(_literals(annotation))
    may_be_path = key in ("model", "dataset", "loss", "sampler", "split", "optimizer", "lr_scheduler")
    if may_be_path and typed.startswith((".", "/", "~")):
        return paths(typed, prefix, (".py",))
    if key in ("root", "path") or key.endswith("_path"):
        return paths(typed, prefix)
    return _items((name for name in names if name not in text[:cut].strip("[,").split(",")), typed, prefix)


def _literals(annotation: Any) -> Iterator[str]:
    """Yield the words that a type allows."""
    if annotation is bool:
        yield from ("true", "false")
    elif annotation in (None, type(None)):
        yield "null"
    elif typing.get_origin(annotation) is typing.Literal:
        yield from map(str, typing.get_args(annotation))
    else:
        inner = [list(_literals(each)) for each in typing.get_args(annotation)]
        # A null beside numbers or text is no help to who types one of those.
        yield from (word for words in inner for word in words if inner != [[], ["null"]])


def _monitors(key: str, text: str) -> list[CompletionItem]:
    from recrun.config.monitor_names import kind_of
    from recrun.registry import METRICS

    if key == "monitors" and not text.startswith("["):
        return [CompletionItem("monitors=[", "open")] if not text else []
    cut = max(text.rfind(","), text.rfind("[")) + 1
    prefix, typed = f"{key}={text[:cut]}", text[cut:]
    kind = "open" if key == "monitors" else "plain"
    name, at, cutoff = typed.partition("@")
    if at:
        return _items(map(str, _CUTOFFS), cutoff, f"{prefix}{name}@", kind)
    found = []
    for metric in METRICS:
        cutoffs = ("@10", "@20") if kind_of(metric).traits.cutoff else ("",)
        found += _items([metric.name + each for each in cutoffs], typed, prefix, kind)
    return found
