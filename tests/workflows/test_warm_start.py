"""A model that starts from a trained run: with the same values of the same users and items, and checked beforehand."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recrun.config.resolve import resolve
from recrun.errors import ConfigError, RecrunError
from recrun.registry import MODELS
from recrun.runs.checkpoint import load_checkpoint, save_checkpoint
from recrun.runs.folder import RunFolder
from recrun.runs.history import read_history
from recrun.runs.ids import ids_file, read_ids
from recrun.training.coach import Coach
from recrun.upkeep.remove import plan_removal
from recrun.workflows.build import prepare
from recrun.workflows.checked_subject import Subject
from recrun.workflows.dry_run.estimate import estimate
from recrun.workflows.reproduce import reproduce

SMALL = ["device=cpu", "threads=1", "verbose=0", "plots=false", "batch_size=128"]
GENERATED = ["dataset=Synthetic", "n_users=60", "n_items=40", "n_interactions=900"]
TRAINED = [name for name in MODELS.names() if Subject(name).family.trains]
RANKING = [name for name in TRAINED if Subject(name).family.evaluation == "ranking"]


def _coach(runs: Path, model: str, *options: str, run: RunFolder | None = None) -> Coach:
    """Return what trains a model; of several options of one setting, the last one counts."""
    given = {each.partition("=")[0]: each for each in (*SMALL, *options)}
    resolved = resolve(model, list(given.values()))
    return prepare(resolved, runs=runs, run=run, reporters=lambda run, epoch: [])


def _trained(runs: Path, model: str, *options: str) -> RunFolder:
    coach = _coach(runs, model, *options)
    coach.fit()
    return coach.run


def _write(path: Path, rows: Sequence[tuple[str | int, str | int]]) -> None:
    text = "".join(f"{user},{item},{time}\n" for time, (user, item) in enumerate(rows))
    path.write_text(f"user,item,time\n{text}", encoding="utf-8")


def _pairs(users: Sequence[str], items: Sequence[str], seed: int, share: float = 0.4) -> list[tuple[str, str]]:
    rng = np.random.default_rng(seed)
    pairs = [(user, item) for user in users for item in items if rng.random() < share]
    return [pairs[place] for place in rng.permutation(len(pairs))]


USERS, ITEMS = [f"u{n}" for n in range(30)], [f"i{n}" for n in range(20)]
"""Ids as text: users and items of grown data sort among them, so that all numbers change."""
MORE_USERS, MORE_ITEMS = ["a", "u05", "u2x", "z"], ["b", "i05"]
OF_FILE = ["dataset=File", "split=ratio", "embedding_dim=8", "lr=0.05", "epochs=3"]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run on generated data."""
    runs = tmp_path_factory.mktemp("generated")
    return _trained(runs, "bprmf", *GENERATED, "embedding_dim=8", "epochs=3", "lr=0.05")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run on a file, which grows afterwards."""
    folder = tmp_path_factory.mktemp("before")
    _write(folder / "rows.csv", _pairs(USERS, ITEMS, seed=1))
    return _trained(folder / "runs", "bprmf", *OF_FILE, f"root={folder}", "path=rows.csv")


@pytest.fixture
def grown(before: RunFolder, tmp_path: Path) -> list[str]:
    """Options of a run on the file with more rows, users and items, and without some of those before."""
    users, items = USERS[5:] + MORE_USERS, ITEMS[2:] + MORE_ITEMS
    _write(tmp_path / "rows.csv", _pairs(users, items, seed=2))
    return [*OF_FILE, f"root={tmp_path}", "path=rows.csv"]


@pytest.mark.parametrize("model", RANKING)
def test_on_the_same_data_the_first_evaluation_is_the_last_one_to_the_last_digit(tmp_path: Path, model: str) -> None:
    lengths = [each.default for each in MODELS.describe(model).parameters if each.name == "max_length"]
    short = ["max_length=12"] if lengths > [12] else []
    options = [*GENERATED, *short, "epochs=2", "lr=0.01"]
    run = _trained(tmp_path / "runs", model, *options)
    valid = json.loads(run.metrics_file.read_text())["valid"]
    again = _coach(tmp_path / "runs", model, *options, f"init_from={run.path}", "seed=7", "epochs=1")
    again.fit()
    first = next(iter(read_history(again.run.metrics_lines_file)))
    assert (first["epoch"], first["split"]) == (0, "valid")
    assert first["values"] == valid
    origin = again.run.read_run()["init_from"]
    assert origin["tensors"]["kept"] == []
    assert all(counts["new"] == counts["left_out"] == 0 for counts in (origin[key] for key in ("items",)))


def test_models_that_predict_labels_are_refused_before_anything_is_read() -> None:
    for model in set(TRAINED) - set(RANKING):
        with pytest.raises(ConfigError, match=r"init_from: does not apply to model \w+, which is trained on labels"):
            resolve(model, ["init_from=nowhere"])


@pytest.mark.parametrize("model", ["ials", "ease"])
def test_models_that_are_fitted_in_closed_form_are_refused(model: str) -> None:
    with pytest.raises(ConfigError, match=r"init_from: model \w+ is fitted in closed form"):
        resolve(model, ["init_from=nowhere"])


@pytest.mark.parametrize("model", ["bprmf", "lightgcn", "sasrec", "bert4rec", "multvae"])
def test_rows_go_by_original_id_and_new_ones_are_drawn_as_ever(
    tmp_path: Path, before: RunFolder, grown: list[str], model: str
) -> None:
    given = [each for each in grown if model != "multvae" or "embedding_dim" not in each]
    given += ["shuffled_time=true"] if model in ("sasrec", "bert4rec") else []
    data = [f"root={before.read_settings()['root']}"]
    run = before if model == "bprmf" else _trained(tmp_path / "runs", model, *given, *data)
    coach = _coach(tmp_path / "runs", model, *given, f"init_from={run.path}")
    fresh = _coach(tmp_path / "runs", model, *given).model.state_dict()
    assert coach.origin is not None
    base, state = coach.dataset.base, coach.model.state_dict()
    old_ids, old = read_ids(run.checkpoint_file("best")), load_checkpoint(run.checkpoint_file("best"))["model"]
    assert old_ids is not None
    known = {kind: {each: row for row, each in enumerate(old_ids.of(kind).tolist())} for kind in ("user", "item")}
    assert coach.origin["items"] == {"taken": 18, "of": 20, "new": 2, "left_out": 2}
    checked = 0
    for name in coach.origin["tensors"]["rows"]:
        kind = "user" if "user" in name else "item"
        for row, each in enumerate(getattr(base, f"{kind}_ids").tolist()):
            expected = old[name][known[kind][each]] if each in known[kind] else fresh[name][row]
            assert torch.equal(state[name][row], expected), (name, each)
            checked += 1
    assert checked
    if model == "bert4rec":
        assert torch.equal(state["items.weight"][-1], old["items.weight"][-1]), "the mask"
    for name in coach.origin["tensors"]["whole"]:
        assert torch.equal(state[name], old[name])
    if model == "bprmf":
        assert coach.origin["users"] == {"taken": 25, "of": 30, "new": 4, "left_out": 5}
        assert "users: 25 of 30 taken, 4 new, 5 left out; items: 18 of 20 taken, 2 new, 2 left out" in coach.notes[0]
        assert any("it was trained on other rows than these" in note for note in coach.notes)
    coach.fit()


def test_items_can_be_taken_without_users(before: RunFolder, grown: list[str], tmp_path: Path) -> None:
    coach = _coach(tmp_path, "bprmf", *grown, f"init_from={before.path}", "init_match=items")
    assert coach.origin is not None
    assert "users" not in coach.origin
    assert coach.origin["tensors"] == {
        "rows": ["tokenizer.embeddings.item.weight"],
        "whole": [],
        "kept": ["tokenizer.embeddings.user.weight"],
    }
    fresh = _coach(tmp_path, "bprmf", *grown).model.state_dict()
    name = "tokenizer.embeddings.user.weight"
    assert torch.equal(coach.model.state_dict()[name], fresh[name])


def test_everything_is_recorded_and_shown(before: RunFolder, grown: list[str], tmp_path: Path) -> None:
    resolved = resolve("bprmf", [*SMALL, *grown, f"init_from={before.path}", "similarity=cosine"])
    document = estimate(resolved)
    assert not list(tmp_path.rglob("run.json")), "a plan makes nothing"
    run = _trained(tmp_path / "runs", "bprmf", *grown, f"init_from={before.path}", "similarity=cosine")
    record = run.read_run()
    assert record["init_from"] == document["init_from"]
    assert record["init_from"]["run"] == str(before.path)
    assert record["init_from"]["settings"] == {"similarity": {"was": "dot", "now": "cosine"}}
    assert record["init_from"]["epoch"] == json.loads(before.metrics_file.read_text())["best_epoch"]
    told = [note for note in record["notes"] if "init_from" in note]
    assert [note for note in document["notes"] if "init_from" in note] == told
    assert "init_from: other settings of the model than there: similarity was dot, is cosine" in told
    assert run.read_settings()["init_from"] == str(before.path)


def test_latest_stands_for_the_run_that_it_is_now(
    generated: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(generated.path.parents[2], tmp_path / "runs", symlinks=True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/latest").symlink_to(generated.path.relative_to(generated.path.parents[2]))
    coach = _coach(tmp_path / "runs", "bprmf", *GENERATED, "embedding_dim=8", "init_from=runs/latest")
    coach.fit()
    named = tmp_path / "runs" / generated.path.relative_to(generated.path.parents[2])
    assert coach.run.read_settings()["init_from"] == str(named)
    with pytest.raises(ConfigError, match="as latest moves; name the run itself"):
        resolve("bprmf", ["init_from=runs/latest", "resume=true"])


def test_a_resumed_run_needs_the_run_that_it_started_from_no_more(generated: RunFolder, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(generated.path, source)
    options = [*GENERATED, "embedding_dim=8", f"init_from={source}", "epochs=2"]
    whole = _trained(tmp_path / "whole", "bprmf", *options, "epochs=4")
    half = _coach(tmp_path / "half", "bprmf", *options)
    half.fit()
    shutil.rmtree(source)
    again = _coach(tmp_path / "half", "bprmf", *options, "epochs=4", run=half.run)
    again.fit()
    ends = [load_checkpoint(run.checkpoint_file("last"))["model"] for run in (whole, again.run)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert again.run.read_run()["init_from"]["sha256"] == whole.read_run()["init_from"]["sha256"]
    with pytest.raises(ConfigError, match=f"there is nothing at {source}"):
        _coach(tmp_path / "half", "bprmf", *options)


def test_a_run_that_begins_again_begins_from_the_same_values(generated: RunFolder, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(generated.path, source)
    options = [*GENERATED, "embedding_dim=8", f"init_from={source}"]
    coach = _coach(tmp_path / "runs", "bprmf", *options, "epochs=1")
    coach.fit()
    coach.run.checkpoint_file("last").unlink()
    coach.run.update_run(status="interrupted")
    coach.run.metrics_file.unlink()
    assert _coach(tmp_path / "runs", "bprmf", *options, "epochs=1", run=coach.run).origin == coach.origin
    file = RunFolder(source).checkpoint_file("best")
    save_checkpoint(file, {**load_checkpoint(file), "epoch": 99})
    with pytest.raises(ConfigError, match=r"has changed since the run .* started from it"):
        _coach(tmp_path / "runs", "bprmf", *options, "epochs=1", run=coach.run)


def test_a_run_is_reproduced_from_the_same_values_only(generated: RunFolder, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(generated.path, source)
    options = [*GENERATED, "embedding_dim=8", "epochs=2", f"init_from={source}"]
    run = _trained(tmp_path / "runs", "bprmf", *options)
    assert reproduce(run.path)["equal"]
    file = RunFolder(source).checkpoint_file("best")
    save_checkpoint(file, {**load_checkpoint(file), "epoch": 99})
    document = reproduce(run.path)
    assert (document["reproduction"], document["equal"]) == (None, False)
    assert document["reasons"][0].startswith(f"init_from: {file} has changed (SHA-256 ")
    save_checkpoint(file, {**load_checkpoint(file), "epoch": run.read_run()["init_from"]["epoch"]})
    source.rename(tmp_path / "moved")
    with pytest.raises(ConfigError, match="there is nothing at"):
        reproduce(run.path)
    assert reproduce(run.path, [f"init_from={tmp_path}/moved"])["equal"]
    with pytest.raises(ConfigError, match="init_from: cannot be changed when a run is reproduced"):
        reproduce(generated.path, [f"init_from={tmp_path}/moved"])


def test_a_run_that_another_one_started_from_is_removed_only_if_that_is_confirmed(
    before: RunFolder, grown: list[str], tmp_path: Path
) -> None:
    shutil.copytree(before.path.parents[2], tmp_path / "runs", symlinks=True)
    source = tmp_path / "runs" / before.path.relative_to(before.path.parents[2])
    run = _trained(tmp_path / "runs", "bprmf", *grown, f"init_from={source}")
    (item,) = plan_removal([str(source)], tmp_path / "runs")
    assert f"the run {run.path} names it" in item.reasons


def test_a_script_that_does_not_take_the_values_is_refused(generated: RunFolder, tmp_path: Path) -> None:
    coach = _coach(tmp_path, "bprmf", *GENERATED, "embedding_dim=8", f"init_from={generated.path}")
    coach.origin = None
    with pytest.raises(ConfigError, match="init_from: the model does not start from it"):
        coach.fit()
    assert not list(tmp_path.rglob("run.json"))


SIZES = [*GENERATED, "embedding_dim=8", "epochs=1"]


@pytest.mark.parametrize(
    ("model", "options", "messages"),
    [
        ("lightgcn", [], [r"lightgcn.yaml:\d+:\d+: model: the run .* is of model bprmf, this one of model lightgcn"]),
        (
            "bprmf",
            ["embedding_dim=4"],
            [
                r"^argument 12:11: init_from: the model of .* does not fit: .*user.weight is 60 x 8 there, 60 x 4 here",
                r"\nargument 10:15: embedding_dim: found 4, but the model that this one starts from has 8",
            ],
        ),
        ("bprmf", ["init_from=nowhere"], ["^argument 12:11: init_from: there is nothing at nowhere"]),
        (
            "bprmf",
            ["init_from=' '"],
            ["^argument 12:11: init_from: expected the path of a run or a checkpoint, found ' '"],
        ),
        (
            "sasrec",
            ["init_from=a", "init_match=none"],
            ["^argument 13:12: init_match: expected one of both, users, items"],
        ),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(
    generated: RunFolder, tmp_path: Path, model: str, options: list[str], messages: list[str]
) -> None:
    with pytest.raises(ConfigError) as error:
        _coach(tmp_path, model, *SIZES, f"init_from={generated.path}", *options)
    assert not list(tmp_path.rglob("run.json"))
    for message in messages:
        assert re.search(message, str(error.value)), str(error.value)


def test_a_model_without_rows_of_users_has_none_to_take(tmp_path: Path) -> None:
    run = _trained(tmp_path / "runs", "sasrec", *SIZES)
    with pytest.raises(ConfigError, match="init_match: model sasrec has no rows of users; those of items are left"):
        _coach(tmp_path / "runs", "sasrec", *SIZES, f"init_from={run.path}", "init_match=users")


def test_ids_of_another_kind_or_none_in_common_are_refused(before: RunFolder, tmp_path: Path) -> None:
    options = [*OF_FILE, f"root={tmp_path}", "path=rows.csv", f"init_from={before.path}"]
    _write(tmp_path / "rows.csv", _pairs([str(n) for n in range(30)], ITEMS, seed=3))
    with pytest.raises(ConfigError, match=r"ids of users are text in the run .*, and integers here, so that none is"):
        _coach(tmp_path / "runs", "bprmf", *options)
    assert _coach(tmp_path / "runs", "bprmf", *options, "init_match=items").origin is not None
    _write(tmp_path / "rows.csv", _pairs(USERS, [f"film {n}" for n in range(20)], seed=3))
    with pytest.raises(ConfigError, match=r"none of the 20 items .* \(ids: i0, i1, i10 there, film 0, film 1, film 10"):
        _coach(tmp_path / "runs", "bprmf", *options)
    assert _coach(tmp_path / "runs", "bprmf", *options, "init_match=users").origin is not None


def test_few_in_common_and_other_data_are_told(before: RunFolder, tmp_path: Path) -> None:
    users = [*USERS[:3], *(f"person {n}" for n in range(27))]
    _write(tmp_path / "others.csv", _pairs(users, ITEMS, seed=4))
    options = [*OF_FILE, f"root={tmp_path}", "path=others.csv", f"init_from={before.path}"]
    notes = _coach(tmp_path / "runs", "bprmf", *options).notes
    assert any("only 3 users are in common, of 30 there and 30 here" in note for note in notes)
    assert any("users of others.csv are taken to be those of rows.csv with the same ids" in note for note in notes)


def _without_ids(run: RunFolder, copy: Path) -> RunFolder:
    """Copy a run as an earlier version made it."""
    shutil.copytree(run.path, copy)
    ids_file(copy).unlink()
    return RunFolder(copy)


def test_a_run_of_an_earlier_version_has_the_ids_of_its_data_if_that_is_there(
    before: RunFolder, grown: list[str], tmp_path: Path
) -> None:
    old = _without_ids(before, tmp_path / "old")
    with_file = _coach(tmp_path / "runs", "bprmf", *grown, f"init_from={before.path}")
    coach = _coach(tmp_path / "runs", "bprmf", *grown, f"init_from={old.path}")
    states = [each.model.state_dict() for each in (with_file, coach)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    # A checkpoint alone, on just the data that it was trained on.
    alone = tmp_path / "alone.safetensors"
    shutil.copy(before.checkpoint_file("best"), alone)
    same = [*OF_FILE, f"root={before.read_settings()['root']}", "path=rows.csv", f"init_from={alone}"]
    origin = _coach(tmp_path / "runs", "bprmf", *same).origin
    assert origin is not None
    assert (origin["run"], origin["users"]["taken"]) == (None, 30)


def test_without_ids_and_data_a_run_cannot_be_started_from(grown: list[str], tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    _write(data / "rows.csv", _pairs(USERS, ITEMS, seed=1))
    run = _trained(tmp_path / "runs", "bprmf", *OF_FILE, f"root={data}", "path=rows.csv")
    ids_file(run.path).unlink()
    _write(data / "rows.csv", _pairs(USERS, ITEMS, seed=5))
    with pytest.raises(ConfigError, match=r"holds no original ids .* its data is there, but has changed; put the data"):
        _coach(tmp_path / "runs", "bprmf", *grown, f"init_from={run.path}")
    (data / "rows.csv").unlink()
    with pytest.raises(ConfigError, match=r"holds no original ids .*rows.csv"):
        _coach(tmp_path / "runs", "bprmf", *grown, f"init_from={run.path}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"t": 1}}, "is damaged: its model holds 't', which is no tensor"),
        ({"model": {"t": torch.tensor([1.0, torch.nan])}}, "cannot be started from: t holds NaN or infinity"),
        ({"model": {"t": torch.ones(1)}}, "does not fit: .*weight is not there; .*; t is there and not here"),
        ({"config": None}, "holds no model with its config"),
        ({"data": {"split": "other"}}, "the ids beside .* are of other data than its model"),
    ],
)
def test_a_strangers_checkpoint_is_checked(
    generated: RunFolder, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    shutil.copytree(generated.path, tmp_path / "run")
    file = RunFolder(tmp_path / "run").checkpoint_file("best")
    save_checkpoint(file, {**load_checkpoint(file), **change})
    with pytest.raises(ConfigError, match=message):
        _coach(tmp_path / "runs", "bprmf", *SIZES, f"init_from={tmp_path}/run")


def test_a_state_of_other_sizes_than_its_ids_is_refused(generated: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(generated.path, tmp_path / "run")
    file = RunFolder(tmp_path / "run").checkpoint_file("best")
    content = load_checkpoint(file)
    content["model"] = {name: tensor[:-1].clone() for name, tensor in content["model"].items()}
    save_checkpoint(file, content)
    with pytest.raises(ConfigError, match="is 59 x 8 there, which does not fit 60 users, 40 items"):
        _coach(tmp_path / "runs", "bprmf", *SIZES, f"init_from={tmp_path}/run")


def test_code_that_a_strangers_run_names_is_not_run(grown: list[str], before: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("raise SystemExit('it was run')\n", encoding="utf-8")
    old = _without_ids(before, tmp_path / "old")
    file = old.checkpoint_file("best")
    content = load_checkpoint(file)
    content["config"]["dataset"] = f"{tmp_path}/bad.py:Data"
    save_checkpoint(file, content)
    with pytest.raises(ConfigError, match="its data is read by code that you have not run here before"):
        _coach(tmp_path / "runs", "bprmf", *grown, f"init_from={old.path}")
    content["config"]["model"] = f"{tmp_path}/bad.py:Model"
    save_checkpoint(file, content)
    with pytest.raises(ConfigError, match="is of model Model, this one of model bprmf"):
        _coach(tmp_path / "runs", "bprmf", *grown, f"init_from={old.path}")


OWN = """
import torch
from recrun.architectures import RecSysArch


class Own(RecSysArch):
    \"\"\"Score by embeddings of which the first item's is padding.\"\"\"

    {declared}

    def __init__(self, data) -> None:
        super().__init__()
        self.users = torch.nn.Embedding(data.n_users, 8)
        self.items = torch.nn.Embedding(data.n_items + 1, 8, padding_idx=0)

    def vectors(self):
        return self.users.weight, self.items.weight[1:]

    def forward(self, users, items):
        return (self.users(users) * self.items(items + 1)).sum(-1)
"""


def test_a_model_of_the_users_own_declares_what_is_not_certain(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN.format(declared=""), encoding="utf-8")
    options = [*GENERATED, "epochs=1", "loss=bpr"]
    config = tmp_path / "own.yaml"
    config.write_text(f"model: {file}:Own\n", encoding="utf-8")
    run = _trained(tmp_path / "runs", str(config), *options)
    with pytest.raises(
        ConfigError, match=r"items.weight \(41 x 8\) of Own .*tensor_axes = {'items.weight': 'item\+1'}"
    ):
        _coach(tmp_path / "runs", str(config), *options, f"init_from={run.path}")
    (tmp_path / "declared").mkdir()
    declared = tmp_path / "declared/own.py"
    declared.write_text(OWN.format(declared='tensor_axes = {"items.weight": "1+item"}'), encoding="utf-8")
    config.write_text(f"model: {declared}:Own\n", encoding="utf-8")
    coach = _coach(tmp_path / "runs", str(config), *options, f"init_from={run.path}")
    theirs = load_checkpoint(run.checkpoint_file("best"))["model"]
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in coach.model.state_dict().items())


def test_an_error_of_reading_is_one_of_recrun(generated: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(generated.path, tmp_path / "run")
    file = RunFolder(tmp_path / "run").checkpoint_file("best")
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(RecrunError, match="is damaged or not a checkpoint"):
        _coach(tmp_path / "runs", "bprmf", *SIZES, f"init_from={tmp_path}/run")
