"""Train a model on the shares of one process, batch by batch, beside the other processes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from torch import Tensor

from recrun.randomness import seed_torch_for
from recrun.training.optimizers import RowOptimizer
from recrun.training.parallel.gradients import GradientExchange
from recrun.training.parallel.process_group import Processes
from recrun.training.parallel.sharded_tables import tables_of
from recrun.training.parallel.shares import Share, Shares
from recrun.training.run_keeper import RunKeeper
from recrun.training.steps.batch_loss import batch_loss

GO_ON: Final = 0
STOP: Final = 1
SAVE: Final = 2
"""What the leader says before each batch, where tables are divided: look-ups need all processes."""


class StoppedEarly(Exception):
    """The leader ended an epoch before its last batch."""


class SharedSteps:
    """Does the steps of one process.

    What is drawn by torch's generator, such as dropout, is drawn from one of (seed, epoch, step, rank), so that a
    resumed run draws the same.

    Args:
        keeper: holds the model, the loss and the optimizer.
        processes: this process and the others.
        take: called with the loss and the number of rows of each batch, once it is known over all processes.
        send: called in the others than the leader, to send it the rows of divided tables.
    """

    def __init__(
        self,
        keeper: RunKeeper,
        processes: Processes,
        take: Callable[[Tensor, int], None] = lambda loss, n_rows: None,
        send: Callable[[], None] = lambda: None,
    ) -> None:
        self._keeper, self._processes, self._take, self._send = keeper, processes, take, send
        self._tables = tables_of(processes)
        self._exchange = GradientExchange(keeper.model, keeper.steps.parameters(), processes)
        self._since_step: list[tuple[Tensor, int]] = []
        self.pipe = Shares(keeper.dataset, keeper.model, processes.rank, processes.n)
        keeper.steps.exchange = self._add_up
        if self._tables is not None:
            keeper.steps.norm = self._tables.norm
            if isinstance(keeper.optimizer, RowOptimizer):  # it rounds a row by its number in the whole table
                keeper.optimizer.first_rows = {table.weight: table.rows.start for table in self._tables.tables}

    def train_on(self, share: Share, epoch: int, step: int) -> None:
        """Train on a share of a batch.

        Args:
            share: the rows and their weight.
            epoch: counted from 0.
            step: the number of the batch in the epoch, from 0.

        Raises:
            StoppedEarly: the leader goes on no further.
        """
        keeper, cfg = self._keeper, self._keeper.cfg
        if self._tables is not None:
            self._follow_signal()
            self._processes.is_busy = True
        seed_torch_for(cfg["seed"], epoch, f"step {step} of process {self._processes.rank}")
        loss = batch_loss(keeper.model, share.batch, keeper.criterion, cfg, keeper.device) * share.weight
        if self._tables is not None:
            self._tables.finish()
        keeper.stopwatch.book("forward")
        self._since_step.append((loss, share.n_rows))
        keeper.steps.backward(loss)
        keeper.stopwatch.book("backward")
        keeper.steps.step()
        keeper.stopwatch.book("optimizer")

    def end(self) -> None:
        """Do the step of the last batches of an epoch, if they are fewer than are accumulated."""
        self._keeper.steps.finish()

    def close(self) -> None:
        """End an epoch: in the leader at once, elsewhere when the leader does."""
        if self._tables is None:
            self._exchange.add_up([], goes_on=False)
        elif self._processes.leads:
            self._processes.signal(STOP)
        else:
            with suppress(StoppedEarly):
                self._follow_signal()

    def _follow_signal(self) -> None:
        """Go on if the leader does, which may have the state of the run sent to it first.

        Raises:
            StoppedEarly: it does not.
        """
        while (signal := self._processes.signal(GO_ON)) == SAVE:
            self._send()
        if signal == STOP:
            raise StoppedEarly

    def _add_up(self) -> None:
        if self._tables is not None:
            self._tables.exchange_gradients()
        summed = self._exchange.add_up([loss for loss, _ in self._since_step])
        if summed is None:
            raise StoppedEarly
        for loss, (_, n_rows) in zip(summed, self._since_step, strict=True):
            self._take(loss, n_rows)
        self._since_step = []
