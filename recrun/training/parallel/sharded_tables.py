"""Divide the large embedding tables of a model by rows among the processes of a run.

Shapes: U users, I items, R rows of a table, S of them in this process, D embedding, N rows that are looked up,
P processes.

Of a divided table each process holds rows that follow each other, their gradients and their optimizer state. A look-up
asks the processes for the rows that it needs, each once. As models look up a different number of times for different
rows, look-ups are rounds: in each, every process asks for rows of one table or for none, until all say that they are
done. What a batch's gradients add to the rows of others goes to those before the optimizer's step. The sums are formed
in the order of ranks, as they are without division (`recrun.training.parallel.gradients`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recrun.errors import ConfigError, TrainingError
from recrun.evaluation.sharing import part_of
from recrun.training.parallel.packed_rows import Rows, bytes_of, joined, packed, packed_length, summed, unpacked
from recrun.training.parallel.process_group import Processes

_DONE: Final = -1
"""The number of the table of a process that asks for no rows any more."""


@dataclass(eq=False)
class Table:
    """A table of which this process holds some rows.

    Args:
        name: that of its tensor in the model's state.
        module: the embedding; its `weight` (S, D) has the rows of this process.
        n_rows: R.
        rows: which rows those are.
        looked_up: the numbers (N,) and the rows (N, D) of look-ups since the last step, whose gradients are wanted.
    """

    name: str
    module: nn.Embedding
    n_rows: int
    rows: slice
    looked_up: list[Rows] = field(default_factory=list)

    @property
    def weight(self) -> Tensor:
        """The rows (S, D) of this process."""
        return self.module.weight

    @property
    def row_bytes(self) -> int:
        """The bytes of a row."""
        return self.module.embedding_dim * self.weight.element_size()


class ShardedTables:
    """The divided tables of a model.

    Args:
        model: the model.
        sizes: U and I.
        processes: this process and the others.
        sparse: whether gradients are sparse, as some optimizers need them.

    Attributes:
        tables: the tables.
        users: the numbers of the users whose vectors are ranked from here.
        items: the numbers of the items whose vectors are here.

    Raises:
        ConfigError: there is no table to divide, or one does more than look up rows.
    """

    def __init__(self, model: nn.Module, sizes: tuple[int, int], processes: Processes, *, sparse: bool) -> None:
        self._processes, self._sparse = processes, sparse
        self.users, self.items = (part_of(size, processes.rank, processes.n) for size in sizes)
        self.n_users = sizes[0]
        large = [size for size in sizes if size >= processes.n]
        self.tables = [
            self._divided(f"{path}.weight", module)
            for path, module in model.named_modules()
            if isinstance(module, nn.Embedding) and module.num_embeddings in large
        ]
        if not self.tables:
            raise ConfigError(f"{type(model).__name__} has no embedding of users or of items that could be divided")

    def _divided(self, name: str, module: nn.Embedding) -> Table:
        if module.padding_idx is not None or module.max_norm is not None or module.scale_grad_by_freq:
            raise ConfigError(
                f"{name} is an embedding with padding_idx, max_norm or scale_grad_by_freq, which is not divided"
            )
        rows = part_of(module.num_embeddings, self._processes.rank, self._processes.n)
        table = Table(name, module, module.num_embeddings, rows)
        trained = module.weight.requires_grad
        module.weight = nn.Parameter(module.weight.detach()[rows].clone(), requires_grad=trained)
        module.sparse = True  # models then look up rows, where else they might compute with the whole table
        # A class of its own would not do: the model may hold the module in several places.
        module.forward = partial(self.look_up, table)  # type: ignore[method-assign]
        return table

    # --- look-ups ----------------------------------------------------------------------------------------------------

    def look_up(self, table: Table, index: Tensor) -> Tensor:
        """Return rows (*, D) of a table for their numbers (*)."""
        wanted_N, places = torch.unique(index, return_inverse=True)
        if len(wanted_N) and not 0 <= int(wanted_N[0]) <= int(wanted_N[-1]) < table.n_rows:
            raise IndexError(f"row {int(wanted_N[-1])} was looked up in {table.name}, which has {table.n_rows} rows")
        rows_ND = self._round(table, wanted_N)
        if torch.is_grad_enabled() and table.weight.requires_grad:
            rows_ND.requires_grad_()
            table.looked_up.append((wanted_N, rows_ND))
        return F.embedding(places, rows_ND)

    def finish(self) -> None:
        """Serve the other processes until none looks up rows any more; all do this after the same work."""
        while self._round(None, torch.zeros(0, dtype=torch.int64)) is not None:
            pass
        self._processes.is_busy = False

    def _round(self, table: Table | None, wanted_N: Tensor) -> Any:
        """Return the rows (N, D) of a table; without one, None if no process wants rows any more."""
        processes = self._processes
        processes.is_busy = True
        number = _DONE if table is None else self.tables.index(table)
        counts_P = [0] * processes.n if table is None else _by_owner(wanted_N, table.n_rows, processes.n)
        asked = torch.stack(processes.gather(torch.tensor([number, *counts_P]))).tolist()
        numbers, counts = [row[0] for row in asked], [row[1 + processes.rank] for row in asked]
        if all(each == _DONE for each in numbers):
            return None
        device = self.tables[0].weight.device
        own = [self.tables[each] for each in numbers]
        requests = processes.deal(wanted_N.to(device), counts_P, counts)
        answers = [
            bytes_of(each.weight.detach().index_select(0, request - each.rows.start))
            for each, request in zip(own, requests, strict=True)
        ]
        sizes = [0 if table is None else count * table.row_bytes for count in counts_P]
        received = processes.deal(torch.cat(answers), [len(answer) for answer in answers], sizes)
        if table is None:
            return ()
        rows_N = torch.cat(received)
        return rows_N.view(table.weight.dtype).view(len(wanted_N), table.module.embedding_dim)

    # --- gradients ---------------------------------------------------------------------------------------------------

    def exchange_gradients(self) -> None:
        """Send the gradients of rows that were looked up to the processes that hold these, which add them up.

        Raises:
            TrainingError: a model used the rows that are here as if they were the table.
        """
        processes, found = self._processes, [self._gradient(table) for table in self.tables]
        counts = [
            _by_owner(index_N, table.n_rows, processes.n)
            for table, (index_N, _) in zip(self.tables, found, strict=True)
        ]
        of_all = torch.stack(processes.gather(torch.tensor(counts)))  # sender, table, receiver
        by_owner = [
            list(zip(torch.split(index_N, count), torch.split(rows_ND, count), strict=True))
            for (index_N, rows_ND), count in zip(found, counts, strict=True)
        ]
        sent = [piece for rows in zip(*by_owner, strict=True) for each in rows for piece in packed(each)]
        for_me = of_all[:, :, processes.rank].tolist()
        lengths, of_received = self._lengths(of_all[processes.rank].T.tolist()), self._lengths(for_me)
        received = processes.deal(torch.cat(sent), [*map(sum, lengths)], [*map(sum, of_received)])
        parts = [torch.split(memory, each) for memory, each in zip(received, of_received, strict=True)]
        for place, table in enumerate(self.tables):
            index_M, rows_MD = joined(
                [unpacked(part[place], count[place], table.weight) for part, count in zip(parts, for_me, strict=True)]
            )
            if table.weight.requires_grad:
                table.weight.grad = self._summed(table, index_M - table.rows.start, rows_MD)

    def _lengths(self, counts: Sequence[Sequence[int]]) -> list[list[int]]:
        """Return how many bytes go to or come from each process for each table, with so many rows."""
        return [
            [packed_length(n_rows, table.weight) for n_rows, table in zip(count, self.tables, strict=True)]
            for count in counts
        ]

    def norm(self, parameters: Sequence[Tensor]) -> Tensor:
        """Return the norm of the gradients of parameters as one vector, over the rows of all processes."""
        divided = {id(table.weight) for table in self.tables}
        norms: dict[bool, list[Tensor]] = {True: [], False: []}
        for parameter in parameters:
            gradient = parameter.grad
            if gradient is not None:
                values = gradient.coalesce().values() if gradient.is_sparse else gradient
                norms[id(parameter) in divided].append(torch.linalg.vector_norm(values))
        squares = [torch.stack([each.square() for each in norms[kind]]).sum() for kind in norms if norms[kind]]
        if norms[True]:
            self._processes.add_up(squares[0])
        return torch.stack(squares).sum().sqrt()

    def _gradient(self, table: Table) -> Rows:
        """Return the numbers (N,) of the rows that this process has a gradient of, ascending, and these (N, D)."""
        if table.weight.grad is not None:
            raise TrainingError(
                f"{table.name} is divided among processes, and the loss used it as a whole; train without "
                "--shard-embeddings"
            )
        pairs = [(index_N, rows_ND.grad) for index_N, rows_ND in table.looked_up if rows_ND.grad is not None]
        table.looked_up = []
        weight = table.weight
        if not pairs:
            return torch.zeros(0, dtype=torch.int64, device=weight.device), weight.new_zeros(0, weight.size(1))
        if len(pairs) == 1:
            return pairs[0]
        gradient = summed(joined(pairs), (table.n_rows, weight.size(1)))
        return gradient.indices()[0], gradient.values()

    def _summed(self, table: Table, index_M: Tensor, rows_MD: Tensor) -> Tensor:
        if not self._sparse:
            return torch.zeros_like(table.weight).index_add_(0, index_M, rows_MD)
        return summed((index_M, rows_MD), table.weight.shape)

    # --- the vectors of users and items ------------------------------------------------------------------------------

    def vectors(self, model: Any) -> tuple[Tensor, Tensor]:
        """Return the vectors of the users and of the items of this process: (users, D) and (items, D).

        Raises:
            TrainingError: the model has others.
        """
        found = self.attempt(model.vectors)
        users, items = (each.stop - each.start for each in (self.users, self.items))
        if found is None or (len(found[0]), len(found[1])) != (users, items):
            what = "none" if found is None else f"{len(found[0]):,} and {len(found[1]):,}"
            raise TrainingError(
                f"with --shard-embeddings, vectors() of {type(model).__name__} must be those of the {users:,} users "
                f"and {items:,} items whose rows a process has; found {what}"
            )
        users_UD, items_ID = found
        return users_UD, items_ID

    def attempt(self, work: Callable[[], Any]) -> Any:
        """Return what work returns that looks up rows; if it fails, the other processes' look-ups do not."""
        try:
            return work()
        finally:
            if self._processes.in_step:
                self.finish()


def tables_of(processes: Processes) -> ShardedTables | None:
    """Return the tables that processes divide; None if each has the whole model."""
    tables = processes.tables
    assert tables is None or isinstance(tables, ShardedTables)
    return tables


def _by_owner(index_N: Tensor, n_rows: int, n: int) -> list[int]:
    """Return how many of some rows, in ascending order, each of n processes holds."""
    ends = torch.tensor([part_of(n_rows, rank, n).stop for rank in range(n)], device=index_N.device)
    upto = torch.searchsorted(index_N, ends)
    return torch.diff(upto, prepend=upto.new_zeros(1)).tolist()
