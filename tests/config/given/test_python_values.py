"""Settings as Python values: what stands for what YAML would hold, and what is refused."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recrun.config.given.arguments import read_arguments
from recrun.config.given.python_values import Unusable, plain_value, read_keywords
from recrun.config.resolve import resolve
from recrun.config.yaml_writer import dump_value
from recrun.errors import ConfigError


class Name(str, enum.Enum):
    """Text that is a member of an enumeration."""

    BPR = "bpr"


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float64(1e-3), 1e-3),
        (np.int32(7), 7),
        (np.bool_(True), True),
        (np.str_("bpr"), "bpr"),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        ((1, None, ("a",)), [1, None, ["a"]]),
        (range(1, 4), [1, 2, 3]),
        (Path("data") / "x", str(Path("data") / "x")),
        ({"a": np.float32(0.5), "b": (1,)}, {"a": 0.5, "b": [1]}),
        (Name.BPR, "bpr"),
    ],
)
def test_values_of_python_stand_for_those_of_yaml(value: Any, plain: Any) -> None:
    found = plain_value(value)
    assert found == plain
    assert type(found) is type(plain)


@pytest.mark.parametrize("value", [{1, 2}, object(), 1j, b"bpr", {1: 2}, [{"a": {3}}], np.complex64(1), int, len])
def test_what_yaml_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(Unusable):
        plain_value(value, "lr")


@pytest.mark.parametrize(
    "settings",
    [
        {"lr": 0.01, "epochs": 3, "eval_test": False, "early_stop_patience": None, "monitors": ["recall@5"]},
        {"lr": 1, "id": 7, "device": 0, "description": 'it\'s: [odd], "text"', "weight_decay": 1e-08},
        {"seed": 2**32, "lr": float("nan"), "monitors": ["x@y", 3], "lr_scheduler": "cosin"},
        {"lr": "1e-3", "eval_test": 1, "epochs": 1.0, "n_users": True},
        {"model": "ease", "regularization": 5, "batch_sise": 3},
        {"optimizer": None, "loss": None, "which4best": None},
    ],
)
def test_keywords_are_checked_exactly_as_arguments_are(settings: dict[str, Any]) -> None:
    def outcome(given: Any) -> Any:
        try:
            resolved = resolve("bprmf", given)
        except ConfigError as error:
            return sorted((fault.key, fault.message, fault.suggestion) for fault in error.faults)
        return dict(resolved.config)

    assert repr(outcome(settings)) == repr(outcome([f"{key}={dump_value(value)}" for key, value in settings.items()]))


def test_a_keyword_has_no_position_and_is_not_laid_to_a_file() -> None:
    with pytest.raises(ConfigError) as error:
        resolve("bprmf", {"lr": "x", "sampler": "unifrom"})
    assert [fault.file for fault in error.value.faults] == ["", ""]
    assert str(error.value.faults[1]) == "lr: expected a number > 0, found 'x' (text)"


def test_unusable_values_leave_the_reading_incomplete() -> None:
    reading = read_keywords({"lr": {1}, "epochs": 3})
    assert not reading.complete
    assert list(reading.given) == ["epochs"]
    assert [fault.key for fault in read_arguments({"extends": "x", "expected": {}}).faults] == ["extends", "expected"]


def test_a_mapping_extends_what_a_file_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text("extends: bprmf\nlr: 0.5\n")
    resolved = resolve({"extends": "base.yaml", "epochs": 2})
    assert (resolved.config.lr, resolved.config.epochs, resolved.path) == (0.5, 2, "settings")
    with pytest.raises(ConfigError, match="extends: there is no file 'nothing'"):
        resolve({"extends": "nothing"})
    with pytest.raises(ConfigError, match="settings: model: must be set"):
        resolve({"lr": 1.0})
