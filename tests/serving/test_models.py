"""Another run takes the place of the one that is served once it is done, and only if it can be loaded."""

from __future__ import annotations

import gc
import json
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recrun.runs.new_folder import have_latest_follow
from recrun.serving.models import Models
from recrun.serving.monitoring import Monitoring
from recrun.serving.served import open_served

from .conftest import train


def _until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


class Watched:
    """Models that look every few hundredths of a second, and what they said."""

    def __init__(self, path: Path) -> None:
        self.said: list[str] = []
        self.reported: list[BaseException] = []
        self.monitoring = Monitoring()
        self.models = Models(
            path,
            lambda: open_served(path),
            every=0.05,
            monitoring=self.monitoring,
            say=self.said.append,
            report=self.reported.append,
        )
        self.models.start()

    @property
    def run(self) -> str:
        """The run that is served."""
        return self.models.current.about.run


@pytest.fixture
def watch() -> Iterator[Callable[[Path], Watched]]:
    """Return a function that watches a path; it is watched until the end of the test."""
    watched = []

    def begin(path: Path) -> Watched:
        watched.append(Watched(path))
        return watched[-1]

    yield begin
    for each in watched:
        each.models.close()


def test_a_newer_run_is_served_once_it_is_done_and_the_older_is_freed(
    tmp_path: Path, watch: Callable[[Path], Watched]
) -> None:
    first = train(tmp_path)
    watched = watch(tmp_path / "latest")
    assert watched.run == first.name
    before = weakref.ref(watched.models.current)
    second = train(tmp_path, "seed=2", "id=second")
    _until(lambda: watched.run == second.name)
    _until(lambda: watched.models.last_reload is not None)
    assert watched.models.last_reload is not None
    assert watched.models.last_reload.ok
    assert watched.said == [f"serving the run second in place of {first.name}"]
    assert b'recrun_reloads_total{result="done"} 1.0' in watched.monitoring.text()
    _until(lambda: gc.collect() >= 0 and before() is None)


def test_a_run_that_is_not_done_is_not_served(tmp_path: Path, watch: Callable[[Path], Watched]) -> None:
    first = train(tmp_path)
    second = train(tmp_path, "seed=2", "id=second")
    assert have_latest_follow(first, is_new=False) is None
    watched = watch(tmp_path / "latest")
    record = json.loads((second / "run.json").read_text(encoding="utf-8"))
    (second / "run.json").write_text(json.dumps({**record, "status": "running"}), encoding="utf-8")
    assert have_latest_follow(second, is_new=False) is None
    time.sleep(0.5)
    assert watched.run == first.name
    (second / "run.json").write_text(json.dumps(record), encoding="utf-8")
    _until(lambda: watched.run == "second")
    assert watched.reported == []


def test_a_run_that_cannot_be_loaded_leaves_the_one_before(tmp_path: Path, watch: Callable[[Path], Watched]) -> None:
    first = train(tmp_path)
    second = train(tmp_path, "seed=2", "id=second")
    assert have_latest_follow(first, is_new=False) is None
    watched = watch(tmp_path / "latest")
    for which in ("best", "last"):
        file = second / "checkpoints" / which / "checkpoint.safetensors"
        file.write_bytes(file.read_bytes()[:-100])
    assert have_latest_follow(second, is_new=False) is None
    _until(lambda: watched.models.last_reload is not None)
    assert watched.models.last_reload is not None
    assert not watched.models.last_reload.ok
    time.sleep(0.3)
    assert watched.run == first.name
    assert watched.said == [f"the run {first.name} is served on: another could not be loaded"]  # tried once
    assert len(watched.reported) == 1
    assert b'recrun_reloads_total{result="failed"} 1.0' in watched.monitoring.text()


def test_a_run_is_opened_anew_on_request(run: Path, watch: Callable[[Path], Watched]) -> None:
    watched = watch(run)
    before = watched.models.current
    watched.models.reload()
    _until(lambda: watched.models.current is not before)
    assert watched.run == run.name
