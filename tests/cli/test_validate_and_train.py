"""`validate` and `train` give the same verdict on hundreds of mutated configs, with a place, and never a traceback."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.config.find import bundled_configs
from recrun.registry import DATASETS, LOSSES, MODELS, OPTIMIZERS, SAMPLERS, SCHEDULERS, SPLITS

GENERAL = sorted(name for name in bundled_configs() if "/" not in name)
CHOICES = {
    "model": MODELS,
    "loss": LOSSES,
    "dataset": DATASETS,
    "optimizer": OPTIMIZERS,
    "lr_scheduler": SCHEDULERS,
    "sampler": SAMPLERS,
    "split": SPLITS,
}
STRANGE = [
    *("null", "~", "true", "false", "0", "1", "-1", "0.5", "-0.5", "1e-3", "1e999", ".inf", "-.inf", ".nan", "0x10"),
    *("99999999999999999999999", "9223372036854775807", "-9223372036854775808", "1e308", "1e-320", "2147483648"),
    *(
        '""',
        "a",
        "ä€😀",
        "'1'",
        '"\\0"',
        "a/b",
        "[1]",
        "[]",
        "[a, b]",
        "[null]",
        "[[a]]",
        "{a: 1}",
        "./x.py:Y",
        "|",
        "*a",
    ),
]
PLAIN = ["null", "true", "0", "1", "2", "5", "0.1", "0.5", "cosine", "users", "host", "[auc]", "[ndcg@5, loss]"]


def _mutated(draw: random.Random) -> tuple[str, list[str]]:
    """Return a config with some lines left out, repeated or added, and overrides."""
    text = bundled_configs()[draw.choice(GENERAL)].read_text(encoding="utf-8").partition("\nexpected:")[0]
    lines = [line for line in text.splitlines() if re.match(r"[a-z]", line)]
    keys = [line.partition(":")[0] for line in lines]
    keys += [
        "split",
        "valid_ratio",
        "n_negatives",
        "eval_valid",
        "max_length",
        "similarity",
        "filter",
        "track",
        "id",
    ]
    overrides: dict[str, str] = {}
    if draw.random() < 0.3:
        lines.remove(draw.choice(lines))
    for _ in range(draw.choice([1, 1, 2, 3])):
        key = draw.choice([*CHOICES, *keys])
        is_choice = key in CHOICES and draw.random() < 0.7
        value = draw.choice(CHOICES[key].names()) if is_choice else draw.choice(draw.choice([STRANGE, PLAIN]))
        if draw.random() < 0.8:
            overrides[key] = value
        else:
            lines.append(f"{key}: {value}")
    return "\n".join(lines) + "\n", [f"{key}={value}" for key, value in overrides.items()]


@pytest.mark.parametrize("seed", range(6))
def test_a_mutated_config_has_one_verdict_a_place_and_a_complete_config(
    recrun: Callable[..., Any], tmp_path: Path, seed: int
) -> None:
    draw, n_accepted = random.Random(seed), 0
    for _ in range(40):
        text, overrides = _mutated(draw)
        # The same overrides, once as a file that extends the other, once as arguments.
        above = "".join(f"{key}: {value}\n" for key, _, value in (each.partition("=") for each in overrides))
        (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
        (tmp_path / "b.yaml").write_text(f"extends: a.yaml\n{above}", encoding="utf-8")
        case = f"{text}\n{overrides}"
        validated = recrun("validate", "b.yaml")
        printed = recrun("train", "a.yaml", *overrides, "--print-config")
        assert validated.code in (0, 2), f"{case}\n{validated.err}"
        assert printed.code in (0, 2), f"{case}\n{printed.err}"
        assert validated.code == printed.code, f"{case}\n{validated.out}\n{printed.err}"
        if validated.code == 2:
            faults = validated.out.splitlines()
            assert faults, case
            assert all(re.match(r"[ab]\.yaml(:\d+:\d+)?: ", fault) for fault in faults), f"{case}\n{faults}"
            assert all(line.startswith("error: ") for line in printed.err.splitlines()), printed.err
            continue
        n_accepted += 1
        (tmp_path / "printed.yaml").write_text(printed.out, encoding="utf-8")
        again = recrun("train", "printed.yaml", "--print-config")
        assert (again.code, again.out) == (0, printed.out), f"{case}\n{again.err}"
        notes = [note for note in again.err.splitlines() if "were chosen for" not in note and "shuffled" not in note]
        assert notes == [], case
        assert validated.is_untouched
    assert n_accepted >= 2
