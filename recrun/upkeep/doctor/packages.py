"""Check the versions of recrun, Python and the packages that recrun needs, and what each extra lacks."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from shlex import quote
from typing import Any, Final

from recrun.upkeep.doctor.finding import Finding, cause
from recrun.visible import on_one_line

_REQUIREMENT: Final = re.compile(r"([\w.-]+)\s*(?:\[[^\]]*\])?\s*\(?([^;)]*)\)?\s*(?:;\s*(.*))?")
_BOUND: Final = re.compile(r"\s*(>=|<=|==|!=|~=|>|<)\s*([\w.*+!-]+)\s*")
_MARKER: Final = re.compile(r"(python_version|extra)\s*(==|!=|>=|<=|>|<)\s*['\"]([^'\"]*)['\"]")
_MODULES: Final = {"pyyaml": "yaml", "typing-extensions": "typing_extensions"}
"""The modules of packages that are not called as these."""
_AREA: Final = "versions"


@dataclass(frozen=True)
class Requirement:
    """What recrun needs of one package.

    Args:
        package: its name.
        bounds: pairs of a comparison and a version.
        extra: the extra that needs it, or "" for recrun itself.
    """

    package: str
    bounds: tuple[tuple[str, str], ...]
    extra: str = ""

    @property
    def module(self) -> str:
        """The module to import."""
        return _MODULES.get(self.package.lower(), self.package.replace("-", "_"))

    def __str__(self) -> str:
        return self.package + ",".join(sign + bound for sign, bound in self.bounds)

    def is_met_by(self, found: str) -> bool:
        """Return whether a version lies within the bounds."""
        return all(_holds(found, sign, bound) for sign, bound in self.bounds)


def read_requirement(text: str) -> Requirement | None:
    """Read a requirement as a package's metadata has it; None if it is not for this version of Python.

    >>> print(read_requirement('numba>=0.59; python_version < "9" and extra == "dev"'))
    numba>=0.59
    """
    match = _REQUIREMENT.fullmatch(text.strip())
    if match is None:
        return None
    name, bounds, marker = match.groups()
    extra = ""
    for key, sign, value in _MARKER.findall(marker or ""):
        if key == "extra":
            extra = value
        elif not _holds(f"{sys.version_info[0]}.{sys.version_info[1]}", sign, value):
            return None
    return Requirement(name, tuple((sign, bound) for sign, bound in _BOUND.findall(bounds)), extra)


def _holds(found: str, sign: str, bound: str) -> bool:
    """Return whether a version compares so with another, by the numbers in both."""
    one, other = _numbers(found), _numbers(bound)
    if bound.endswith("*") or sign == "~=":
        is_within = one[: len(other) - (sign == "~=")] == other[: len(other) - (sign == "~=")]
        return is_within and one >= other if sign == "~=" else is_within == (sign == "==")
    width = max(len(one), len(other))
    one, other = (each + (0,) * (width - len(each)) for each in (one, other))
    return {">=": one >= other, "<=": one <= other, "==": one == other, "!=": one != other, ">": one > other}.get(
        sign, one < other
    )


def _numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of a version, without what follows them, as in 2.13.0+cpu or 3.0rc1."""
    match = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, match[0].split("."))) if match else ()


def pip_install(*wanted: str) -> str:
    """Return the command that installs packages for this Python."""
    return f"{quote(sys.executable)} -m pip install {' '.join(map(quote, wanted))}"


def requirements() -> list[Requirement]:
    """Return what the installed recrun says it needs."""
    found = (read_requirement(text) for text in requires("recrun") or [])
    return [each for each in found if each is not None]


def check_versions(needed: Iterable[Requirement], answers: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Yield the versions of recrun, Python and the packages that recrun needs.

    Args:
        needed: what recrun needs.
        answers: what importing each of the modules gave.
    """
    yield Finding(_AREA, "recrun", version("recrun"))
    python, bound = sys.version.partition(" ")[0], (metadata("recrun")["Requires-Python"] or "").replace(" ", "")
    is_met = all(_holds(python, sign, each) for sign, each in _BOUND.findall(bound))
    shown = f"{python} ({sys.executable})"
    remedy = "" if is_met else f"install recrun for Python {bound}"
    yield Finding(_AREA, "python", shown, "ok" if is_met else "problem", remedy)
    for each in needed:
        if not each.extra:
            yield _package(each, answers.get(each.module, {}))


def _package(needed: Requirement, answer: Mapping[str, Any]) -> Finding:
    found = _version(needed.package)
    if found is None:
        return Finding(_AREA, needed.package, "is not installed", "problem", pip_install(str(needed)))
    error = answer.get("error")
    if error:
        remedy = pip_install("--force-reinstall", str(needed))
        return Finding(_AREA, needed.package, on_one_line(f"{found} cannot be imported: {error}"), "problem", remedy)
    if not needed.is_met_by(found):
        text = f"{found}, but recrun needs {needed}"
        return Finding(_AREA, needed.package, text, "problem", pip_install("--upgrade", str(needed)))
    return Finding(_AREA, needed.package, found)


def check_extras(needed: Iterable[Requirement]) -> Iterator[Finding]:
    """Yield for each extra of recrun whether its packages are there; an extra that is not is no problem."""
    by_extra: dict[str, list[Requirement]] = {
        extra: [] for extra in metadata("recrun").get_all("Provides-Extra") or [] if extra
    }
    for each in needed:
        if each.extra:
            by_extra.setdefault(each.extra, []).append(each)
    for extra, packages in by_extra.items():
        lacking = [each for each in packages if not ((found := _version(each.package)) and each.is_met_by(found))]
        if lacking:
            text = f"not installed: needs {', '.join(map(str, lacking))}"
            yield Finding("extras", extra, text, "note", pip_install(f"recrun[{extra}]"))
        else:
            text = ", ".join(f"{each.package} {_version(each.package)}" for each in packages)
            yield Finding("extras", extra, text or "needs nothing with this Python")


def check_components(answer: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the components of other packages that cannot be used.

    Args:
        answer: the answer of `recrun.upkeep.doctor.probe` to ":components".
    """
    problems = answer["answer"]["problems"] if "answer" in answer else [f"cannot be asked: {answer.get('error')}"]
    for problem in problems:
        remedy = "repair or remove the package that offers it"
        yield Finding("extras", "component", on_one_line(problem), "note", remedy)


def _version(package: str) -> str | None:
    try:
        return str(version(package))
    except PackageNotFoundError:
        return None
    except Exception as error:  # damaged metadata
        return cause(error)
