"""`recrun.train`: the settings of a run as Python values, checked as those of YAML are."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import recrun
from recrun.errors import CheckpointError, ConfigError
from recrun.training.stop_signals import Interrupted

pytestmark = pytest.mark.usefixtures("_in_tmp_path")


@pytest.fixture
def _in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _faults(*arguments: Any, **settings: Any) -> list[str]:
    with pytest.raises(ConfigError) as error:
        recrun.train(*arguments, **settings)
    assert not Path("runs").exists()
    return [str(fault) for fault in error.value.faults]


def test_a_run_is_that_of_the_command(small: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    from recrun.cli.main import main

    run = recrun.train("bprmf", epochs=2, id="python", lr=np.float64(1e-2), monitors=("recall@5", "ndcg@5"), **small)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("config: bprmf\n")
    assert "  test   recall@5" in told.err
    given = [f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in small.items()]
    with pytest.raises(SystemExit) as exit:
        main(["train", "bprmf", "epochs=2", "id=command", "lr=1e-2", "monitors=[recall@5,ndcg@5]", "-q", *given])
    assert exit.value.code == 0
    other = recrun.load("runs/bprmf/Synthetic/command")
    assert run.metrics == other.metrics
    assert dict(run.config) == dict(other.config)
    assert Path("runs/latest").resolve().name == "command"


def test_a_mapping_takes_the_place_of_a_file_and_keywords_override_it(small: dict[str, Any], tmp_path: Path) -> None:
    given = {"extends": "bprmf", **small, "epochs": 5, "lr": 1}
    run = recrun.train(given, epochs=1, runs=tmp_path / "elsewhere", progress=False)
    assert (run.config.epochs, run.config.lr, run.config.optimizer) == (1, 1.0, "adam")
    assert run.path.parent.parent.parent == tmp_path / "elsewhere"
    (tmp_path / "base.yaml").write_text("model: popularity\n")
    assert recrun.train({"extends": "base.yaml", **small}, progress=False).config.model == "popularity"


def test_all_faults_are_reported_together_each_by_its_keyword() -> None:
    *faults, last = _faults("bprmf", learnig_rate=1, epochs="ten", lr=[1e-3], monitors=["recal@10"], n_users={1})
    assert faults == [
        "n_users: expected a number, text, true or false, None, a list or a mapping, found a value of type set; a set "
        "has no order, so write a list",
        "learnig_rate: unknown setting; did you mean 'lr'?",
        "epochs: expected an integer >= 0, found 'ten' (text)",
        "lr: expected a number > 0, found [0.001] (a list); recrun.sweep tries each value of a list",
    ]
    assert last.startswith("monitors: unknown metric 'recal'")
    assert last.endswith("did you mean 'recall@10'?")
    assert _faults({"extends": "bprmf", "lr": True, 3: 4}) == [
        "the name of a setting must be text, found 3",
        "lr: expected a number > 0, found true (true or false)",
    ]
    assert _faults("bprmf", extends="lightgcn") == ["extends: belongs in a config; here, name the config itself"]


def test_the_faults_of_a_file_keep_their_positions(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("model: bprmf\nlr: fast\n")
    assert _faults("mine.yaml", epochs=-1) == [
        "epochs: expected an integer >= 0, found -1 (an integer)",
        "mine.yaml:2:5: lr: expected a number > 0, found 'fast' (text)",
    ]


class Model:
    """A class of this file."""


def test_a_class_is_named_by_its_file_so_that_the_run_can_be_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    here = str(Path(__file__).resolve())
    assert _faults("bprmf", model=Model) == [
        f"model: expected a name, found the class itself; write model={f'{here}:Model'!r}"
    ]
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))  # as in a notebook, it has no file
    made = type("Made", (), {"__module__": "__main__"})
    assert _faults("bprmf", model=made) == [
        "model: expected a name, found the class itself; write it to a file, in a notebook with %%writefile "
        "mymodel.py, and name it: model='./mymodel.py:Made'"
    ]
    from recrun.models.bprmf import BPRMF

    assert _faults("bprmf", model=BPRMF) == [
        "model: expected a name, found the class itself; write its registered name"
    ]


def test_training_leaves_the_random_numbers_of_the_caller_alone(small: dict[str, Any]) -> None:
    def drawn() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(1))

    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    expected = drawn()
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    first = recrun.train("bprmf", epochs=1, progress=False, **small)
    assert drawn() == expected
    assert recrun.train("bprmf", epochs=1, progress=False, **small).metrics == first.metrics
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    with pytest.raises(ConfigError):
        recrun.train("bprmf", epochs=1, progress=False, **{**small, "n_users": 1, "monitors": ["gauc@3"]})
    assert drawn() == expected


def test_nothing_is_printed_without_progress(small: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    run = recrun.train("bprmf", epochs=1, progress=False, **small)
    assert capfd.readouterr() == ("", "")
    assert run.config.verbose == 1


def test_an_unfinished_run_is_continued_where_it_was_interrupted(small: dict[str, Any]) -> None:
    whole = recrun.train("bprmf", epochs=30, id="whole", progress=False, **small)
    handler = signal.getsignal(signal.SIGINT)

    def interrupt() -> None:
        file = Path("runs/bprmf/Synthetic/b/metrics.jsonl")
        while not file.exists() or file.stat().st_size < 1000:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Interrupted) as error:
        recrun.train("bprmf", epochs=30, id="b", progress=False, **small)
    thread.join()
    path = os.path.join("runs", "bprmf", "Synthetic", "b")
    assert str(error.value) == f"interrupted; continue with: recrun.load({path!r}).resume()"
    assert signal.getsignal(signal.SIGINT) == handler
    run = recrun.load(path)
    assert run.status == "interrupted"
    with pytest.raises(CheckpointError, match=r"is not finished \(status: interrupted\)"):
        run.metrics  # noqa: B018
    assert 0 < len(run.history) < len(whole.history)
    assert run.resume(progress=False).metrics == whole.metrics
    columns = ["epoch", "split", "ndcg@20", "loss", "best"]
    assert run.history.select(columns).equals(whole.history.select(columns))


def test_a_run_pauses_and_goes_on_to_the_same_numbers(
    small: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = recrun.train("bprmf", epochs=6, id="whole", progress=False, **small)
    capsys.readouterr()
    run = recrun.train("bprmf", epochs=6, id="b", until=np.int64(2), **small)
    path = os.path.join("runs", "bprmf", "Synthetic", "b")
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"paused after the evaluation at epoch 2 of 6; continue with: recrun.load({path!r}).resume()"
    assert (run.status, run.history["epoch"].max()) == ("paused", 2)
    assert run.resume(until=4, progress=False).history["epoch"].max() == 4
    assert capsys.readouterr() == ("", "")
    assert run.resume(progress=False).metrics == whole.metrics
    columns = ["epoch", "split", "ndcg@20", "loss", "best"]
    assert run.history.select(columns).equals(whole.history.select(columns))
    with pytest.raises(ConfigError, match=r"is done after 6 epochs and cannot pause; remove until, or give it more ep"):
        run.resume(until=3)
    assert _until_is_refused(small) == "until must be an epoch, 1 or later, found 0"


def _until_is_refused(small: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as error:
        recrun.train("bprmf", id="c", until=0, **small)
    assert not Path("runs/bprmf/Synthetic/c").exists()
    return str(error.value)


def test_training_in_another_thread_works(small: dict[str, Any]) -> None:
    found: list[recrun.Run] = []
    thread = threading.Thread(target=lambda: found.append(recrun.train("bprmf", epochs=1, progress=False, **small)))
    thread.start()
    thread.join()
    assert found[0].status == "done"


@pytest.mark.slow
def test_a_request_to_stop_never_ends_the_process_of_the_caller(small: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import time\nfrom recrun.models.popularity import Popularity\n\n\n"
        "class Slow(Popularity):\n    def fit(self, data):\n        super().fit(data)\n"
        "        print('fits', flush=True)\n"
        "        for _ in range(50):\n            try:\n                time.sleep(0.1)\n"
        "            except KeyboardInterrupt:\n                pass\n"
    )
    code = (
        f"import recrun\ntry:\n    recrun.train({{'model': './slow.py:Slow', **{small!r}}}, progress=False)\n"
        "except KeyboardInterrupt:\n    print('the caller goes on')"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "fits\n"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (out, process.returncode) == ("the caller goes on\n", 0)
