"""A command line that cannot be understood is answered with the one that was probably meant."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ANSWERS = {
    "train lr = 1e-3": "write no blanks around '=': lr=1e-3",
    "train lr= 1e-3": "write no blanks around '=': lr=1e-3",
    "train bprmf lr =1e-3": "write no blanks around '=': lr=1e-3",
    "sweep bprmf lr = 1e-3,1e-4": "write no blanks around '=': lr=1e-3,1e-4",
    "train 'monitors=[recall@10,' 'ndcg@10]'": "put an argument with blanks in quotes: 'monitors=[recall@10, ndcg@10]'",
    "train epochs 10": "a setting is given as KEY=VALUE: epochs=10",
    "train bprmf epochs 10": "a setting is given as KEY=VALUE: epochs=10",
    "train --lr 1e-3": "'--lr'; a setting is given as KEY=VALUE, without dashes: lr=1e-3",
    "train --lr": "'--lr'; a setting is given as KEY=VALUE, without dashes: lr=...",
    "train -lr=1e-3": "'-l'; a setting is given as KEY=VALUE, without dashes: lr=1e-3",
    "train --learning-rate=1e-3": "; a setting is given as KEY=VALUE, without dashes: lr=1e-3",
    "train bprmf --epochs 10": "'--epochs'; a setting is given as KEY=VALUE, without dashes: epochs=10",
    "train --config a.yaml": "'--config'; CONFIG needs no option: recrun train a.yaml",
    "train --output-dir x": "the option is --runs: recrun train --runs x",
    "sweep --n-jobs 3 lr=1,2": "the option is --jobs: recrun sweep --jobs 3",
    "eval runs/latest": "names the run; write: recrun eval --checkpoint runs/latest",
    "eval runs/latest monitors=[auc]": "write: recrun eval --checkpoint runs/latest 'monitors=[auc]'",
    "eval": "Missing option '--checkpoint', which names the run; write: recrun eval --checkpoint RUN",
    "resume runs/latest": "no command 'resume'; write: recrun train --resume runs/latest.",
    "resume": "write: recrun train --resume RUN.",
    "test runs/latest": "no command 'test'; write: recrun eval --checkpoint runs/latest.",
    "evaluate": "write: recrun eval --checkpoint RUN.",
    "fit bprmf lr=1": "write: recrun train bprmf lr=1.",
    "predict": "write: recrun eval --checkpoint RUN to score a model (none writes predictions).",
    "tune lr=1,2": "write: recrun sweep lr=1,2.",
    "search lr=1,2": "write: recrun sweep lr=1,2.",
    "grid lr=1,2": "write: recrun sweep lr=1,2.",
    "bprmf lr=1": "write: recrun train bprmf lr=1.",
    "lr=1": "write: recrun train lr=1.",
    "mine.yaml": "write: recrun train mine.yaml.",
    "runs": "write: recrun list runs.",
    "loss": "write: recrun list losses.",
    "help": "write: recrun --help.",
    "download LastFM": "write: recrun data fetch LastFM.",
    "train monitors=recall@20": "found 'recall@20' (text); did you mean 'monitors=[recall@20]'?",
    "train lr=1e-3,1e-4": "found '1e-3,1e-4' (text); to try each value: recrun sweep lr=1e-3,1e-4",
    "train bprmf seed=1..3": "to try each value: recrun sweep bprmf seed=1..3",
    "train lr=0,001": "lr: expected a number > 0, found '0,001' (text); did you mean '0.001'?",
    "train split=[0.8,0.1,0.1]": "did you mean 'split=ratio test_ratio=0.1 valid_ratio=0.1'?",
    "train loss=bpr,bce": "unknown loss 'bpr,bce'; to try each value: recrun sweep loss=bpr,bce",
    "train 'lr=[1e-3, 1e-4]'": "[0.001, 0.0001] (a list); to try each value: recrun sweep lr=1e-3,1e-4",
    "sweep lr=[1e-3,1e-4]": "(a list); to try each value: recrun sweep lr=1e-3,1e-4",
    "sweep bprmf lr=[1e-3,1e-4] epochs=1,2": "to try each value: recrun sweep bprmf lr=1e-3,1e-4 epochs=1,2",
    "train bprmf lightgcn": "expected KEY=VALUE, found 'lightgcn'; did you mean 'model=lightgcn'?",
    "train bprmf lr": "expected KEY=VALUE, found 'lr'\n",
    "train bprmf LastFM": "expected KEY=VALUE, found 'LastFM'; did you mean 'dataset=LastFM'?",
    "train ./x.py:M": "a model of your own is named by a setting: model=./x.py:M",
    "train dataset=a.csv": "which the data set File reads; write dataset=File root=. path=a.csv",
    "train dataset=./b/a.zip": "File reads; write dataset=File root=./b path=a.zip",
    "train itemknn path=a.csv": "this run uses model itemknn, dataset Synthetic; add dataset=File",
    "train dataset=File path=a.txt": "set format (recrun list formats), or ask: recrun data describe FILE",
    "train model=x.py": "there is no file 'x.py', and a model of your own is written x.py:Name",
    "check x.py": "x.py is a file: there is no file 'x.py', and a model of your own is written x.py:Name",
    "check bprmf epochs=1": "argument 1:1: epochs: check trains for as long as its rules need; remove it",
    "check bprmf dataset=LastFM": "argument 1:1: dataset: check makes its own small data; remove it",
    "check bprmf embedding_dim=x": "argument 1:15: embedding_dim: expected an integer >= 1, found 'x' (text)",
    "list runs --runs ''": "expected the name of a folder, found nothing; write . for the working folder",
    "train bprmf --runs ''": "expected the name of a folder, found nothing; write . for the working folder",
    "sweep lr=1,2 --runs ' '": "expected the name of a folder, found nothing; write . for the working folder",
    "reproduce x --runs ''": "expected the name of a folder, found nothing; write . for the working folder",
    "train x.py": "a model of your own is named by a setting: model=x.py:Name",
}


@pytest.mark.parametrize("line", ANSWERS)
def test_a_command_line_is_answered_with_what_was_meant(recrun: Callable[..., Any], line: str) -> None:
    outcome = recrun(*shlex.split(line))
    assert (outcome.code, outcome.out) == (2, "")
    assert ANSWERS[line] in outcome.err
    assert outcome.is_untouched


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("my_mf", "did you mean 'my_mf.yaml'?"),
        ("my-mf", "did you mean 'my_mf.yaml'?"),
        ("my_mf.yml", "did you mean 'my_mf.yaml'?"),
        ("folder", "folder: is a folder; expected a YAML file; did you mean 'folder/only.yaml'?"),
        ("configs/mine", "did you mean 'configs/mine.yaml'?"),
        ("mine", "did you mean 'configs/mine.yaml'?"),
        ("configs/bprmf", "but 'configs/bprmf.yaml'; write the whole path, or 'bprmf'"),
        ("run", "is the folder of a run; continue it with --resume run, or train anew by its config: run/config.yaml"),
    ],
)
def test_a_config_without_its_ending_is_answered_with_its_path(
    recrun: Callable[..., Any], tmp_path: Path, name: str, answer: str
) -> None:
    for path in ("my_mf.yaml", "folder/only.yaml", "configs/mine.yaml", "configs/bprmf.yaml", "run/config.yaml"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("model: bprmf\n", encoding="utf-8")
    (tmp_path / "run" / "run.json").write_text("{}", encoding="utf-8")
    outcome = recrun("train", name)
    assert (outcome.code, outcome.out) == (2, "")
    assert answer in outcome.err


def test_a_setting_of_the_same_name_as_a_file_is_that_file(recrun: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "seed").write_text("model: bprmf\n", encoding="utf-8")
    assert recrun("train", "seed", "--print-config").code == 0


MINE = """
from recrun.architectures import RecSysArch
from recrun.registry import LOSSES

raise SystemExit("this file is not to be run")


class Own(RecSysArch):
    pass


class _Helper(RecSysArch):
    pass


class Other(Own):
    pass


class Plain:
    pass


@LOSSES.register("mine")
class Mine(Plain):
    pass
"""


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("check ./m.py", "./m.py is a file: write ./m.py:Own or ./m.py:Other"),
        ("show m.py", "m.py is a file: write m.py:Own or m.py:Other or m.py:Mine"),
        ("train model=./m.py", "found './m.py'; write ./m.py:Own or ./m.py:Other"),
        ("train loss=m.py", "found 'm.py'; write m.py:Mine"),
        ("train dataset=m.py", "found 'm.py'; write m.py:Name, with the name of the dataset in it; no dataset was"),
        ("train m.py", "named by a setting: model=m.py:Own or model=m.py:Other"),
        ("train f/c.yaml", "found 'o.py'; write o.py:Own or o.py:Other"),
    ],
)
def test_a_python_file_alone_is_answered_with_what_is_in_it(
    recrun: Callable[..., Any], tmp_path: Path, line: str, answer: str
) -> None:
    (tmp_path / "m.py").write_text(MINE, encoding="utf-8")
    (tmp_path / "f").mkdir()
    (tmp_path / "f/o.py").write_text(MINE, encoding="utf-8")
    (tmp_path / "f/c.yaml").write_text("model: o.py\n", encoding="utf-8")
    outcome = recrun(*shlex.split(line))
    assert (outcome.code, outcome.out) == (2, "")
    assert f"{answer}" in outcome.err
    assert outcome.is_untouched


def test_a_folder_of_runs_with_a_line_break_in_its_name_is_one_line(recrun: Callable[..., Any]) -> None:
    assert recrun("list", "runs", "--runs", "a\nb").err == "no runs in a\\nb\n"
