"""A kernel runs the examples, shows progress in the cell, and goes on after an interrupt."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager, start_new_kernel

from tests.jupyter.execute import EXAMPLES, execute
from tests.notebook_cells import code_cells, is_same, stored

# Of Jupyter's client, which runs here: its sockets are left to the garbage collector. recrun runs in the kernel.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("notebook", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_kernel_gives_what_a_notebook_stores(notebook: Path, tmp_path: Path) -> None:
    executed = [cell for cell in execute(notebook, tmp_path)["cells"] if cell["cell_type"] == "code"]
    shown = []
    for now, before in zip(executed, code_cells(notebook), strict=True):
        assert [output["output_type"] for output in now["outputs"]] == [
            output["output_type"] for output in before["outputs"]
        ]
        for (kind, given), (_, kept) in zip(stored(now), stored(before), strict=True):
            assert is_same(given, kept), f"{kind}: {given}\ninstead of {kept}"
        shown += [each["data"]["text/html"] for each in now["outputs"] if each["output_type"] == "display_data"]
    assert len(shown) == 2
    assert "done after 5 epochs" in "".join(shown[0])
    assert "2 done" in "".join(shown[1])


class Kernel:
    """A kernel that runs code, and that can be interrupted."""

    def __init__(self, folder: Path) -> None:
        self.manager: KernelManager
        self.manager, self._client = start_new_kernel(kernel_name="python3", cwd=str(folder))

    def run(self, code: str, *, interrupt_when: Callable[[], bool] | None = None, times: int = 1) -> str:
        """Run code, and return its result or its error; with `interrupt_when`, interrupt it then."""
        identity = self._client.execute(code)
        found, left, deadline = "", times if interrupt_when else 0, time.monotonic() + 120
        while time.monotonic() < deadline:
            if left and interrupt_when is not None and interrupt_when():
                self.manager.interrupt_kernel()
                left -= 1
            try:
                message: dict[str, Any] = self._client.get_iopub_msg(timeout=0.2)
            except queue.Empty:
                continue
            content = message["content"]
            if message["parent_header"].get("msg_id") != identity:
                continue
            if message["msg_type"] == "error":
                found = f"{content['ename']}: {content['evalue']}"
            elif message["msg_type"] == "execute_result":
                found = content["data"]["text/plain"]
            elif content.get("execution_state") == "idle":
                return found
        raise TimeoutError(code)

    def close(self) -> None:
        """End the kernel."""
        self._client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self._client.context.destroy(linger=0)


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    """A kernel in the test's folder, with recrun imported."""
    made = Kernel(tmp_path)
    made.run("import recrun, threading")
    yield made
    made.close()


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


LONG = "epochs=100000, early_stop_patience=None"


def test_an_interrupt_saves_the_run_and_the_kernel_goes_on(kernel: Kernel, tmp_path: Path) -> None:
    lines = tmp_path / "runs" / "bprmf" / "Synthetic" / "a" / "metrics.jsonl"
    told = kernel.run(f"recrun.train('bprmf', id='a', {LONG})", interrupt_when=lambda: _size(lines) > 500)
    continued = "recrun.load('runs/bprmf/Synthetic/a').resume()"
    assert told == f"Interrupted: interrupted; continue with: {continued}"
    assert kernel.run("run = recrun.load('runs/latest'); run.status") == "'interrupted'"
    before, n_bytes = int(kernel.run("len(run.history)")), _size(lines)
    assert kernel.run(continued, interrupt_when=lambda: _size(lines) > n_bytes) == told
    assert int(kernel.run("len(run.history)")) > before > 0


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_stops_the_trials_of_a_sweep(kernel: Kernel, tmp_path: Path, times: int) -> None:
    trials = tmp_path / "runs" / "bprmf" / "Synthetic"
    code = f"recrun.sweep('bprmf', lr=[1e-3, 1e-2], jobs=2, {LONG})"
    told = kernel.run(code, interrupt_when=trials.exists, times=times)
    assert told == "Interrupted: interrupted; repeat the call to continue: trials that are done are kept"
    assert kernel.run("1 + 1") == "2"


def test_other_threads_train_and_sweep(kernel: Kernel) -> None:
    kernel.run(
        "def work():\n    global run, sweep\n    run = recrun.train('popularity', dataset='Synthetic')\n"
        "    sweep = recrun.sweep('popularity', dataset='Synthetic', seed=[1, 2])\n"
        "thread = threading.Thread(target=work)\nthread.start()\nthread.join()"
    )
    assert kernel.run("run.status, sweep.status") == "('done', 'done')"
