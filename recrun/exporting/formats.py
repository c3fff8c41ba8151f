"""List the formats that models are exported to, and choose those that fit a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

from recrun.config.trackers import is_installed
from recrun.errors import ConfigError, unknown
from recrun.exporting.material import Material
from recrun.exporting.written import Request, Written


@dataclass(frozen=True)
class Format:
    """A format.

    Args:
        name: its name, which is that of its module as well.
        holds: what it can hold of a model: "vectors", "weights" or "network".
        extra: the extra of recrun that installs what it needs; None if it needs nothing more.
        packages: the packages of that extra.
    """

    name: str
    holds: frozenset[str]
    extra: str | None = None
    packages: tuple[str, ...] = ()

    @property
    def write(self) -> Callable[[Material, Path, Request], Written]:
        """The function that writes it."""
        written: Callable[[Material, Path, Request], Written] = import_module(f"recrun.exporting.{self.name}").write
        return written


_ARRAYS: Final = frozenset({"vectors", "weights"})
FORMATS: Final = {
    each.name: each
    for each in (
        Format("npz", _ARRAYS),
        Format("parquet", _ARRAYS),
        Format("safetensors", _ARRAYS),
        Format("onnx", frozenset({"network"}), "onnx", ("onnx", "onnxscript", "onnxruntime")),
        Format("faiss", frozenset({"vectors"}), "faiss", ("faiss",)),
    )
}
"""The formats by name."""


def formats_for(holds: frozenset[str]) -> list[str]:
    """Return the formats that can hold something of a model."""
    return [each.name for each in FORMATS.values() if each.holds & holds]


def require_packages(names: Iterable[str]) -> None:
    """Refuse formats that are not known, or whose packages are not installed; nothing is imported.

    Raises:
        ConfigError: there is such a format.
    """
    for name in names:
        if name not in FORMATS:
            raise ConfigError(unknown("format", name, FORMATS))
        missing = [each for each in FORMATS[name].packages if not is_installed(each)]
        if missing:
            what = "the package" if len(missing) == 1 else "the packages"
            are = "is" if len(missing) == 1 else "are"
            raise ConfigError(
                f"format {name} needs {what} {' and '.join(missing)}, which {are} not installed: "
                f"pip install 'recrun[{FORMATS[name].extra}]'"
            )


def choose_formats(asked: Sequence[str], holds: frozenset[str], model: str) -> list[str]:
    """Return the formats to write: those asked for, else parquet for vectors and weights, else onnx.

    An index alone answers no queries, which are vectors: with faiss and no format that holds them, npz is written too.

    Raises:
        ConfigError: a format does not fit the model, or none does.
    """
    fitting = formats_for(holds)
    if not fitting:
        raise ConfigError(
            f"{model} cannot be exported: it has neither vectors of users and items, nor weights between items, nor a "
            f"network that scores items without the training data; write its lists with recrun recommend --to FILE"
        )
    chosen = list(dict.fromkeys(asked)) or [fitting[0] if "parquet" not in fitting else "parquet"]
    for name in chosen:
        if name not in fitting:
            parts = " or ".join(sorted(FORMATS[name].holds))
            parts = parts.replace("network", "network that can be exported").replace("weights", "weights between items")
            raise ConfigError(f"{model} does not fit format {name}: it has no {parts}; formats: {', '.join(fitting)}")
    if "faiss" in chosen and not any("vectors" in FORMATS[name].holds for name in chosen if name != "faiss"):
        chosen.append("npz")
    return chosen
