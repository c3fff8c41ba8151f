from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recrun.sweep.ledger import Ledger
from recrun.sweep.run import Listener
from recrun.sweep.view.listeners import LineView, LiveView, Quiet, view_of
from tests.run_server import wait_until
from tests.sweep.view.conftest import console, sweep, text_of

MakeLedger = Callable[..., Ledger]
BODY = "sys.exit('error: the disk is full') if given['lr'] == '1e-2' else done(float(given['lr']) * 100, auc=0.5)"


def test_plain_lines_tell_how_each_trial_starts_and_ends(ledger: MakeLedger, program: Any) -> None:
    ours, screen = ledger("lr=1e-3,1e-2", "epochs=2"), console()
    sweep(ours, program(BODY), LineView(screen))
    lines = text_of(screen).splitlines()
    assert lines[:3] == [
        "config  None",
        "sweep   2 lr = 2 trials, compared by recall@20 on validation",
        f"folder  {ours.folder}",
    ]
    assert lines[3] == "trial 0: lr=0.001: started"
    assert lines[4].startswith("trial 0: lr=0.001: done recall@20 0.1000  [0.")
    assert lines[6].startswith("trial 1: lr=0.01: failed: the disk is full (exit code 1)  [0.")

    sweep(ledger("lr=1e-3,1e-2", "epochs=2"), program(BODY), LineView(screen := console(), 2))
    lines = text_of(screen).splitlines()
    assert lines[3] == "done    1 of 2 trials are already done and are not repeated"
    assert lines[4] == f"trial 1: lr=0.01: started  [{ours.log_path(ours.rows[1])}]"


def test_a_terminal_shows_a_table_that_is_gone_when_the_result_comes(
    ledger: MakeLedger, program: Any, tmp_path: Path
) -> None:
    screen = console(force_terminal=True)
    view, seen = LiveView(screen), tmp_path / "seen"

    def watch() -> None:
        wait_until(lambda: "0.4567" in text_of(screen))  # the newest value of the trial that runs
        seen.touch()

    watching = threading.Thread(target=watch)
    watching.start()
    wait = f"for _ in range(6000):\n    if os.path.exists({str(seen)!r}):\n        break\n    time.sleep(0.01)\n"
    sweep(ledger("lr=1e-3,1e-2"), program(f"evaluated(3, 0.4567)\n{wait}{BODY}"), view)
    watching.join()
    shown = text_of(screen)
    assert "0.4567" in shown
    assert "1 running, 1 pending" in shown
    assert shown.rstrip().endswith("\x1b[2K")  # the last view is wiped


def test_quiet_says_only_that_the_wish_to_stop_was_heard() -> None:
    screen = console()
    view = view_of(screen, verbose=0)
    assert type(view) is Quiet
    view.stopping(at_once=False)
    assert text_of(screen) == "stopping: running trials save their state; once more to stop at once\n"


@pytest.mark.parametrize(("terminal", "kind"), [(True, LiveView), (False, LineView)])
def test_only_a_terminal_is_drawn_over(terminal: bool, kind: type[Listener]) -> None:
    assert type(view_of(console(force_terminal=terminal, force_interactive=terminal), verbose=1)) is kind
