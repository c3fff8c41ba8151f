"""Import a user's own Python file, named in a config as `path/to/file.py:Name`, and remember which were imported.

A run folder may come from a stranger. Code that it names is run only if the user has run that file before, names it, or
says `--trust`; so each imported file leaves a mark outside of all run folders.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import traceback
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from recrun.errors import RegistryError, unknown

T = TypeVar("T")

_PACKAGE: Final = str(Path(__file__).resolve().parents[1]) + os.sep
_LIBRARIES: Final = str(Path(os.__file__).resolve().parent) + os.sep


def is_file_reference(name: str) -> bool:
    """Return whether a name has the form `path/to/file.py:Name`."""
    path, colon, attribute = name.rpartition(":")
    return bool(colon) and path.endswith(".py") and attribute.isidentifier()


def short_name(monitor: str) -> str:
    """Return a monitor as tables and pictures show it: that of a user's own file without the path.

    >>> short_name("/home/me/mine.py:diversity@10")
    'diversity@10'
    """
    return monitor.rpartition(":")[2] if ".py:" in monitor else monitor


def load_reference(reference: str) -> Any:
    """Import the file of `path/to/file.py:Name` and return its `Name`.

    Raises:
        RegistryError: there is no such file or name, or the file fails while it is imported.
    """
    path, _, attribute = reference.rpartition(":")
    module = load_file(path)
    if not hasattr(module, attribute):
        raise RegistryError(f"{reference}: {unknown('name', attribute, [n for n in vars(module) if n[0] != '_'])}")
    return getattr(module, attribute)


def load_file(path: str | Path) -> Any:
    """Import a user's own Python file as a separate module, once per process.

    Raises:
        RegistryError: there is no such file, or it fails while it is imported.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise RegistryError(f"there is no file {str(path)!r}")
    _remember(file)
    # The module's name is the same in every process.
    name = f"recrun_user_{zlib.crc32(str(file).encode()):08x}_{file.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise RegistryError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # The file can import its neighbours, as a script can; installed packages take precedence.
    sys.path.append(str(file.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise RegistryError(f"{path} cannot be imported: {cause(error)}{place_in_own_code(error)}") from error
    finally:
        sys.path.remove(str(file.parent))
    return module


def code_named_in(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the (key, file) of each setting, or element of one, that names a user's own Python file."""
    for key, value in settings.items():
        for each in value if isinstance(value, (list, tuple)) else [value]:
            for text in (each, each.rpartition("@")[0]) if isinstance(each, str) else ():
                if is_file_reference(text):
                    yield key, text.rpartition(":")[0]


def was_run_here(path: str) -> bool:
    """Return whether this user has imported a Python file before, on this machine or with this home folder."""
    mark = _mark(Path(path).resolve())
    return mark is not None and mark.is_file()


def _remember(file: Path) -> None:
    mark = _mark(file)
    if mark is not None:
        with suppress(OSError):  # Where nothing can be remembered, --trust is asked for again.
            mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            mark.touch()


def _mark(file: Path) -> Path | None:
    """Return the empty file that marks a Python file as imported, or None if there is no place for it."""
    folder = trusted_folder()
    return None if folder is None else folder / hashlib.sha256(os.fsencode(file)).hexdigest()


def trusted_folder() -> Path | None:
    """Return the folder that remembers which Python files this user has imported, or None without a home folder."""
    try:
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError:
        return None
    return Path(home) / "recrun" / "own_code"


_NEEDED: Final = {
    "model": ("to parameters state_dict training", "recrun.architectures.RecSysArch"),
    "dataset": ("training_data describe n_users fields", "recrun.data.datasets.base.RecDataSet"),
    "loss": ("bind from_scores reduction", "recrun.criterions.BaseCriterion"),
    "optimizer": ("param_groups zero_grad step state_dict", "torch.optim.Optimizer"),
    "lr_scheduler": ("step state_dict", "recrun.training.schedulers.Schedule"),
    "track": (
        "start step evaluating trained evaluated message finish close",
        "recrun.training.reporter.Reporter",
    ),
    "sampler": ("n_negatives", "recrun.data.sampling.negatives.NegativeSampler"),
}
"""What is asked of a component that was made, and the base class that has it, by the setting that chooses it."""


_SET_UP: Final = {
    "model": ("_modules",),
    "dataset": ("n_users", "fields"),
    "loss": ("reduction",),
    "sampler": ("n_negatives", "n_items"),
}
"""What only the constructor of the base class sets, likewise."""


def checked(setting: str, reference: str, made: T, *needed: str) -> T:
    """Return a component that was made of a user's own class or function; refuse one that cannot be used.

    Args:
        setting: the setting that chooses it, such as `sampler`.
        reference: its name; registered ones are not looked at.
        made: what the class or function returned.
        *needed: names of further methods that it must have.

    Raises:
        RegistryError: it lacks something; the message names the base class that has it.
    """
    names, base = _NEEDED[setting]
    derives = base.rpartition(".")[2] in [above.__name__ for above in type(made).__mro__]
    unset = [name for name in _SET_UP.get(setting, ()) if derives and not hasattr(made, name)]
    if unset and is_file_reference(reference):
        raise RegistryError(
            f"{setting}: {reference} does not set up its base class: it has no {', '.join(unset)}; its __init__ must "
            "call super().__init__() with what that takes"
        )
    missing = [name for name in (*names.split(), *needed) if not hasattr(made, name)]
    if missing and is_file_reference(reference):
        kind = "tracker" if setting == "track" else setting
        found = f"{reference} made {type(made).__name__!r}, which is no {kind}: it has no {', '.join(missing)}"
        raise RegistryError(f"{setting}: {found}; derive from {base}")
    return made


def cause(error: BaseException) -> str:
    """Return the type and the first line of an error raised by code outside recrun."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def is_foreign(thing: Any) -> bool:
    """Return whether a class or function was written outside recrun."""
    return str(getattr(thing, "__module__", "")).partition(".")[0] != "recrun"


def where_raised(error: BaseException) -> str:
    """Return `file:line` of an error: of the last call in a user's own file, else in recrun, else anywhere.

    Torch, numpy and Python's own library are not what there is to mend. It is "" for an error that was not raised.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(frame.filename)]
    of_recrun = [frame for frame in frames if os.path.realpath(frame.filename).startswith(_PACKAGE)]
    last = (own or of_recrun or frames)[-1:]
    return f"{last[0].filename}:{last[0].lineno}" if last else ""


def raised_by_user(error: BaseException) -> bool:
    """Return whether an error comes out of a user's own file, or of what that called."""
    return any(_is_own(frame.filename) for frame in traceback.extract_tb(error.__traceback__))


def place_in_own_code(error: BaseException) -> str:
    """Return ` [file:line]` of an error that comes out of a user's own file, else ""."""
    return f" [{where_raised(error)}]" if raised_by_user(error) else ""


def _is_own(file: str) -> bool:
    path = os.path.realpath(file)
    is_installed = "site-packages" in path or "dist-packages" in path
    return path.endswith(".py") and not is_installed and not path.startswith((_PACKAGE, _LIBRARIES))
