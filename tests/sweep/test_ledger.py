from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from recrun.sweep.ledger import Ledger
from recrun.sweep.locks import lease
from recrun.sweep.locks.lease import LeaseLostError
from recrun.sweep.planning.study import Plan

WRITES: dict[str, Callable[[Ledger], None]] = {
    "its files": lambda ledger: ledger.save(),
    "a decision": lambda ledger: ledger.decide({"generation": 1}),
    "a trial": lambda ledger: ledger.begin(ledger.rows[0]),
}


@pytest.mark.parametrize("what", WRITES)
def test_a_process_whose_sweep_another_took_over_and_ended_writes_nothing(
    what: str, plan: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = lease._clock
    with Ledger(plan("lr=1,2"), tmp_path) as ledger:
        (ledger.folder / "lease.json").unlink()  # the other gave it back when it ended
        monkeypatch.setattr(lease, "_clock", lambda: clock() + 3600)
        before = {path: path.stat().st_mtime_ns for path in ledger.folder.rglob("*") if path.is_file()}
        with pytest.raises(LeaseLostError, match="it has ended by now: repeat the command"):
            WRITES[what](ledger)
        assert {path: path.stat().st_mtime_ns for path in ledger.folder.rglob("*") if path.is_file()} == before
