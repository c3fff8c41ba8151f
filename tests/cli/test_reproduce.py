"""`recrun reproduce`: a run is run again, and every number compared."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import OWN

SMALL = [
    "batch_size=128",
    "embedding_dim=8",
    "lr=0.02",
    "epochs=2",
    "monitors=[ndcg@5]",
    "which4best=ndcg@5",
    "device=cpu",
    "verbose=0",
]
SYNTHETIC = ["n_users=60", "n_items=40", "n_interactions=900", *SMALL]


def _ratings(folder: Path) -> Path:
    rng = random.Random(0)
    pairs = {(rng.randrange(40), rng.randrange(30)) for _ in range(600)}
    file = folder / "ratings.csv"
    file.write_text("user,item\n" + "".join(f"{user},{item}\n" for user, item in sorted(pairs)), encoding="utf-8")
    return file


def test_a_run_is_reproduced_in_a_folder_of_its_own(recrun: Callable[..., Any], tmp_path: Path) -> None:
    assert recrun("train", "bprmf", *SYNTHETIC).code == 0
    run = (tmp_path / "runs/latest").resolve()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    outcome = recrun("reproduce", str(run), "--json", "-q")
    assert outcome.code == 0, outcome.err
    document = json.loads(outcome.out)
    assert document["equal"] is True
    assert document["differences"] == document["reasons"] == []
    # valid and test, best epoch, criterion, epochs, users (valid, test, skipped); 3 valid, 2 train, 1 test line
    assert document["compared"] == 2 + 3 + 3 + 6
    assert Path(document["reproduction"]) != run
    assert Path(document["reproduction"]).parent == run.parent
    assert (run / "summary/curves.png").exists()
    assert not list(Path(document["reproduction"]).glob("summary/*.png")), "it draws no plots"
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    outcome = recrun("reproduce", str(run), "-q", "--runs", "others")
    assert outcome.out.startswith("reproduced: all 14 numbers are equal, in ")
    assert list((tmp_path / "others").glob("bprmf/Synthetic/*/metrics.json"))


def test_a_closed_form_model_is_reproduced(recrun: Callable[..., Any]) -> None:
    assert recrun("train", "ease", "n_users=60", "n_items=40", "n_interactions=900", "verbose=0").code == 0
    assert recrun("reproduce", "runs/latest", "-q").code == 0


def test_a_run_whose_project_has_moved_is_reproduced_from_the_new_root(
    recrun: Callable[..., Any], tmp_path: Path
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    file = _ratings(before)
    assert recrun("train", "bprmf", "dataset=File", f"root={before}", f"path={file.name}", *SMALL).code == 0
    before.rename(after)
    outcome = recrun("reproduce", "runs/latest", "-q")
    assert (outcome.code, f"File is not at root={before}" in outcome.err) == (2, True)
    outcome = recrun("reproduce", "runs/latest", f"root={after}", "device=cpu", "threads=1", "-q")
    assert outcome.code == 0, outcome.err


def test_a_setting_that_affects_results_cannot_be_changed(recrun: Callable[..., Any], tmp_path: Path) -> None:
    assert recrun("train", "bprmf", *SYNTHETIC, "id=a").code == 0
    outcome = recrun("reproduce", "runs/latest", "lr=0.1", "seed=2", "root=.")
    assert outcome.code == 2
    lines = outcome.err.splitlines()
    assert [line.split(": ")[2] for line in lines] == ["lr", "seed"]
    assert all(
        "cannot be changed when a run is reproduced; can be changed: device, threads, " in line for line in lines
    )
    assert [path.name for path in (tmp_path / "runs/bprmf/Synthetic").iterdir()] == ["a"]


def test_one_changed_byte_in_the_data_is_named_with_its_file(recrun: Callable[..., Any], tmp_path: Path) -> None:
    file = _ratings(tmp_path)
    assert recrun("train", "bprmf", "dataset=File", f"root={tmp_path}", f"path={file.name}", *SMALL).code == 0
    content = file.read_bytes()
    file.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    outcome = recrun("reproduce", "runs/latest", "-q", "--json")
    assert outcome.code == 1
    document = json.loads(outcome.out)
    assert (document["equal"], document["reproduction"]) == (False, None)
    assert any("the file ratings.csv has changed (SHA-256 " in reason for reason in document["reasons"])
    assert len(list((tmp_path / "runs/bprmf/File").iterdir())) == 1, "nothing was trained"
    outcome = recrun("reproduce", "runs/latest", "-q")
    assert outcome.code == 1
    assert "not reproduced: what it was made from has changed, so nothing was trained" in outcome.out
    assert "data: the file ratings.csv has changed" in outcome.out
    file.write_bytes(content)
    assert recrun("reproduce", "runs/latest", "-q").code == 0


def test_numbers_that_differ_are_shown_with_what_has_changed(
    recrun: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    assert recrun("train", "bprmf", "model=./own.py:Own", *SYNTHETIC).code == 0
    run = (tmp_path / "runs/latest").resolve()
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    record["versions"]["torch"] = "1.0"
    record["hardware"]["processor"] = "another"
    record["git"] = {"commit": "0" * 40, "dirty": False, "changes": None}
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    (tmp_path / "own.py").write_text(
        OWN.replace("return self.users.weight,", "return self.users.weight.flip(1),"), encoding="utf-8"
    )
    for name in [name for name in sys.modules if name.startswith("recrun_user_")]:
        monkeypatch.delitem(sys.modules, name)  # another process would import the file anew
    outcome = recrun("reproduce", str(run), "-q", "--json")
    assert outcome.code == 1, outcome.err
    document = json.loads(outcome.out)
    reasons = "\n".join(document["reasons"])
    assert f"code: {tmp_path / 'own.py'} has changed" in reasons
    assert f"code: recrun was at commit {'0' * 40} then" in reasons
    assert "versions: torch 1.0 then, " in reasons
    assert "hardware: processor another then, " in reasons
    assert {"valid ndcg@5", "test ndcg@5"} <= {each["where"] for each in document["differences"]}
    outcome = recrun("reproduce", str(run), "-q")
    assert outcome.code == 1
    assert "numbers differ" in outcome.out
    assert "changed since then:" in outcome.out


def test_a_run_computes_again_with_its_own_threads_and_device(recrun: Callable[..., Any], tmp_path: Path) -> None:
    options = [option for option in SYNTHETIC if not option.startswith("device")]
    assert recrun("train", "bprmf", *options, "threads=2", "device=cpu").code == 0
    run = (tmp_path / "runs/latest").resolve()
    config = (run / "config.yaml").read_text(encoding="utf-8")
    config = config.replace("threads: 2", "threads: null").replace("device: cpu", "device: auto")
    (run / "config.yaml").write_text(config, encoding="utf-8")
    outcome = recrun("reproduce", str(run), "-q", "--json")
    assert outcome.code == 0, outcome.err
    again = Path(json.loads(outcome.out)["reproduction"])
    config = (again / "config.yaml").read_text(encoding="utf-8")
    assert "threads: 2" in config
    assert "device: cpu" in config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "interrupted"}, "is not finished (status: interrupted): it has no final metrics"),
        ({"schema_version": 99}, "upgrade recrun"),
    ],
)
def test_a_run_without_numbers_is_refused(
    recrun: Callable[..., Any], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    assert recrun("train", "popularity", "n_users=60", "n_items=40", "n_interactions=900", "verbose=0").code == 0
    file = tmp_path / "runs/latest/run.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **change}), encoding="utf-8")
    outcome = recrun("reproduce", "runs/latest")
    assert outcome.code == 2
    assert message in outcome.err
    assert recrun("reproduce", "nowhere").code == 2
