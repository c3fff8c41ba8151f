"""Add up the gradients of the processes of a run, so that each does the optimizer step that one process would do.

Shapes: R rows of a table, D embedding, N rows of it that a batch touches, P parameters.

Gradients of embeddings are exchanged as the rows that a batch touches, not as whole tables. Rows are added up in the
order of ranks, and everything else by one sum over all processes: the result is the same in each of them to the last
bit, and so stay the models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from recrun.data.tokenizer import RowEmbedding
from recrun.training.parallel.packed_rows import Rows, joined, packed, packed_length, summed, unpacked
from recrun.training.parallel.process_group import Processes
from recrun.training.parallel.sharded_tables import tables_of

_NONE: Final = -1
_DENSE: Final = -2
"""What a process has for a parameter, besides a number of rows: no gradient, or one of its whole shape."""


class GradientExchange:
    """Adds up the gradients of all processes, in place.

    Args:
        model: the model that is trained.
        parameters: what its optimizer steps, in the same order in all processes; divided tables are left out.
        processes: this process and the others.
    """

    def __init__(self, model: nn.Module, parameters: Iterable[Tensor], processes: Processes) -> None:
        divided_tables = tables_of(processes)
        divided = set() if divided_tables is None else {id(table.weight) for table in divided_tables.tables}
        self._parameters = [parameter for parameter in parameters if id(parameter) not in divided]
        self._processes = processes
        tables = (module for module in model.modules() if isinstance(module, RowEmbedding))
        self._tables = {id(table.weight): table for table in tables}

    def add_up(self, losses: Sequence[Tensor], *, goes_on: bool = True) -> list[Tensor] | None:
        """Add up the gradients and the losses of the batches since the last step.

        Args:
            losses: scalars, the shares of this process; as many in all processes.
            goes_on: False in the leader if there is no such step after all; nothing else is looked at then.

        Returns:
            The sums of the losses; None if the leader does not go on.
        """
        rows = [self._rows(parameter) if goes_on else None for parameter in self._parameters]
        kinds = [self._kind(*pair) for pair in zip(self._parameters, rows, strict=True)]
        everyone = self._processes.gather(torch.tensor([int(goes_on), *kinds]))
        if not everyone[0][0]:
            return None
        of_ranks = torch.stack(everyone)[:, 1:]
        is_dense, has_rows = (of_ranks == _DENSE).any(dim=0).tolist(), (of_ranks > 0).any(dim=0).tolist()
        by_rows = [number for number, dense in enumerate(is_dense) if has_rows[number] and not dense]
        if by_rows:
            self._add_rows(by_rows, rows, of_ranks.clamp(min=0).tolist())
        gradients = [_dense(parameter) for parameter, dense in zip(self._parameters, is_dense, strict=True) if dense]
        return self._add_dense(gradients, losses)

    def _kind(self, parameter: Tensor, rows: Rows | None) -> int:
        if rows is not None:
            return len(rows[0])
        return _NONE if parameter.grad is None else _DENSE

    def _rows(self, parameter: Tensor) -> Rows | None:
        """Return the numbers (N,) of the rows that have a gradient, and these gradients (N, D); None if all may."""
        gradient = parameter.grad
        if gradient is None:
            return None
        if gradient.is_sparse:
            gradient = gradient.coalesce()
            return gradient.indices()[0], gradient.values()
        table = self._tables.get(id(parameter))
        index_N = None if table is None else table.touched_rows()
        return None if index_N is None else (index_N, gradient.index_select(0, index_N))

    def _add_rows(self, numbers: Sequence[int], mine: Sequence[Rows | None], sizes: Sequence[Sequence[int]]) -> None:
        """Replace gradients of rows by the sums of those of all processes, in the order of their ranks.

        Args:
            numbers: which parameters have them.
            mine: the rows of this process, by parameter.
            sizes: how many rows each process has of each parameter.
        """
        parameters = [self._parameters[number] for number in numbers]
        lengths = [
            [packed_length(of_rank[number], each) for number, each in zip(numbers, parameters, strict=True)]
            for of_rank in sizes
        ]
        pieces = [piece for rows in map(mine.__getitem__, numbers) if rows is not None for piece in packed(rows)]
        sent = torch.zeros(max(map(sum, lengths)), dtype=torch.uint8, device=parameters[0].device)
        if pieces:
            memory = torch.cat(pieces)
            sent[: len(memory)] = memory
        received = [
            torch.split(buffer[: sum(length)], length)
            for buffer, length in zip(self._processes.gather(sent), lengths, strict=True)
        ]
        for place, (number, parameter) in enumerate(zip(numbers, parameters, strict=True)):
            parts = [
                unpacked(of_rank[place], rank_sizes[number], parameter)
                for of_rank, rank_sizes in zip(received, sizes, strict=True)
                if rank_sizes[number]
            ]
            table = self._tables.get(id(parameter))
            if table is not None and not table.sparse:
                table.replace_gradient(parts)
                continue
            parameter.grad = summed(joined(parts), parameter.shape)

    def _add_dense(self, gradients: list[Tensor], losses: Sequence[Tensor]) -> list[Tensor]:
        """Add up gradients in place, and return the sums of the losses; all that has one type goes at once."""
        scalars = torch.stack([loss.detach().float() for loss in losses])
        everything = [*gradients, scalars]
        for dtype in dict.fromkeys(tensor.dtype for tensor in everything):
            alike = [tensor for tensor in everything if tensor.dtype == dtype]
            flat = torch.cat([tensor.reshape(-1) for tensor in alike])
            self._processes.add_up(flat)
            for tensor, part in zip(alike, torch.split(flat, [tensor.numel() for tensor in alike]), strict=True):
                tensor.copy_(part.view_as(tensor))
        return list(scalars)


def _dense(parameter: Tensor) -> Tensor:
    """Return a parameter's gradient as one of its whole shape, 0 if this process has none."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    elif parameter.grad.is_sparse:
        parameter.grad = parameter.grad.to_dense()
    return parameter.grad
