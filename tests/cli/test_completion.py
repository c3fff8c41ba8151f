"""`recrun completion`: what each shell is offered, and real shells that complete."""

from __future__ import annotations

import os
import re
import select
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import modules_after

BREAKS = " \t\n\"'><=;|&(:"


@pytest.fixture
def bash(recrun: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Return what bash is offered for a line, without the help."""

    def complete(line: str) -> list[str]:
        monkeypatch.setenv("_RECRUN_COMPLETE", "bash_complete")
        monkeypatch.setenv("_RECRUN_LINE", line)
        monkeypatch.setenv("_RECRUN_BREAKS", BREAKS)
        outcome = recrun()
        assert (outcome.code, outcome.err) == (0, "")
        return [" ".join(each.split("\t")[:2]) for each in outcome.out.splitlines() if each]

    return complete


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("recrun tr", ["plain track", "plain train"]),
        ("recrun new mo", ["plain model"]),
        ("recrun train --re", ["plain --resume"]),
        ("recrun train bprm", ["plain bprmf"]),
        ("recrun train gowalla/ul", ["plain gowalla/ultragcn"]),
        ("recrun train bprmf model=ea", ["plain ease"]),
        ("recrun train loss=dir", ["plain directau"]),
        ("recrun train dataset=Gow", ["plain Gowalla_m1"]),
        ("recrun train optimizer=ada", ["plain adagrad", "plain adam", "plain adamw"]),
        ("recrun train lr_scheduler=c", ["plain cosine", "plain cosine_steps"]),
        ("recrun train sampler=d", ["plain dns"]),
        ("recrun train split=l", ["plain leave_k", "plain leave_one_out"]),
        ("recrun train device=c", ["plain cpu", "plain cuda"]),
        ("recrun train threads=a", ["plain auto"]),
        ("recrun train precision=b", ["plain bf16"]),
        ("recrun train benchmark=", ["plain true", "plain false"]),
        ("recrun train model=lightgcn n_l", ["open n_layers="]),
        ("recrun train lightgcn n_l", ["open n_layers="]),
        ("recrun train bprmf lr=1 lr", ["open lr_scheduler="]),
        ("recrun train monitors=", ["open [" ]),
        ("recrun train monitors=[nd", ["open [ndcg@10", "open [ndcg@20"]),
        ("recrun train monitors=[auc,ndcg@1", ["open [auc,ndcg@10", "open [auc,ndcg@100"]),
        ("recrun train which4best=mr", ["plain mrr@10", "plain mrr@20"]),
        ("recrun train 'which4best=mrr@2", ["plain which4best=mrr@20"]),
        ("recrun sweep bprmf loss=bpr,b", ["plain bpr,bce", "plain bpr,bpr_max", "plain bpr,bsl"]),
        ("recrun eval --checkpoint runs/latest devi", ["open device="]),
        ("recrun eval --checkpoint runs/la", ["plain runs/latest"]),
        ("recrun eval --checkpoint=runs/b", ["plain runs/bprmf/Synthetic/one", "open runs/bprmf/"]),
        ("recrun train --resume runs/bprmf/S", ["plain runs/bprmf/Synthetic/one", "open runs/bprmf/Synthetic/"]),
        ("recrun reproduce runs/la", ["plain runs/latest"]),
        ("recrun train --runs r", ["open runs/"]),
        ("recrun train mi", ["plain mine.yaml"]),
        ("recrun train ./mine", ["plain ./mine.yaml"]),
        ("recrun train model=./m", ["plain ./my_mf.py"]),
        ("recrun train root=ru", ["open runs/"]),
        ("recrun list lo", ["plain losses"]),
        ("recrun show sasr", ["plain sasrec"]),
        ("recrun check sasr", ["plain sasrec"]),
        ("recrun check sasrec max_l", ["open max_length="]),
        ("recrun verify gowalla/ul", ["plain gowalla/ultragcn"]),
        ("recrun validate bprm", ["plain bprmf"]),
        ("recrun data fetch MovieLens1", ["plain MovieLens100K", "plain MovieLens1M"]),
        ("recrun data describe a user_c", ["open user_column="]),
        ("recrun data split mine.yaml --fo", ["plain --format"]),
        ("recrun completion z", ["plain zsh"]),
        ("recrun train broken.yaml lr", None),
        ("recrun train nowhere.yaml model=ea", ["plain ease"]),
        ("recrun train 'zz b", ["plain zz b.yaml"]),
        ("recrun train zz", ["plain zz\\ b.yaml"]),
        ("recrun nonsense x", []),
        ("recrun train bprmf nonsense=", []),
        ("recrun train \"", None),
    ],
)  # fmt: skip
def test_bash_is_offered_what_fits(bash: Callable[[str], list[str]], tmp_path: Path, line: str, offered: Any) -> None:
    run = tmp_path / "runs" / "bprmf" / "Synthetic" / "one"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}", encoding="utf-8")
    (tmp_path / "runs" / "latest").symlink_to(run)
    for name in ("mine.yaml", "my_mf.py", "broken.yaml", "zz b.yaml", "bad\x1bname.yaml"):
        (tmp_path / name).write_text("model: [\n" if name == "broken.yaml" else "model: bprmf\n", encoding="utf-8")
    found = bash(line)
    assert all("\x1b" not in each for each in found)
    if offered is not None:
        assert found == offered


@pytest.mark.parametrize(("shell", "end"), [("zsh", ""), ("fish", "\n")])
def test_zsh_and_fish_hand_over_words_and_get_whole_words(
    recrun: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, shell: str, end: str
) -> None:
    monkeypatch.setenv("_RECRUN_COMPLETE", f"{shell}_complete")
    for words, expected in (
        ("recrun\ntrai", "plain\ttrain\tTrain a model"),
        ("recrun\ntrain\nbprmf\nmodel=ea", "plain\tmodel=ease\t"),
        ("recrun\ntrain\nmonitors=[auc,gin", "open\tmonitors=[auc,gini@10\t"),
        ("recrun\neval\n--split=va", "plain\t--split=valid\t"),
        ("recrun\ntrain\n", "plain\tamazonbooks/ccl\t"),
    ):
        monkeypatch.setenv("_RECRUN_WORDS", words + end)
        assert recrun().out.startswith(expected), words


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed_and_other_shells_are_refused(recrun: Callable[..., Any], shell: str) -> None:
    assert f"{shell}_complete" in recrun("completion", shell).out.replace("fish_complete\n", "fish_complete ")
    assert recrun("completion", "csh").code == 2


def test_completing_imports_nothing_heavy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_RECRUN_COMPLETE", "bash_complete")
    monkeypatch.setenv("_RECRUN_LINE", "recrun train bprmf model=lightgcn n_l")
    assert modules_after(names=("torch", "numpy", "polars", "rich")) == []


def _type(arguments: list[str], keys: str, expected: str, folder: Path) -> str:
    """Type keys into a shell on a terminal of its own, until it shows some text or half a minute has passed."""
    pty = pytest.importorskip("pty")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "TERM": "xterm", "HOME": str(folder), "PS1": "$ "}
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execvpe(arguments[0], arguments, environment)
    os.write(terminal, keys.encode())
    shown, end = "", time.monotonic() + 30
    while expected not in shown and time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                shown += os.read(terminal, 65536).decode(errors="replace")
                shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x07", "", shown)  # colours, and the bell
            except OSError:
                break
    os.kill(child, 9)
    os.close(terminal)
    os.waitpid(child, 0)
    return shown


SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(recrun completion bash)"\n'),
    "zsh": (["zsh", "-f", "-i"], 'autoload -Uz compinit; compinit -u -D; eval "$(recrun completion zsh)"\n'),
    "fish": (["fish", "--no-config", "-i"], "recrun completion fish | source\n"),
}


@pytest.mark.skipif(os.name == "nt", reason="needs a terminal of POSIX")
@pytest.mark.parametrize("shell", SHELLS)
def test_a_real_shell_completes_the_value_of_a_setting(shell: str, tmp_path: Path) -> None:
    arguments, setup = SHELLS[shell]
    if shutil.which(arguments[0]) is None:
        pytest.skip(f"{shell} is not installed")
    shown = _type(arguments, f"{setup}recrun trai\tbprmf mod\tultra\t", "ultragcn", tmp_path)
    assert "ultragcn" in shown
