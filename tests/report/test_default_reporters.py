from __future__ import annotations

import subprocess
import sys

import pytest

from recrun.runs.folder import RunFolder
from recrun.runs.history import History
from recrun.training.reporter import Reporter, Reporters, make_reporters


@pytest.fixture
def run(tmp_path) -> RunFolder:
    run = RunFolder.create(tmp_path, {"description": "BPRMF", "dataset": "Gowalla_m1"})
    hardware = {"processor": "one", "cores": 2, "gpus": []}
    run.update_run(versions={"python": "3.12.1"}, hardware=hardware, git={"commit": "abc", "dirty": True})
    return run


class _Historian(Reporter):
    """Keeps the history of a run, as the Coach does, and where it was before each evaluation."""

    def __init__(self, run: RunFolder) -> None:
        self.history = History(run.metrics_lines_file)
        self.positions: dict[int, dict] = {}

    def trained(self, epoch, values, seconds):
        self.history.append(epoch, "train", values, seconds)

    def evaluated(self, epoch, split, values, is_best, seconds):
        self.positions.setdefault(epoch, self.history.position())
        self.history.append(epoch, split, values, seconds, is_best)


def test_a_run_leaves_its_log_events_and_summary(run, fake_run, capsys):
    reporters = Reporters([_Historian(run), *make_reporters(run, {"description": "BPRMF", "verbose": 1})])
    fake_run(reporters, ("loss", "ndcg@20"))
    reporters.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\nepoch ") == 32
    assert run.log_file.exists()
    names = sorted(path.name for path in run.summary_folder.iterdir())
    assert names[:3] == ["SUMMARY.md", "curves.png", "curves.svg"]
    assert all(name.startswith("events.out.tfevents.") for name in names[3:5])
    assert [name.endswith(".test") for name in names[3:5]].count(True) == 1, "test has a file of its own"
    assert names[5:] == ["trainloss.png", "validndcg@20.png"]
    text = (run.summary_folder / "SUMMARY.md").read_text(encoding="utf-8")
    assert "| python | `3.12.1` |\n| processor | `one` |\n| cores | `2` |\n| gpus | `[]` |\n" in text
    assert "| commit | `abc with changes` |" in text


def test_a_resumed_run_shows_and_sums_up_the_whole_of_it(run, fake_run, monkeypatch, screen):
    console = screen()
    monkeypatch.setattr("recrun.report.terminal.console.stderr_console", lambda: console)
    historian = _Historian(run)
    for first in (0, 25):
        if first:
            assert historian.history.go_back_to(historian.positions[first], first)
        reporters = Reporters([historian, *make_reporters(run, {"verbose": 1}, first or None)])
        fake_run(reporters, ("loss", "ndcg@20"), first=first)
        reporters.close()
    last = console.file.getvalue()
    last = last[last.rindex("BPRMF\x1b") :]
    assert "★ 18" in last
    rows = [line.split()[0] for line in _plain(last).splitlines() if " valid " in line]
    assert rows == ["★", *map(str, range(22, 31))]
    text = (run.summary_folder / "SUMMARY.md").read_text(encoding="utf-8")
    assert "| valid | `ndcg@20` | 0.1600 | 18 | 0.1120 |" in text


def test_a_run_without_plots_has_a_summary_without_pictures_and_does_not_import_matplotlib(run):
    script = (
        "import sys\nfrom recrun.report.default_reporters import summary\nfrom recrun.runs.folder import RunFolder\n"
        "summary(RunFolder(sys.argv[1]), {'plots': False}, None).finish({'best_epoch': 1})\n"
        "assert 'matplotlib' not in sys.modules"
    )
    run.metrics_lines_file.write_text(
        "".join(
            f'{{"epoch": {epoch}, "split": "valid", "values": {{"auc": 0.5}}, "seconds": 1.0, "best": false}}\n'
            for epoch in range(3)
        )
    )
    subprocess.run([sys.executable, "-c", script, str(run.path)], check=True)
    assert [path.name for path in run.summary_folder.iterdir()] == ["SUMMARY.md"]
    text = (run.summary_folder / "SUMMARY.md").read_text(encoding="utf-8")
    assert "| valid | `auc` | 0.5000 | 0 | 0.5000 | - |" in text


def test_nothing_is_shown_of_a_quiet_run(run, fake_run, capsys):
    reporters = Reporters(make_reporters(run, {"verbose": 0}))
    fake_run(reporters, ("loss", "ndcg@20"))
    reporters.close()
    assert capsys.readouterr() == ("", "")


def _plain(text: str) -> str:
    from rich.text import Text

    return Text.from_ansi(text).plain
