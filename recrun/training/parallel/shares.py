"""Deal the rows of each batch to the processes of a run, and refuse losses that cannot be dealt.

A process computes the loss of its rows, weighted by its share of the terms that the loss of the batch is the mean of.
The weighted losses add up to the loss of the batch, and their gradients to its gradient. That holds for a loss that is
a mean over rows, and not for one that compares rows with each other. Of one that draws at random it cannot be told.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from recrun.data.postprocessing.base import Pipe, PostProcessor
from recrun.data.postprocessing.batch_negatives import LOG_Q, SHARED
from recrun.data.postprocessing.mode import Mode
from recrun.data.postprocessing.tensor import to_device
from recrun.errors import ConfigError
from recrun.evaluation.sharing import part_of
from recrun.randomness import seed_torch_for, undisturbed_random_state
from recrun.training.loader import n_rows
from recrun.training.parallel.process_group import Processes, ProcessLost
from recrun.training.parallel.sharded_tables import tables_of

_NOISE: Final = 0.3
_REPEATED: Final = 4
"""How often the loss of the batch is computed, to see whether it draws at random."""
_TOLERANCE: Final = 1e-4
"""By what fraction the loss of a batch may differ from the sum of its shares: both are rounded."""


class Share(NamedTuple):
    """The rows of a batch that one process computes.

    Args:
        batch: the rows, at least one.
        weight: the share of this process in the terms of the loss; the weights of all processes sum to 1.
        n_rows: the number of rows of the whole batch.
    """

    batch: dict[str, Tensor]
    weight: float
    n_rows: int


class Shares(PostProcessor):
    """Yields the shares of one process in the batches of training; it follows `split_`.

    Args:
        source: the pipe of whole batches.
        model: says of how many terms a loss is the mean.
        rank: the number of the process.
        n: how many processes there are.
    """

    def __init__(self, source: Pipe, model: Any, rank: int, n: int) -> None:
        super().__init__(source)
        self._model, self._rank, self._n = model, rank, n

    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Share]:
        for batch in self.source.iterate(mode, seed=seed, epoch=epoch):
            yield share_of(batch, self._model, self._rank, self._n)


def share_of(batch: Mapping[str, Tensor], model: Any, rank: int, n: int) -> Share:
    """Return the share of a process: rows that follow each other, about as many as any other process has.

    Of a batch with fewer rows than processes, those without a row compute the first with weight 0.
    """
    n_all = n_rows(batch)
    own = part_of(n_all, rank, n)
    has_rows = own.stop > own.start
    rows = own if has_rows else slice(0, 1)
    whole = {SHARED, *((LOG_Q,) if SHARED in batch else ())}
    piece = {name: column if name in whole else column[rows] for name, column in batch.items()}
    weight = model.n_terms(piece) / model.n_terms(batch) if has_rows else 0.0
    return Share(piece, weight, n_all)


def refuse_inseparable(
    model: Any, criterion: Any, pipe: Pipe, seed: int, processes: Processes, device: torch.device
) -> None:
    """Check on the first batch of a run that its loss is the sum of the shares of several processes.

    Where tables are divided, all processes call this at once, and their losses of the batch must be equal.

    The model is left as it is. It is compared with other weights, since those that it starts from may be so small that
    all rows have one loss; and without dropout, which each process draws for its own rows.

    Raises:
        ConfigError: it is not.
    """
    name = type(model).__name__
    if pipe.is_sharded:
        raise ConfigError(
            "the pipe of training rows keeps those of one process by shard_() already; remove it: the processes of a "
            "run divide whole batches"
        )
    normalizes = next((each for each in model.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)), None)
    if normalizes is not None:
        raise ConfigError(
            f"{name} has batch normalisation, whose statistics are those of a whole batch; train it with one process"
        )
    batch = next(iter(pipe.iterate("train", seed=seed, epoch=0)), None)
    if batch is None:
        return
    with _unchanged(model, device), torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            seed_torch_for(seed, 0, f"separable {parameter_name}")  # a divided table draws less than a whole one
            parameter.add_(torch.randn_like(parameter), alpha=_NOISE)
        shares = [share_of(batch, model, rank, processes.n) for rank in range(processes.n)]
        batches = [*[batch] * _REPEATED, *(share.batch for share in shares)]
        losses = _losses(batches, model, criterion, processes, device)
        repeated, whole = losses[:_REPEATED], losses[0]
        parts = [loss * share.weight for loss, share in zip(losses[_REPEATED:], shares, strict=True)]
    bound = _TOLERANCE * max(abs(whole), 1e-3)
    if max(repeated) - min(repeated) > bound:
        raise ConfigError(
            f"the loss of {name} with {type(criterion).__name__} draws at random: it is {min(repeated):.6g} to "
            f"{max(repeated):.6g} for one batch, so that it cannot be checked whether shares add up to it; train it "
            f"with one process"
        )
    if abs(sum(parts) - whole) > bound:
        raise ConfigError(
            f"the loss of {name} with {type(criterion).__name__} is {whole:.6g} for a batch and {sum(parts):.6g} as "
            f"the sum of its {processes.n} shares: it compares the rows of a batch with each other; train "
            f"it with one process"
        )


def _losses(
    batches: Sequence[Mapping[str, Tensor]], model: Any, criterion: Any, processes: Processes, device: torch.device
) -> list[float]:
    """Return the losses of batches; each process computes each of them.

    Raises:
        ConfigError: tables are divided, and the losses are not those of whole ones.
    """
    tables, found, problem = tables_of(processes), [], ""
    for batch in batches:
        work = partial(model.training_loss, to_device(batch, device), criterion)
        if tables is None:
            found.append(float(work()))
            continue
        try:
            found.append(float(tables.attempt(work)))
        except ProcessLost:
            raise
        except Exception as error:  # the others go on, and need this process for their look-ups
            problem = problem or f" ({type(error).__name__}: {error}".splitlines()[0] + ")"
            found.append(math.nan)
    if tables is not None:
        everyone = torch.stack(processes.gather(torch.tensor(found, dtype=torch.float64)))
        spread = everyone.amax(dim=0) - everyone.amin(dim=0)
        if not bool((spread <= _TOLERANCE * everyone.abs().amax(dim=0)).all()):
            message = f"{type(model).__name__} computes with whole tables, which are divided{problem}"
            raise ConfigError(f"{message}; train it without --shard-embeddings")
    return found


@contextmanager
def _unchanged(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Have a model in evaluation mode within the block, and as it was after it."""
    state, was_training = copy.deepcopy(model.state_dict()), model.training
    with undisturbed_random_state(device):
        model.eval()
        try:
            yield
        finally:
            model.train(was_training)
            model.load_state_dict(state)
