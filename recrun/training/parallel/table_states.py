"""Put the state of divided tables together to save it, and deal a saved one out again.

A checkpoint has whole tables, as if one process had trained them: it can be read by any command, and resumed by any
number of processes. The leader holds what is large in files (`recrun.data.large.scratch`), not in memory.

Shapes: R rows of a table, S of them in a process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from recrun.data.large import scratch
from recrun.errors import TrainingError
from recrun.evaluation.sharing import part_of
from recrun.training.finite_checks import is_finite
from recrun.training.parallel.process_group import Processes
from recrun.training.parallel.sharded_tables import Table, tables_of
from recrun.training.run_settings import RunParts

State = dict[str, Any]


class _Leaf(NamedTuple):
    """What a state has for each row of a table: `holder[key]`."""

    holder: dict[Any, Any]
    key: Any
    table: Table


class TableStates:
    """Puts states together and deals them out; all processes do the same at once.

    Args:
        processes: this process and the others, with the tables that are divided among them.
        optimizer: that of the model.
    """

    def __init__(self, processes: Processes, optimizer: Optimizer) -> None:
        divided = tables_of(processes)
        assert divided is not None
        self._processes, self._tables = processes, divided.tables
        stepped = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
        self._numbers = {table.name: stepped.index(id(table.weight)) for table in self._tables}

    def send(self, parts: RunParts, which: str) -> None:
        """Send the leader the rows of this process.

        Args:
            parts: what is trained.
            which: the checkpoint that they are for, "last" or "best".
        """
        with parts.as_evaluated():
            state: State = {"model": parts.model.state_dict()}
            if which == "last":
                state["optimizer"] = parts.optimizer.state_dict()
                state["average"] = None if parts.average is None else parts.average.state_dict()
            self.whole(state)

    def whole(self, state: Mapping[str, Any]) -> State:
        """Return a state with whole tables in the leader; the other processes send their rows.

        Raises:
            TrainingError: a table is not finite.
        """
        copied, processes = _copied(state), self._processes
        for leaf in self._leaves(copied, lambda table: table.rows.stop - table.rows.start):
            own = leaf.holder[leaf.key].detach()
            if not processes.leads:
                processes.hand_over(own, to=0)
                continue
            whole = _empty((leaf.table.n_rows, *own.shape[1:]), own.dtype)
            whole[leaf.table.rows] = own.cpu()
            for rank in range(1, processes.n):
                processes.take_over(whole[part_of(leaf.table.n_rows, rank, processes.n)], of=rank)
            leaf.holder[leaf.key] = whole
        for table in self._tables if processes.leads else ():
            if not is_finite(copied["model"][table.name]):
                raise TrainingError(f"the model is not finite: {table.name}; try a smaller lr")
        return copied

    def without_rows(self, state: Mapping[str, Any]) -> State:
        """Return a whole state without the rows of tables, of which types and widths are kept.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is not of these tables.
        """
        copied = _copied(state)
        for leaf in self._leaves(copied, lambda table: table.n_rows):
            if len(leaf.holder[leaf.key]) != leaf.table.n_rows:
                found = f"{len(leaf.holder[leaf.key]):,}"
                raise ValueError(f"{leaf.table.name} has {found} rows there, {leaf.table.n_rows:,} here")
            leaf.holder[leaf.key] = leaf.holder[leaf.key][:0]
        return copied

    def dealt(self, state: Mapping[str, Any]) -> State:
        """Return a state with the rows of this process, of a whole one that the leader has.

        Args:
            state: in the leader the whole one, in the others what it is `without_rows`.
        """
        copied, processes = _copied(state), self._processes
        for leaf in self._leaves(copied, lambda table: table.n_rows if processes.leads else 0):
            whole = leaf.holder[leaf.key]
            if processes.leads:
                for rank in range(1, processes.n):
                    processes.hand_over(whole[part_of(leaf.table.n_rows, rank, processes.n)].contiguous(), to=rank)
                leaf.holder[leaf.key] = whole[leaf.table.rows]
            else:
                n_rows = leaf.table.rows.stop - leaf.table.rows.start
                leaf.holder[leaf.key] = whole.new_empty((n_rows, *whole.shape[1:]))
                processes.take_over(leaf.holder[leaf.key], of=0)
        return copied

    def _leaves(self, state: State, length: Callable[[Table], int]) -> Iterator[_Leaf]:
        """Yield what a state has for each row of a divided table, in the same order in all processes."""
        for table in self._tables:
            yield _Leaf(state["model"], table.name, table)
            if state.get("average") is not None:
                yield _Leaf(state["average"]["weights"], table.name, table)
            of_optimizer = {} if state.get("optimizer") is None else state["optimizer"]["state"]
            of_table = of_optimizer.get(self._numbers[table.name], {})
            for key in sorted(of_table):
                value = of_table[key]
                if isinstance(value, Tensor) and value.dim() and len(value) == length(table):
                    yield _Leaf(of_table, key, table)


def _copied(state: Mapping[str, Any]) -> State:
    """Return a state in which leaves can be replaced without changing that of the model or the optimizer."""
    copied = {**state, "model": dict(state["model"])}
    if copied.get("average") is not None:
        copied["average"] = {**copied["average"], "weights": dict(copied["average"]["weights"])}
    if copied.get("optimizer") is not None:
        of_parameters = {number: dict(each) for number, each in copied["optimizer"]["state"].items()}
        copied["optimizer"] = {**copied["optimizer"], "state": of_parameters}
    return copied


def _empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return a tensor with any values in it, in a file if it is large."""
    n_bytes = math.prod(shape) * dtype.itemsize
    return torch.from_numpy(scratch.empty(n_bytes, np.uint8)).view(dtype).view(shape)
