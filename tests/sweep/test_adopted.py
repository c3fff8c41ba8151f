from __future__ import annotations

from pathlib import Path

import pytest

from recrun.runs.folder import RunFolder
from recrun.sweep.adopted import exit_code_in


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ('{"schema_version": 1, "status": "done"}', 0),
        ('{"schema_version": 1, "status": "paused"}', 0),
        ('{"schema_version": 1, "status": "interrupted", "paused": {"epoch": 2, "until": 2}}', 0),
        ('{"schema_version": 1, "status": "interrupted", "paused": null}', 130),
        ('{"schema_version": 1, "status": "interrupted"}', 130),
        ('{"schema_version": 1, "status": "failed"}', 1),
        ('{"schema_version": 1, "status": "running"}', None),
        ('{"schema_version": 1, "status": "do', None),
        (None, None),
    ],
)
def test_how_an_unwatched_trial_ended_is_read_from_its_run(tmp_path: Path, record: str | None, code: int) -> None:
    if record is not None:
        (tmp_path / "run.json").write_text(record)
    assert exit_code_in(RunFolder(tmp_path)) == code
