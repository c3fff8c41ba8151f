"""recrun: train, evaluate, sweep and compare top-k recommenders from YAML configs.

In Python, `recrun.train`, `recrun.load`, `recrun.sweep` and `recrun.compare` do what the commands do, and return
objects for notebooks. They are imported when they are first used: `import recrun` alone imports nothing heavy.

`recrun.sweep` and `recrun.compare` are packages as well, whose modules are imported as those of any package.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from recrun.version import __version__

if TYPE_CHECKING:
    from recrun.notebook.comparison import Comparison, compare
    from recrun.notebook.run import Run, load
    from recrun.notebook.study import sweep
    from recrun.notebook.sweep import Sweep
    from recrun.notebook.train import train

__all__ = ["Comparison", "Run", "Sweep", "__version__", "compare", "load", "sweep", "train"]

_MODULES = {
    "Comparison": "recrun.notebook.comparison",
    "compare": "recrun.notebook.comparison",
    "Run": "recrun.notebook.run",
    "load": "recrun.notebook.run",
    "Sweep": "recrun.notebook.sweep",
    "sweep": "recrun.notebook.study",
    "train": "recrun.notebook.train",
}
"""Where each name is defined."""


class _CallablePackage(ModuleType):
    """A package that can also be called: `recrun.sweep(...)` sweeps, and `recrun.sweep.run` is one of its modules."""

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        return self._function(*arguments, **settings)

    @property
    def __signature__(self) -> Any:
        from inspect import signature

        return signature(self._function)

    @property
    def _function(self) -> Any:
        return _find(self.__name__.rpartition(".")[2])


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'recrun' has no attribute {name!r}")
    return _find(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})


def _find(name: str) -> Any:
    return getattr(import_module(_MODULES[name]), name)


# Python imports this module before any other of recrun, so there is no moment at which these cannot be called.
for _name in ("compare", "sweep"):
    import_module(f"recrun.{_name}").__class__ = _CallablePackage
del _name
