"""`train_on: train_valid`: models of every family are trained as if train and valid were one part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recrun.config.resolve import resolve
from recrun.data.datasets.synthetic import Synthetic
from recrun.errors import ConfigError
from recrun.registry import MODELS
from recrun.runs.folder import RunFolder
from recrun.training.coach import Coach
from recrun.workflows.build import prepare
from recrun.workflows.checked_subject import Subject
from recrun.workflows.evaluate import evaluate
from recrun.workflows.recommender import open_recommender

SMALL = ["device=cpu", "threads=1", "verbose=0", "plots=false"]
TRAINED = ["batch_size=128", "epochs=2"]
RANKING = [name for name in MODELS.names() if Subject(name).family.evaluation == "ranking"]


def _coach(runs: Path, model: str, *options: str, run: RunFolder | None = None) -> Coach:
    given = [*SMALL, *(TRAINED if Subject(model).family.trains else []), *options]
    defaults = {each.name: each.default for each in MODELS.describe(model).parameters}
    sizes = {"embedding_dim": 8, "max_length": 12}
    given += [f"{name}={size}" for name, size in sizes.items() if defaults.get(name, 1) > size]
    return prepare(resolve(model, given), runs=runs, run=run, reporters=lambda run, epoch: [])


def _write_parts(folder: Path) -> list[str]:
    """Write the parts of a data set by time, once as three and once with train and valid in one."""
    data = Synthetic(n_users=60, n_items=40, n_interactions=900)
    rng = np.random.default_rng(5)
    rows: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    pairs = {(int(u), int(i)) for part in rows for u, i in zip(*_columns(data, part), strict=True)}
    for user in range(60):
        items = rng.permutation(sorted(item for of, item in pairs if of == user))
        for time, item in enumerate(items.tolist()):
            part = "test" if time == len(items) - 1 else "valid" if time >= len(items) - 3 else "train"
            rows[part].append(f"{user},{item},{1000 * time}")
    for name, lines in (*rows.items(), ("both", rows["train"] + rows["valid"])):
        (folder / f"{name}.csv").write_text("user,item,time\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return ["dataset=File", f"root={folder}", "test_path=test.csv", "time_column=time"]


def _vectors(folder: Path, model: str) -> list[str]:
    if not MODELS.describe(model).traits.item_vectors:
        return []
    np.save(folder / "text.npy", np.random.default_rng(3).standard_normal((40, 6)))
    (folder / "text.ids").write_text("\n".join(map(str, range(40))), encoding="utf-8")
    return ["item_vectors=[text.npy]"]


def _columns(data: Synthetic, part: Any) -> tuple[np.ndarray, np.ndarray]:
    rows = data.interactions(part)
    return rows.users, rows.items


@pytest.mark.parametrize("model", RANKING)
def test_a_model_is_the_one_trained_on_a_train_part_that_holds_both(tmp_path: Path, model: str) -> None:
    files = [*_write_parts(tmp_path), *_vectors(tmp_path, model)]
    joined = _coach(tmp_path / "joined", model, *files, "train_path=both.csv", "valid_ratio=0").fit()
    parts = ["train_path=train.csv", "valid_path=valid.csv"]
    found = _coach(tmp_path / "runs", model, *files, *parts, "train_on=train_valid").fit()
    assert found["test"] == joined["test"]
    assert found["valid"] is None
    assert found["users"] == joined["users"]
    assert found["best_epoch"] == found["epochs"] == joined["epochs"]


def test_the_users_of_test_are_those_of_a_run_that_is_validated(tmp_path: Path) -> None:
    files = [*_write_parts(tmp_path), "train_path=train.csv", "valid_path=valid.csv"]
    users = [
        _coach(tmp_path / name, "bprmf", *files, *options).fit()["users"]
        for name, options in (("plain", ()), ("runs", ("train_on=train_valid",)))
    ]
    assert users[0]["test"] == users[1]["test"]
    assert set(users[0]) - set(users[1]) == {"valid"}


def test_a_model_of_labels_is_the_one_trained_on_a_train_part_that_holds_both(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    lines = [f"{rng.integers(9)},{rng.normal():.4f},{rng.integers(2)}" for _ in range(400)]
    parts = {"train": lines[:250], "valid": lines[250:300], "both": lines[:300], "test": lines[300:]}
    for name, rows in parts.items():
        (tmp_path / f"{name}.csv").write_text("kind,amount,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    files = ["dataset=LabelledFile", f"root={tmp_path}", "test_path=test.csv"]
    files += ["sparse_columns=[kind]", "dense_columns=[amount]", "monitors=[auc]"]
    joined = _coach(tmp_path / "joined", "deepfm", *files, "train_path=both.csv", "valid_ratio=0").fit()
    own = ["train_path=train.csv", "valid_path=valid.csv", "train_on=train_valid"]
    assert _coach(tmp_path / "runs", "deepfm", *files, *own).fit()["test"] == joined["test"]


def test_an_interrupted_run_continues_to_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ["dataset=Synthetic", "n_users=60", "n_items=40", "n_interactions=900", "train_on=train_valid"]
    whole = _coach(tmp_path / "whole", "bprmf", *settings, "id=a").fit()
    after_step = Coach._after_step

    def stop(coach: Coach, step: int) -> None:
        coach._interrupts.requested = coach.state.epoch == 1
        after_step(coach, step)

    coach = _coach(tmp_path / "parts", "bprmf", *settings, "id=a")
    with monkeypatch.context() as patch:
        patch.setattr(Coach, "_after_step", stop)
        with pytest.raises(KeyboardInterrupt):
            coach.fit()
    again = _coach(tmp_path / "parts", "bprmf", *settings, run=coach.run).fit()
    assert again["test"] == whole["test"]
    assert again["epochs"] == 2
    record = json.loads((coach.run.path / "run.json").read_text(encoding="utf-8"))
    assert len(record["test_evaluations"]) == 1


def test_what_was_trained_on_is_not_evaluated_or_recommended_as_of_before_it(tmp_path: Path) -> None:
    settings = ["dataset=Synthetic", "n_users=60", "n_items=40", "n_interactions=900", "train_on=train_valid"]
    coach = _coach(tmp_path, "bprmf", *settings)
    result = coach.fit()
    with pytest.raises(ConfigError, match=r"was trained on valid \(train_on: train_valid\); use --split test"):
        evaluate(coach.run.path, ["device=cpu"], split="valid")
    assert evaluate(coach.run.path, ["device=cpu"], split="test")["metrics"] == pytest.approx(result["test"])
    with pytest.raises(ConfigError, match="does not recommend as of before that; use as of test, or end"):
        open_recommender(coach.run.path, ["device=cpu"], as_of="valid")
    recommender, _ = open_recommender(coach.run.path, ["device=cpu"], as_of="test")
    plain = Synthetic(n_users=60, n_items=40, n_interactions=900)
    assert np.array_equal(recommender.seen.indices, plain.seen("test").indices)


def test_a_run_that_validates_is_warned_of_a_start_that_was_trained_on_valid(tmp_path: Path) -> None:
    settings = ["dataset=Synthetic", "n_users=60", "n_items=40", "n_interactions=900"]
    start = _coach(tmp_path, "bprmf", *settings, "train_on=train_valid")
    start.fit()
    told = "init_from: it was trained on valid too"
    validated = _coach(tmp_path, "bprmf", *settings, f"init_from={start.run.path}")
    assert any(note.startswith(told) for note in validated.notes)
    final = _coach(tmp_path, "bprmf", *settings, f"init_from={start.run.path}", "train_on=train_valid")
    assert not any(note.startswith(told) for note in final.notes)


def test_data_of_a_script_that_does_not_train_on_valid_is_refused(tmp_path: Path) -> None:
    coach = _coach(tmp_path, "bprmf", "dataset=Synthetic", "n_users=60", "n_items=40", "n_interactions=900")
    config = resolve("bprmf", ["train_on=train_valid", "device=cpu", "plots=false"]).config
    with pytest.raises(ConfigError, match="train_on: the data is not made for it"):
        coach.compile(config, ["ndcg@20"], runs=tmp_path)
