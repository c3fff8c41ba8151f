"""Fixtures for the whole suite."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from recrun.registry import REGISTRIES

REPOSITORY = Path(__file__).resolve().parent.parent
# The workers of pytest-xdist are told of 80 columns; what a command prints must not depend on who runs the tests.
os.environ.pop("COLUMNS", None)

# A shell without job control has its background jobs ignore Ctrl-C, and what they start as well; the tests send it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# How long an example takes depends on what else the machine does.
settings.register_profile("recrun", deadline=None)
settings.load_profile("recrun")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The clone's top folder."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data sets: RECRUN_DATA, else ../shared/data; skip the test when there is none."""
    root = Path(os.environ.get("RECRUN_DATA", REPOSITORY.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"real data not found at {root} (set RECRUN_DATA)")
    return root


_FOLDERS = itertools.count()


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the test's own folder, which is removed if the test passes: a suite would leave gigabytes.

    Its number is given to no other test, as modules of the tests are known by path. Pytest's own fixture looks for a
    free number among all folders there are, which takes longer with each test.
    """
    name = re.sub(r"\W", "_", request.node.name)[:30]
    folder = tmp_path_factory.getbasetemp().resolve() / f"{name}{next(_FOLDERS)}"
    folder.mkdir(0o700)
    n_failed = request.session.testsfailed
    yield folder
    if request.session.testsfailed == n_failed:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests' data cache, and what they remember, out of the user's."""
    monkeypatch.setenv("RECRUN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    # One for each test: that a file was run by another test must not make a difference.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state" / uuid.uuid4().hex))


@pytest.fixture(autouse=True)
def _own_registrations() -> Iterator[None]:
    """Forget what a test registers, which other tests would find among the built-in components."""
    before = {kind: set(registry._registered) for kind, registry in REGISTRIES.items()}
    yield
    for kind, registry in REGISTRIES.items():
        for name in set(registry._registered) - before[kind]:
            if not registry._registered[name].target.startswith((f"{registry.place}:", f"{registry.place}.")):
                del registry._registered[name], registry._objects[name]
