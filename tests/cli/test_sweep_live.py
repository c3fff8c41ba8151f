"""The table of a sweep on a terminal, while it runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.on_terminal import on_terminal

SMALL = ["n_users=60", "n_items=40", "n_interactions=900", "batch_size=128", "device=cpu", "threads=1", "epochs=9"]
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


@pytest.mark.slow
@pytest.mark.parametrize("width", [80, 60])
def test_the_table_of_several_configs_that_are_pruned_fits_into_a_terminal(tmp_path: Path, width: int) -> None:
    axes = ["lr=1e-3,5e-2", "embedding_dim=8,16"]
    options = ["--prune", "asha", "--jobs", "2"]
    command = ["sweep", "bprmf", "lightgcn", *SMALL, *axes, *options]
    written = on_terminal(*command, width=width, folder=tmp_path, stream="stderr", code=0)
    lines = [line.rpartition("\r")[2] for line in _ESCAPES.sub("", written).split("\n")]
    table = lines[next(place for place, line in enumerate(lines) if line.startswith("trial ")) :]
    assert max(map(len, table)) <= width
    heads = {line.split()[1] for line in table if line.startswith("trial ")}
    assert heads == {"config"}
    rows = [line.replace("★", "").split() for line in table if re.match(r"[★ ]*[0-9]+ {2,}", line)]
    assert {row[1] for row in rows} == {"bprmf", "lightgcn"}
    text = "\n".join(table)
    for shown in ("running", "paused at 1", "done", "/8  0:00:", " left", "best    ndcg@20 "):
        assert shown in text
    assert ("not shown: embedding_dim" in text) == (width == 60)
    # The time is that of training: some hundredths of a second here, however long a process takes to start.
    taken = [float(found[1]) for found in re.finditer(r"(?:paused at 1|done) +([0-9.]+) s", text)]
    assert taken
    assert 0 < max(taken) < 2
