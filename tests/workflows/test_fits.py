"""What does not fit in memory or on disk is refused, with settings that do fit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from recrun.config.resolve import resolve
from recrun.errors import ConfigError
from recrun.workflows.build import build_data
from recrun.workflows.dry_run import fits
from recrun.workflows.dry_run.fits import _held_by, memory_guarded, refuse_large_tables, refuse_on_disk

DATA = ["n_users=1000", "n_items=1000", "n_interactions=5000", "device=cpu", "threads=1", "verbose=0"]
MB = 1 << 20


@pytest.mark.parametrize(
    ("options", "held"),
    [
        (["optimizer=adam"], (2.0, True)),
        (["optimizer=sgd"], (0.0, True)),
        (["optimizer=sgd", "momentum=0.9"], (1.0, True)),
        (["optimizer=lazy_adam"], (2.0 + 1 / 64, False)),
        (["optimizer=lazy_adam", "state_precision=bf16"], (1.0 + 1 / 64, False)),
        (["optimizer=lazy_adam", "second_moment=row"], (1.0 + 2 / 64, False)),
        (["optimizer=row_adagrad"], (1 / 64, False)),
        (["optimizer=adagrad"], (1.0, True)),
    ],
)
def test_what_an_optimizer_holds(options: list[str], held: tuple[float, bool]) -> None:
    assert _held_by(resolve("bprmf", options)) == held


def refusal(options: list[str], free: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return why a config is refused where so many bytes are free; "" if it is not."""
    monkeypatch.setattr(fits, "available_memory", lambda: free)
    resolved = resolve("bprmf", [*DATA, *options])
    try:
        refuse_large_tables(resolved, build_data(resolved), "runs")
    except ConfigError as error:
        return str(error)
    return ""


def test_tables_that_do_not_fit_are_refused_with_settings_that_do(monkeypatch: pytest.MonkeyPatch) -> None:
    # 2000 rows of 1024 numbers: 8.192 MB, four times with gradients and Adam's means; scores of 4 MB.
    needed = 4 * 2000 * 1024 * 4 + 4 * 1000 * 1000
    assert refusal(["embedding_dim=1024"], needed, monkeypatch) == ""
    text = refusal(["embedding_dim=1024"], needed - 1, monkeypatch)
    assert text.startswith("model: the run needs about 36.8 MB of memory: 32.8 MB for 2,048,000 parameters with")
    ways = ("optimizer=lazy_adam (28.7 MB)", "optimizer=row_adagrad (12.3 MB)", "optimizer=sgd (20.4 MB)")
    assert f"; it fits with {' or '.join(ways)} or embedding_dim=512 (20.4 MB)" in text
    for setting in re.findall(r"(\w+=\w+) \(", text.partition("it fits")[2]):
        others = ["embedding_dim=1024"] if "dim" not in setting else []
        assert refusal([*others, setting], needed - 1, monkeypatch) == "", setting
    assert "it fits" not in refusal(["embedding_dim=1024"], 1 * MB, monkeypatch)


def test_ranking_that_does_not_fit_is_refused_with_less_memory_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fits, "_FEW", 1)
    text = refusal(["embedding_dim=2", "eval_memory=4"], 3 * MB, monkeypatch)
    assert "it fits with eval_memory=1 (1.1 MB)" in text
    assert refusal(["embedding_dim=2", "eval_memory=1"], 3 * MB, monkeypatch) == ""


def test_the_seed_of_all_that_follows_is_left_alone() -> None:
    resolved = resolve("synthetic/lightgcn", DATA)
    data = build_data(resolved)
    before = torch.get_rng_state()
    refuse_large_tables(resolved, data, "runs")
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.empty(1).device.type == "cpu"


def test_a_disk_that_is_too_small_is_refused() -> None:
    config = resolve("bprmf").config
    refuse_on_disk(100, 100, "runs", config)
    refuse_on_disk(None, 0, "runs", config)
    with pytest.raises(
        ConfigError, match=r"about 2\.0 GB on disk while it writes checkpoints, and 1\.0 GB are free in"
    ) as e:
        refuse_on_disk(2 * 10**9, 10**9, "runs", config)
    assert "--runs on another disk, or a smaller embedding_dim, or optimizer=sgd" in str(e.value)


def test_the_checkpoints_of_large_tables_are_refused_before_they_are_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fits.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 50 * 10**6}))
    # 8.192 MB of weights: twice with two means of Adam, and once alone.
    text = refusal(["embedding_dim=1024"], 10**9, monkeypatch)
    assert "needs about 57.3 MB on disk" in text


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is limited on Linux only")
def test_what_needs_too_much_memory_is_refused_and_not_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fits, "available_memory", lambda: 64 * MB)
    resolved = resolve("bprmf", DATA)

    def train() -> None:
        with memory_guarded(resolved) as guard:
            guard.coach = type("Short", (), {"stage": "training a step"})
            torch.zeros(256 * MB)

    with pytest.raises(ConfigError, match=r"^model: training a step needs more memory than the 67\.1 MB that are free"):
        train()
    assert torch.zeros(256 * MB).numel() == 256 * MB
    with pytest.raises(RuntimeError, match="another"), memory_guarded(resolved):
        raise RuntimeError("another")
