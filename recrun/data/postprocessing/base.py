"""Define the base class of pipes, which turn a data set's interactions step by step into a model's batches.

A pipe has no state. `iterate(mode, seed=..., epoch=...)` starts the stream of one epoch; the same arguments give the
same stream again: an epoch can be redrawn, prefetched, or resumed without any saved state.

Pipes pass on dictionaries of arrays, field name -> `(B, n)`. A column read from the interactions is `(B, 1)`; the item
column is `(B, 1 + K)` once K negatives have been appended to the positive.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from recrun.data.fields import FieldTuple
from recrun.data.postprocessing.mode import Mode
from recrun.data.tags import Tag
from recrun.errors import DataError

if TYPE_CHECKING:
    from recrun.data.postprocessing.source import Source
    from recrun.data.sampling.negatives import NegativeSampler


class Pipe(ABC):
    """A data set or a step after one. Methods that end in `_` return a new pipe and leave this one unchanged.

    Attributes:
        fields: the fields whose columns it yields.
        base: the data set at the start of the chain.
    """

    fields: FieldTuple
    yields_groups = False

    @property
    @abstractmethod
    def base(self) -> Source:
        """The data set at the start of the chain."""

    @abstractmethod
    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Any]:
        """Yield the batches of one epoch.

        Args:
            mode: the part of the data to iterate over; "train" and "valid" never read test.
            seed: the run's seed.
            epoch: the epoch, counted from 0.

        Raises:
            DataError: this chain cannot serve the mode.
        """

    @abstractmethod
    def sizes(self, mode: Mode) -> list[int] | None:
        """Return the number of rows of each batch that `iterate(mode)` will yield, or None if unknown in advance.

        Raises:
            DataError: this chain cannot serve the mode.
        """

    def n_batches(self, mode: Mode) -> int | None:
        """Return the number of batches that `iterate(mode)` will yield, or None if unknown in advance."""
        sizes = self.sizes(mode)
        return None if sizes is None else len(sizes)

    def n_rows(self, mode: Mode) -> int | None:
        """Return the number of rows that `iterate(mode)` will yield, or None if unknown in advance."""
        sizes = self.sizes(mode)
        return None if sizes is None else sum(sizes)

    @property
    def is_sharded(self) -> bool:
        """Whether the pipe yields only this process's share of the rows."""
        return False

    def shard_(self) -> Pipe:
        """Keep the rows of this process: row i belongs to rank i modulo the world size.

        Rank and world size are read when iteration starts, from the environment variables RANK and WORLD_SIZE that
        torch's launcher sets; without them all rows are kept. Row-wise steps are inserted before the shard even when
        they are chained after it, so the shares of all ranks together are the epoch of a single process.

        Raises:
            DataError: the chain is already sharded.
        """
        from recrun.data.postprocessing.shard import Shard

        return Shard(self)

    def shuffle_(self) -> Pipe:
        """Shuffle the rows of an epoch in train mode; leave valid and test in order."""
        from recrun.data.postprocessing.shuffle import Shuffle

        return self._row_wise(Shuffle)

    def users_(self) -> Pipe:
        """Yield each user with train items once, for models trained on whole rows.

        Raises:
            DataError: the pipe does not directly follow the data set, or train is empty.
        """
        from recrun.data.postprocessing.users import Users

        return self._row_wise(Users)

    def subfield_(self, *tags: Tag) -> Pipe:
        """Keep the columns of the fields that have all of `tags`.

        Raises:
            DataError: no field has them.
        """
        from recrun.data.postprocessing.subfield import SubField

        return self._row_wise(lambda source: SubField(source, *tags))

    def uniform_sampling_(self, num_negatives: int = 1, *, sampler: NegativeSampler | None = None) -> Pipe:
        """Draw as many rows per epoch as train has: a uniformly drawn user, one of their items, and negatives.

        Args:
            num_negatives: negatives per positive, drawn uniformly from the user's unseen items.
            sampler: draws the negatives instead, in a number of its own.

        Raises:
            DataError: the pipe does not directly follow the data set, train is empty, or a user has seen every item.
        """
        from recrun.data.postprocessing.uniform_sampling import UniformSampling

        return self._row_wise(lambda source: UniformSampling(source, num_negatives, sampler))

    def sequences_(
        self, width: int, *, sampler: NegativeSampler | None = None, step: int | None = None, times: bool = False
    ) -> Pipe:
        """Yield each user's latest train items ordered by time, or all of them in windows, in random order.

        Args:
            width: the most items in a row.
            sampler: draws negatives for each item; None for no negatives.
            step: how many items a window is before the one after it; None for one row a user.
            times: whether rows hold the times of their items.

        Raises:
            DataError: the pipe does not directly follow the data set, no user has two train items, or there are no
                times.
        """
        from recrun.data.postprocessing.sequences import Sequences

        return self._row_wise(lambda source: Sequences(source, width, sampler, step, times=times))

    def prefixes_(
        self, width: int, *, n_targets: int = 1, sampler: NegativeSampler | None = None, times: bool = False
    ) -> Pipe:
        """Yield each train item with the items of its user before it, ordered by time, in random order.

        Args:
            width: the most items before it.
            n_targets: how many items in a row are to be predicted.
            sampler: draws negatives for each of them; None for no negatives.
            times: whether rows hold the times of their items.

        Raises:
            DataError: the pipe does not directly follow the data set, no user has more than `n_targets` train items, or
                there are no times.
        """
        from recrun.data.postprocessing.sequences import Prefixes

        return self._row_wise(lambda source: Prefixes(source, width, n_targets, sampler, times=times))

    def negatives_for_train_(self, num_negatives: int = 1, *, sampler: NegativeSampler | None = None) -> Pipe:
        """Append negatives to the positive of each train row.

        Args:
            num_negatives: negatives per positive, drawn uniformly from the user's unseen items.
            sampler: draws the negatives instead, in a number of its own.

        Raises:
            DataError: a user has seen every item.
        """
        from recrun.data.postprocessing.negatives import NegativesForTrain

        return self._row_wise(lambda source: NegativesForTrain(source, num_negatives, sampler))

    def negatives_for_eval_(self, num_negatives: int) -> Pipe:
        """Append distinct negatives to each held-out positive, the same ones in every epoch.

        In valid mode they are items that the user has in neither train nor valid (test is not read); in test mode, in
        none of train, valid and test.

        Args:
            num_negatives: negatives per positive.
        """
        from recrun.data.postprocessing.negatives import NegativesForEval

        return self._row_wise(lambda source: NegativesForEval(source, num_negatives))

    def trisample_(self, batch_size: int) -> Pipe:
        """Yield users with targets over all items: 1 if held out in this mode, -1 if seen before, else 0.

        Users without held-out items are left out. A batch takes `batch_size * n_items` bytes.

        Args:
            batch_size: users per batch.

        Raises:
            DataError: the pipe does not directly follow the data set.
        """
        from recrun.data.postprocessing.trisample import TriSample

        return self._row_wise(lambda source: TriSample(source, batch_size))

    def tensor_(self) -> Pipe:
        """Turn numpy arrays into torch tensors on the CPU, without copying and with the same dtype."""
        from recrun.data.postprocessing.tensor import ToTensor

        return self._row_wise(ToTensor)

    def split_(self, batch_size: int) -> Pipe:
        """Cut the stream into batches of `batch_size` rows, across chunk boundaries; only the last may be smaller.

        Args:
            batch_size: rows per batch.
        """
        from recrun.data.postprocessing.split import Split

        return Split(self, batch_size)

    def batch_(self, batch_size: int, drop_last: bool = False) -> Pipe:
        """Cut the stream into batches as `split_` does, optionally without an incomplete last one.

        Args:
            batch_size: rows per batch.
            drop_last: leave out the last batch if it is not full.
        """
        from recrun.data.postprocessing.split import Split

        return Split(self, batch_size, drop_last=drop_last)

    def wrap_(self, validpipe: Pipe, testpipe: Pipe | None = None) -> Pipe:
        """Join this pipe for train with others for valid and test.

        Args:
            validpipe: serves valid.
            testpipe: serves test; `validpipe` if None.

        Raises:
            DataError: the pipes start from different data sets.
        """
        from recrun.data.postprocessing.wrap import Wrap

        return Wrap(self, validpipe, testpipe)

    def group_(self, *groups: Any) -> Pipe:
        """Turn each batch into a tuple of dictionaries, one for each group of fields.

        `group_((USER, ITEM))` and `group_(USER, ITEM)` both yield `(users, items)`. A group is a tag, or a tuple of
        tags that its fields must all have: `group_(((USER, ID), (ITEM, ID)))`.

        Raises:
            DataError: there are no groups, or a group has no field.
        """
        from recrun.data.postprocessing.group import Group

        return Group(self, *groups)

    def _row_wise(self, build: Callable[[Pipe], Pipe]) -> Pipe:
        """Append a step that neither mixes rows of different ranks nor depends on the rank it runs in."""
        return build(self)


class PostProcessor(Pipe):
    """A step after another pipe.

    Args:
        source: the pipe before it.
    """

    def __init__(self, source: Pipe) -> None:
        if source.yields_groups:
            raise DataError("group_ yields tuples of dictionaries, so it must be the last step of a chain")
        self.source = source
        self.fields = source.fields

    @property
    def base(self) -> Source:
        return self.source.base

    @property
    def is_sharded(self) -> bool:
        return self.source.is_sharded

    def sizes(self, mode: Mode) -> list[int] | None:
        return self.source.sizes(mode)
