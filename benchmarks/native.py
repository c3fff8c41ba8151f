"""Time an epoch of BPR-MF training steps with dense Adam in C, compared with the methods of `training.py`.

    python benchmarks/native.py --steps 396 --rounds 5 --threads 2

Needs a C compiler (`cc`, or CC) and a processor with AVX2. recrun does not use this code; docs/performance.md gives the
outcome of the experiment. Adam's step is that of `native.c`, which has the same bits as torch's fused Adam. `each_step`
passes over all rows in each step, and reads only the gradients of touched rows. `deferred` advances a row by the steps
it has missed when it is next looked up, in registers, and all rows at the end of an epoch. `memory` is the lower bound
of a pass in each step: it reads and writes parameters and means, and multiplies them. The printed table is that of
`training.py`; then follows whether the weights of each way are those of `rows`, bit for bit.

Shapes: R rows of a table, B pairs, N indices, D embedding.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import os
import subprocess
import tempfile
from ctypes import POINTER, Structure, c_float, c_int32, c_int64, c_void_p
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from training import STEPS_PER_EPOCH, Step, adam_alone, bpr, compare, plain, rows

LR, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8
FLAGS = ("-std=gnu11", "-O3", "-ffp-contract=off", "-fPIC", "-shared", "-pthread")


class _Step(Structure):
    _fields_ = tuple((name, c_float) for name in ("rate", "root", "inverse", "rest"))


class _Settings(Structure):
    _fields_ = (
        ("steps", POINTER(_Step)),
        *((name, c_float) for name in ("mean_share", "square_share", "square_kept", "eps")),
    )


class _Table(Structure):
    _fields_ = (
        *((name, c_void_p) for name in ("weight", "mean", "square", "gradient", "done", "touched")),
        *((name, c_int64) for name in ("n_rows", "width")),
    )


class _Job(Structure):
    _fields_ = (
        ("table", POINTER(_Table)),
        ("rows", c_void_p),
        ("n", c_int64),
        ("to", c_int32),
        ("has_gradient", c_int32),
    )


def _compile() -> Any:
    """Return the functions of native.c."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "native.so"
        source = Path(__file__).with_suffix(".c")
        subprocess.run([os.environ.get("CC", "cc"), *FLAGS, "-o", str(file), str(source)], check=True)
        functions = ctypes.CDLL(str(file))
    functions.do_jobs.argtypes = [c_void_p, c_int64, c_void_p, c_int64]
    functions.touch.argtypes = [c_void_p, c_void_p, c_int64, c_int32, c_void_p]
    functions.touch.restype = c_int64
    functions.add_rows.argtypes = [c_void_p, c_void_p, c_int64, c_void_p]
    return functions


class Table:
    """A parameter with Adam's means, its kept gradient, and how far each row is."""

    def __init__(self, functions: Any, weight: nn.Parameter) -> None:
        self.functions, self.weight = functions, weight
        self.means = torch.zeros_like(weight), torch.zeros_like(weight), torch.zeros_like(weight)
        self.counts = torch.zeros(2, len(weight), dtype=torch.int32)
        self.touched = torch.zeros(len(weight), dtype=torch.int32)
        pointers = [each.data_ptr() for each in (weight, *self.means, *self.counts)]
        self.struct = _Table(*pointers, *weight.shape)
        self.n_touched = 0

    def touch(self, index: Tensor, step: int) -> None:
        """Note which rows are touched in a step."""
        pointers = ctypes.addressof(self.struct), index.data_ptr()
        self.n_touched = self.functions.touch(*pointers, len(index), step, self.touched.data_ptr())

    def job(self, to: int, *, only_touched: bool, has_gradient: bool) -> _Job:
        """Return the job to advance rows to a step."""
        chosen = (self.touched.data_ptr(), self.n_touched) if only_touched else (None, len(self.weight))
        return _Job(ctypes.pointer(self.struct), *chosen, to, has_gradient)

    def look_up(self, index: Tensor) -> Tensor:
        """Return rows (N, D), whose gradients are added to the kept gradient."""
        found: Tensor = _LookUp.apply(self.weight, index, self)  # type: ignore[no-untyped-call]
        return found


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, weight: Tensor, index: Tensor, table: Table) -> Tensor:
        context.table, context.index = table, index
        return weight.index_select(0, index)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[None, None, None]:
        table, index, gradient = context.table, context.index, gradient.contiguous()
        pointers = ctypes.addressof(table.struct), index.data_ptr()
        table.functions.add_rows(*pointers, len(index), gradient.data_ptr())
        return None, None, None


class Native:
    """Adam in C for some tables.

    Args:
        functions: those of native.c.
        weights: the parameters; D is a multiple of 16.
        defers: whether rows that are not in the batch wait.
    """

    def __init__(self, functions: Any, weights: list[nn.Parameter], *, defers: bool) -> None:
        self.functions, self.defers, self.n_steps = functions, defers, 0
        self.tables = [Table(functions, weight) for weight in weights]
        self.constants = (_Step * 1)()
        self.settings = _Settings(self.constants, 1 - BETA1, 1 - BETA2, BETA2, EPS)

    def _plan(self) -> None:
        """Compute what is different in each step, for twice as many steps as before."""
        n = 2 * max(self.n_steps, 512)
        self.constants = (_Step * n)()
        for k in range(1, n):
            root = c_float(math.sqrt(1 - BETA2**k)).value
            inverse = c_float(1 / root).value
            self.constants[k] = _Step(LR / (1 - BETA1**k), root, inverse, 1 / root - inverse)
        self.settings.steps = self.constants

    def run(self, to: int, *, only_touched: bool, has_gradient: bool) -> None:
        """Advance rows to a step."""
        jobs = [table.job(to, only_touched=only_touched, has_gradient=has_gradient) for table in self.tables]
        array = (_Job * len(jobs))(*jobs)
        self.functions.do_jobs(array, len(jobs), ctypes.addressof(self.settings), torch.get_num_threads())

    def step(self, users_B: Tensor, items_B2: Tensor) -> Tensor:
        """Do a training step and return its loss."""
        user, item = self.tables
        self.n_steps += 1
        if self.n_steps >= len(self.constants):
            self._plan()
        items = items_B2.reshape(-1)
        for table, index in ((user, users_B), (item, items)):
            table.touch(index, self.n_steps)
        if self.defers:
            self.run(self.n_steps - 1, only_touched=True, has_gradient=False)
        loss = bpr(user.look_up(users_B), item.look_up(items).view(*items_B2.shape, -1))
        loss.backward()  # type: ignore[no-untyped-call]
        self.run(self.n_steps, only_touched=self.defers, has_gradient=True)
        if self.defers and self.n_steps % STEPS_PER_EPOCH == 0:
            self.finish()
        return loss.detach()

    def finish(self) -> None:
        """Advance all rows to the last step."""
        self.run(self.n_steps, only_touched=False, has_gradient=False)


def memory(user: nn.Parameter, item: nn.Parameter) -> Step:
    """Read and write parameters and means in each step."""
    tables = [torch.zeros_like(weight) for weight in (user, user, user, item, item, item)]

    def step(users_B: Tensor, items_B2: Tensor) -> Tensor:
        for table in tables:
            table.mul_(0.5)
        return torch.tensor(torch.nan)

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=STEPS_PER_EPOCH, help="training steps per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    functions = _compile()
    trained: dict[str, list[nn.Parameter]] = {}
    finish: list[Native] = []

    def remembering(way: Any) -> Any:
        def made(user: nn.Parameter, item: nn.Parameter) -> Step:
            trained[way.__name__] = [user, item]
            step: Step = way(user, item)
            return step

        made.__name__ = way.__name__
        return made

    def each_step(user: nn.Parameter, item: nn.Parameter) -> Step:
        return Native(functions, [user, item], defers=False).step

    def deferred(user: nn.Parameter, item: nn.Parameter) -> Step:
        finish.append(Native(functions, [user, item], defers=True))
        return finish[-1].step

    compare([plain, *map(remembering, (rows, each_step, deferred)), adam_alone, memory], arguments)
    for native in finish:
        native.finish()
    for name, weights in trained.items():
        equal = all(torch.equal(*pair) for pair in zip(weights, trained["rows"], strict=True))
        print(f"{name}: weights {'equal' if equal else 'NOT equal'} to those of rows")


if __name__ == "__main__":
    main()
