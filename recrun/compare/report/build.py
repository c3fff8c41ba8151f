"""Make the page of a report."""

from __future__ import annotations

import os
from collections.abc import Sequence

from recrun.compare.report.breakdown import breakdown
from recrun.compare.report.curves import curves
from recrun.compare.report.limits import MOST_BYTES, Limits
from recrun.compare.report.material import Material
from recrun.compare.report.overview import commands, header, notes, title_of
from recrun.compare.report.results import plots, results
from recrun.compare.report.settings import differing_settings, runs_table
from recrun.compare.report.sweeps import sweep_parts
from recrun.compare.report.tradeoffs import tradeoffs
from recrun.report.html.element import Element, shortened
from recrun.report.html.page import page

_MOST_SWEEPS = 5


def report(material: Material, place: str, title: str | None = None) -> str:
    """Return a page of HTML that needs nothing else, of less than 500 KB where leaving out details makes it so.

    Args:
        material: what it shows.
        place: where the page will be; links to runs are relative to its folder.
        title: its title; None for one that names the groups and the data.
    """
    limits, folder = Limits(), os.path.dirname(os.path.abspath(place))
    while True:
        found = _page(material, limits, folder, title or title_of(material))
        if len(found.encode()) < MOST_BYTES or limits == limits.smaller():
            return found
        limits = limits.smaller()


def _page(material: Material, limits: Limits, folder: str, title: str) -> str:
    sections: list[tuple[str, str, Sequence[Element]]] = [
        ("results", "Results", [*notes(material), *results(material, limits)]),
        ("differences", "Differences to the baseline", plots(material, limits)),
        ("curves", "Curves", curves(material, limits)),
        ("groups", "Groups of users and items", breakdown(material, limits)),
    ]
    for number, sweep in enumerate(material.sweeps[:_MOST_SWEEPS], start=1):
        heading = "Sweep" if len(material.sweeps) == 1 else f"Sweep {number} of {len(material.sweeps)}"
        sections.append((f"sweep-{number}", heading, sweep_parts(sweep, number, limits)))
    sections += [
        ("tradeoffs", "Trade-offs", tradeoffs(material, limits)),
        ("settings", "Settings that differ", differing_settings(material, limits)),
        ("runs", "Runs", [runs_table(material, limits, folder)]),
        ("commands", "Commands", commands(material, limits)),
    ]
    shown = [section for section in sections if section[2]]
    return page(shortened(title, 200), shown, header(material))
