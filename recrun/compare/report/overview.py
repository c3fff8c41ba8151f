"""Say what a report is of: the groups, the data, commands, versions and dates."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from recrun.compare.report.limits import Limits, cut
from recrun.compare.report.material import Material, Run, mapping
from recrun.evaluation.protocol_text import protocol_text
from recrun.registry.user_files import short_name
from recrun.report.html.element import Element, element, shortened
from recrun.report.html.scale import number_of
from recrun.report.terminal.lines import counted
from recrun.runs.provenance import SPLIT

_LONGEST = 400
_PARTS = ("train", "valid", "test", "given")


def title_of(material: Material) -> str:
    """Return a title for a report."""
    data = ", ".join(dict.fromkeys(short_name(str(run.entry.settings.get("dataset"))) for run in material.runs))
    groups, n_runs = material.names, len(material.runs)
    what = shortened(groups[0], 60) if len(groups) == 1 else f"{len(groups):,} groups of runs"
    return f"{what} on {shortened(data, 60)} ({counted(n_runs, 'run')})"


def header(material: Material) -> list[Element]:
    """Return the facts that stand above the sections of a report."""
    facts = [*_compared(material), *_data(material), *_versions(material)]
    pairs = [(element("dt", name), element("dd", text)) for name, text in facts]
    return [element("dl", *(each for pair in pairs for each in pair), class_="facts")]


def commands(material: Material, limits: Limits) -> list[Element]:
    """Return the command by which the first run of each group was trained."""
    found = list(dict.fromkeys(filter(None, map(_command, _firsts(material)))))
    shown = [element("li", element("code", shortened(text, _LONGEST))) for text in found[: limits.groups]]
    left_out = cut(len(shown), len(found), "commands")
    if not shown:
        return []
    text = "The first run of each group was trained by: " if len(found) > 1 else "Trained by: "
    return [element("p", text + left_out), element("ol", *shown, class_="commands")]


def notes(material: Material) -> list[Element]:
    """Return the notes of a report, and why nothing was tested."""
    texts = [*material.comparison.notes, *material.notes]
    texts += [f"{run.entry.path}: {note}" for run in material.runs for note in _texts(run.record.get("notes"))]
    texts = list(dict.fromkeys(texts))
    found = []
    if material.reason:
        found.append(element("p", f"No tests, numbers only: {material.reason}.", class_="reason"))
    if texts:
        most = 40
        left_out = cut(most, len(texts), "notes")
        entries = [element("li", shortened(text, _LONGEST)) for text in texts[:most]]
        found.append(element("ul", *entries, element("li", left_out) if left_out else None, class_="notes"))
    return found


def _compared(material: Material) -> Iterator[tuple[str, str]]:
    comparison = material.comparison
    seeds = sorted({group.n_seeds for group in comparison.groups})
    of_seeds = counted(seeds[0], "seed") if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    each = "" if len(comparison.groups) == 1 else " each"
    yield "runs", f"{len(material.runs):,}: {counted(len(comparison.groups), 'group')}, {of_seeds}{each}"
    if comparison.baseline is not None and len(comparison.groups) > 1:
        yield "baseline", comparison.baseline
    yield "numbers", "validation" if comparison.split == "valid" else "test"
    protocols = dict.fromkeys(protocol_text(run.entry.protocol) or "all items" for run in material.runs)
    yield "ranked", "; ".join(protocols)
    epochs = dict.fromkeys(short_name(str(run.entry.which4best)) for run in material.runs if run.entry.which4best)
    if epochs:
        yield "epoch chosen by", f"{', '.join(epochs)} on validation"
    dates = sorted(run.entry.started[:16].replace("T", " ") for run in material.runs if run.entry.started)
    if dates:
        yield "trained", dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]} UTC"


def _data(material: Material) -> Iterator[tuple[str, str]]:
    found: dict[str, Run] = {}
    for run in material.runs:
        found.setdefault(run.entry.data.get(SPLIT, run.entry.path), run)
    for run in list(found.values())[:5]:
        yield "data", _described(run.entry.settings, mapping(run.record.get("statistics")))
    if len(found) > 5:
        yield "data", f"{len(found) - 5:,} further data sets or splits"


def _described(settings: Mapping[str, Any], statistics: Mapping[str, Any]) -> str:
    """Return a description of data: how much there is, and how it was split."""
    parts = {part: statistics[part] for part in _PARTS if isinstance(statistics.get(part), int)}
    texts = [short_name(str(settings.get("dataset")))]
    texts += [f"{statistics[key]:,} {key}" for key in ("users", "items") if isinstance(statistics.get(key), int)]
    if parts:
        each = ", ".join(f"{part} {count:,}" for part, count in parts.items())
        texts.append(f"{sum(parts.values()):,} interactions ({each})")
    density = number_of(statistics.get("density"))
    if density is not None:
        texts.append(f"density {density:.3%}")
    split = settings.get("split")
    if split is not None:
        given = [f"{key}={settings[key]}" for key in _keys_of(str(split)) if settings.get(key) is not None]
        texts.append(" ".join(["split", short_name(str(split)), *given]))
    return ", ".join(texts)


def _keys_of(split: str) -> tuple[str, ...]:
    """Return the settings that say more of a split."""
    if "fold" in split:
        return ("fold", "test_fold", "split_seed")
    if split == "new_users":
        return ("valid_ratio", "test_ratio", "fold_in_ratio", "fold_in_by", "split_seed")
    return () if split.startswith("leave") else ("valid_ratio", "test_ratio", "split_seed")


def _versions(material: Material) -> Iterator[tuple[str, str]]:
    found: dict[str, dict[str, None]] = {}
    for run in material.runs:
        for name, version in mapping(run.record.get("versions")).items():
            found.setdefault(str(name), {})[str(version)] = None
    if found:
        yield "versions", ", ".join(f"{name} {' and '.join(versions)}" for name, versions in found.items())
    commits: dict[str, None] = {}
    for run in material.runs:
        git = mapping(run.record.get("git"))
        if isinstance(git.get("commit"), str):
            commits[git["commit"][:12] + (" with changes" if git.get("dirty") else "")] = None
    if commits:
        yield "commit of recrun", ", ".join(list(commits)[:5]) + (" ..." if len(commits) > 5 else "")


def _firsts(material: Material) -> list[Run]:
    """Return the first run of each group."""
    found: dict[int, Run] = {}
    for run in material.runs:
        found.setdefault(run.series, run)
    return list(found.values())


def _command(run: Run) -> str:
    return shlex.join(_texts(run.record.get("argv")))


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
