"""The command and the config that `recrun data describe` proposes: training follows them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

PAIRS = [(user, (user * step) % 11) for user in range(12) for step in range(1, 8)]
DATA = {
    "enough rows": ("user,item\n" + "".join(f"{user},{item}\n" for user, item in PAIRS), ""),
    "one row a user": ("user,item\n" + "".join(f"{n},{n % 5}\n" for n in range(30)), "no valid, no test"),
    "one row": ("user,item\n1,2\n3,4\n", "no valid, no test"),
    "clicks": ("click,age\n" + "".join(f"{n % 2},{n}\n" for n in range(60)), "['auc', 'logloss']"),
    "clicks of users": (
        "user,click,age\n" + "".join(f"{n // 10},{n % 3 % 2},{n}\n" for n in range(60)),
        "['auc', 'logloss']",
    ),
    "clicks of many users": (
        "user,click,age\n" + "".join(f"{n // 100},{n % 2},{n}\n" for n in range(400)),
        "['auc', 'gauc', 'logloss']",
    ),
    "two clicks": ("click,age\n" + "".join(f"{int(n in (2, 7))},{n}\n" for n in range(60)), "['logloss']"),
    "one click a user": ("user,click,age\n" + "".join(f"{n},{n % 2},{n}\n" for n in range(60)), "no valid, no test"),
}


@pytest.mark.parametrize("name", DATA)
def test_the_proposed_command_trains(recrun: Run, tmp_path: Path, name: str) -> None:
    text, need = DATA[name]
    (tmp_path / "rows.csv").write_text(text)
    document = json.loads(recrun("data", "describe", "rows.csv", "--json").out)
    words = shlex.split(document["command"])
    outcome = recrun(*words[1:], *([] if "epochs=100" in words else ["epochs=1"]), "device=cpu", "--json", "-q")
    assert outcome.code == 0, outcome.err
    result = json.loads(outcome.out)
    lacks_parts = need == "no valid, no test"
    assert (result["valid"] is None, result["test"] is None) == (lacks_parts, lacks_parts)
    assert document["config"].get("eval_test") is (False if lacks_parts else None)
    assert ("early_stop_patience=null" in words) is lacks_parts
    if need.startswith("["):
        assert str(list(result["test"])) == need


def test_a_config_of_the_proposed_keys_trains_a_model_that_needs_no_validation(recrun: Run, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(DATA["one row a user"][0])
    shown = recrun("data", "describe", "rows.csv").out.partition("or add to a config\n")[2]
    (tmp_path / "mine.yaml").write_text("model: popularity\n" + "\n".join(line[2:] for line in shown.splitlines()))
    assert recrun("train", "mine.yaml", "-q").code == 0


def test_where_a_user_has_every_item_the_model_needs_no_negatives(recrun: Run, tmp_path: Path) -> None:
    train = [("anna", item) for item in range(6)] + [("bert", item) for item in range(4)]
    (tmp_path / "train.csv").write_text("user,item\n" + "".join(f"{user},{item}\n" for user, item in train))
    (tmp_path / "test.csv").write_text("user,item\nbert,4\nbert,5\n")
    document = json.loads(recrun("data", "describe", ".", "valid_ratio=0", "--json").out)
    assert document["statistics"]["users_with_every_item"] == 1
    words = shlex.split(document["command"])
    assert words[:3] == ["recrun", "train", "ease"]
    assert recrun(*words[1:], "-q").code == 0
    outcome = recrun("train", "bprmf", *words[3:], "epochs=1", "early_stop_patience=null", "-q")
    assert outcome.code == 2
    assert "1 of 2 users have seen every item (the first: user anna)" in outcome.err
    assert json.loads(recrun("data", "describe", ".", "--json").out)["command"].startswith("recrun train bprmf")


def test_a_word_for_a_missing_id_is_answered_with_the_column_it_is_in(recrun: Run, tmp_path: Path) -> None:
    rows = "".join(f"{user},{item}\n" for user, item in PAIRS)
    (tmp_path / "rows.csv").write_text(f"uid,item\n{rows}NULL,3\n")
    options = ("popularity", "dataset=File", "root=.", "path=rows.csv", "user_column=uid", "-q")
    outcome = recrun("train", *options)
    assert outcome.code == 2
    assert "(a missing value?); drop_missing=[uid] leaves such rows out" in outcome.err
    assert recrun("train", *options, "drop_missing=[uid]").code == 0


def test_generated_clicks_are_for_a_model_of_labels(recrun: Run) -> None:
    command = json.loads(recrun("data", "describe", "SyntheticClicks", "n_rows=4000", "--json").out)["command"]
    assert command == "recrun train deepfm dataset=SyntheticClicks n_rows=4000"
    assert recrun(*shlex.split(command)[1:], "--dry-run").code == 0


@pytest.mark.parametrize("separator", [",", "|", ";", ":", "\t", " ", "::"])
def test_a_separator_needs_no_quotes_but_the_shells(recrun: Run, tmp_path: Path, separator: str) -> None:
    lines = (f'{user}{separator}{item}{separator}5" disk\n' for user, item in PAIRS)
    (tmp_path / "rows.txt").write_text("".join(lines))
    outcome = recrun("data", "describe", "rows.txt", "format=tsv", f"separator={separator}", "rating_column=", "--json")
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert document["config"]["separator"] == separator
    words = shlex.split(document["command"])
    outcome = recrun(*words[1:], "--dry-run", "device=cpu")
    assert outcome.code == 0, outcome.err
