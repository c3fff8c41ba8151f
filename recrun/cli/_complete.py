"""Complete what is being typed on a command line: configs, settings, their values, runs, names and paths.

It builds on click's completion. The scripts of `recrun completion` hand over the line up to the cursor, and read a
candidate a line: `plain` (a blank follows) or `open` (more follows), the word, and its help, separated by tabs.
"""

from __future__ import annotations

import os
import re
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import click
from click.shell_completion import CompletionItem, ShellComplete, add_completion_class, split_arg_string

from recrun.errors import RecrunError

LINE, WORDS, BREAKS = "_RECRUN_LINE", "_RECRUN_WORDS", "_RECRUN_BREAKS"
"""Variables in which a shell hands over the line, or its words one a line; and the characters at which bash cuts."""

_DEVICES: Final = ("auto", "cpu", "cuda", "mps")
_CUTOFFS: Final = (5, 10, 20, 50, 100)
_MOST: Final = 200
"""Candidates of one folder, and runs, that are offered at most."""


class _Shell(ShellComplete):
    """What the shells have in common."""

    source_template = ""
    end = ""  # what the script adds to the last word

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the complete words after the command's name, and the one being typed."""
        words = os.environ.get(WORDS, "").removesuffix(self.end).split("\n")
        return words[1:-1], words[-1] if len(words) > 1 else ""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return the candidates as whole words: click's values of `--option=value` lack the option."""
        option, equals, _ = incomplete.partition("=")
        prefix = option + equals if equals and option.startswith("--") else ""
        items = super().get_completions(args, incomplete)
        typed = incomplete.removeprefix(prefix)
        return [
            CompletionItem(prefix + each.value, each.type, each.help)
            for item in items
            for each in _of_paths(item, typed)
        ]

    def complete(self) -> str:
        """Return the candidates; none where the line cannot be understood, as a shell has no place for errors."""
        try:
            arguments, incomplete = self.get_completion_args()
            items = self.get_completions(arguments, incomplete)
        except (RecrunError, click.ClickException, OSError):
            return ""
        return "\n".join(self.format_completion(item) for item in items)

    def format_completion(self, item: CompletionItem) -> str:
        """Return one line for a candidate."""
        text = (item.help or "").partition("\n")[0].replace("\t", " ")
        return f"{item.type}\t{item.value}\t{text}"


class _Bash(_Shell):
    name = "bash"

    def get_completion_args(self) -> tuple[list[str], str]:
        """Split the line as bash would; words that are typed are not cut at `=`."""
        line = os.environ.get(LINE, "")
        words = split_arg_string(line)
        if not words or line[-1:].isspace():
            words.append("")
        return words[1:-1], words[-1]

    def format_completion(self, item: CompletionItem) -> str:
        """Return what bash inserts: it cuts a word at characters such as `=` and `:`, and replaces the last piece."""
        raw, value = _last_word(os.environ.get(LINE, "")), str(item.value)
        if raw[:1] in ("'", '"'):
            return super().format_completion(CompletionItem(value, item.type, item.help))
        breaks = "".join(each for each in os.environ.get(BREAKS, "=:") if not each.isspace())
        kept = max((raw.rfind(each) for each in breaks), default=-1) + 1
        value = re.sub(r"([\s'\"\\$`&;|<>()*?!#~])", r"\\\1", value)
        return super().format_completion(CompletionItem(value[kept:], item.type, item.help))


class _Zsh(_Shell):
    name = "zsh"


class _Fish(_Shell):
    name = "fish"
    end = "\n"


for _class in (_Bash, _Zsh, _Fish):
    add_completion_class(_class)


def _last_word(line: str) -> str:
    """Return the word that a line ends with, as it was typed, with its quotes."""
    begin, quote = 0, ""
    for position, each in enumerate(line):
        if quote:
            quote = "" if each == quote else quote
        elif each in "'\"":
            quote = each
        elif each.isspace() and line[position - 1 : position] != "\\":
            begin = position + 1
    return line[begin:]


def _of_paths(item: CompletionItem, incomplete: str) -> Iterator[CompletionItem]:
    """Yield a candidate; the type of an option that takes a path stands for the paths there are."""
    if item.type in ("file", "dir"):
        yield from _paths(incomplete, only_folders=item.type == "dir")
    else:
        yield item


def _items(words: Iterable[str], incomplete: str, prefix: str = "", kind: str = "plain") -> list[CompletionItem]:
    """Return the words that begin with what was typed, after a prefix that stays."""
    return [CompletionItem(prefix + word, kind) for word in words if word.startswith(incomplete)]


def _paths(typed: str, prefix: str = "", endings: tuple[str, ...] = (), only_folders: bool = False) -> list[Any]:
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

    return _items(bundled_configs(), incomplete) + _paths(incomplete, endings=(".yaml", ".yml"))


def config_and_settings(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return configs where none was named yet, and `KEY=VALUE` of the config and the model that were."""
    earlier = _earlier(context)
    named = [each for each in earlier if "=" not in each]
    items = [] if named or "=" in incomplete or context.params.get("resumed") else configs(context, incomplete)
    return items + _settings(named[0] if named else None, earlier, incomplete)


def settings(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return `KEY=VALUE` of what was named before: a config, a model, or a data set."""
    from recrun.config.find import bundled_configs
    from recrun.registry import DATASETS, MODELS

    earlier, name = (
        _earlier(context),
        next((context.params[key] for key in ("model", "what", "name") if key in context.params), None),
    )
    if name is None and "checkpoint" in context.params:
        keys = ("monitors", "which4best", "device", "threads", "eval_memory", "root", "verbose")
        return _settings(None, earlier, incomplete, keys)
    if "model" in context.params:
        return _settings(None, [f"model={name}" if name in MODELS else "model=bprmf", *earlier], incomplete)
    if "timeout" in context.params:  # of `data fetch`
        return _settings(None, earlier, incomplete, ("root",))
    is_config = name in bundled_configs() or str(name).endswith((".yaml", ".yml"))
    chosen = [] if is_config else [f"dataset={name if name in DATASETS else 'File'}"]
    own = DATASETS.describe(chosen[0].partition("=")[2]).parameters if chosen else ()
    keys = ("root", *(each.name for each in own)) if chosen else ()
    return _settings(name if is_config else None, [*chosen, *earlier], incomplete, keys)


def runs(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the latest runs of the folder of runs, and paths."""
    found = []
    if not incomplete.startswith((".", "/", "~")):
        from recrun.runs.find import find_runs

        root = str(context.params.get("runs") or "runs")
        newest = [str(run.path) for run in reversed(find_runs(root)[-_MOST:])]
        latest = [os.path.join(root, "latest")] if os.path.lexists(os.path.join(root, "latest")) else []
        found = _items([*latest, *newest], incomplete)
    known = {run.value for run in found}
    return found + [each for each in _paths(incomplete, endings=(".safetensors",)) if each.value[:-1] not in known]


def kinds(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return what `recrun list` lists."""
    from recrun.registry import REGISTRIES

    return _items([*REGISTRIES, "configs", "runs"], incomplete)


def components(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the name of every component, and paths of Python files."""
    from recrun.registry import REGISTRIES

    names = {name for registry in REGISTRIES.values() for name in registry.names()}
    return _items(sorted(names), incomplete) + _paths(incomplete, endings=(".py",))


def models(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the names of models, and paths of Python files."""
    from recrun.registry import MODELS

    return _items(MODELS.names(), incomplete) + _paths(incomplete, endings=(".py",))


def datasets(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return the names of data sets."""
    from recrun.registry import DATASETS

    return _items(DATASETS.names(), incomplete)


def data(context: click.Context, incomplete: str) -> list[CompletionItem]:
    """Return what holds data: registered data sets, and paths."""
    return datasets(context, incomplete) + _paths(incomplete)


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
    from recrun.config.draft import COMPONENTS
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
    paths = key in ("model", "dataset", "loss", "sampler", "split", "optimizer", "lr_scheduler")
    if paths and typed.startswith((".", "/", "~")):
        return _paths(typed, prefix, (".py",))
    if key in ("root", "path") or key.endswith("_path"):
        return _paths(typed, prefix)
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
