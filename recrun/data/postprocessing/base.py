"""Pipes: chains of steps between a data set's interactions and a model's batches.

A pipe is a recipe, not a stream with a state. `iterate(mode, seed=..., epoch=...)` starts the stream of one epoch, and
the same arguments give the same stream again: an epoch can be redrawn, prefetched, or resumed without anything saved.

Between pipes flow dictionaries of arrays, field name -> `(B, n)`. A column read from the interactions is `(B, 1)`; the
item column is `(B, 1 + K)` once K negatives stand behind the positive.
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
    """A data set, or a step behind one. Its methods that end in `_` return a new pipe and leave this one as it was.

    Attributes:
        fields: the fields whose columns come out.
        base: the data set at the beginning of the chain.
    """

    fields: FieldTuple
    yields_groups = False

    @property
    @abstractmethod
    def base(self) -> Source:
        """The data set at the beginning of the chain."""

    @abstractmethod
    def iterate(self, mode: Mode, *, seed: int, epoch: int) -> Iterator[Any]:
        """Yield the batches of one epoch.

        Args:
            mode: the part of the data to go over; "train" and "valid" never read test.
            seed: the run's seed.
            epoch: the epoch, counted from 0.

        Raises:
            DataError: this chain cannot serve the mode.
        """

    @abstractmethod
    def sizes(self, mode: Mode) -> list[int] | None:
        """Return the number of rows of each batch that `iterate(mode)` will yield, or None when only drawing tells.

        Raises:
            DataError: this chain cannot serve the mode.
        """

    def n_batches(self, mode: Mode) -> int | None:
        """Return the number of batches that `iterate(mode)` will yield, or None when only drawing tells."""
        sizes = self.sizes(mode)
        return None if sizes is None else len(sizes)

    def n_rows(self, mode: Mode) -> int | None:
        """Return the number of rows that `iterate(mode)` will yield, or None when only drawing tells."""
        sizes = self.sizes(mode)
        return None if sizes is None else sum(sizes)

    @property
    def is_sharded(self) -> bool:
        """Whether the rows are this process's share of the rows, not all of them."""
        return False

    def shard_(self) -> Pipe:
        """Keep the rows of this process: row i belongs to rank i modulo the world size.

        Rank and world size are read from the environment variables RANK and WORLD_SIZE when iteration starts, as
        torch's launcher sets them; without them all rows stay. Pipes that work row by row are put before the shard even
        when they are chained after it, so the shares of all ranks together are the epoch of a single process.

        Raises:
            DataError: the chain is sharded already.
        """
        from recrun.data.postprocessing.shard import Shard

        return Shard(self)

    def shuffle_(self) -> Pipe:
        """Put the rows of an epoch into random order in train mode; leave valid and test as they come."""
        from recrun.data.postprocessing.shuffle import Shuffle

        return self._row_wise(Shuffle)

    def users_(self) -> Pipe:
        """Yield the users that have train items, each once, for models that are trained on whole rows.

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
        """Draw as many rows an epoch as train has: a uniform user, one of their items, and negatives.

        Args:
            num_negatives: negatives behind each positive, drawn uniformly from the items the user has not in train.
            sampler: what draws the negatives instead; it brings its own number of them.

        Raises:
            DataError: the pipe does not directly follow the data set, train is empty, or a user has every item.
        """
        from recrun.data.postprocessing.uniform_sampling import UniformSampling

        return self._row_wise(lambda source: UniformSampling(source, num_negatives, sampler))

    def sequences_(self, width: int, *, sampler: NegativeSampler | None = None) -> Pipe:
        """Yield each user's latest train items in the order of time, one row a user, users in random order.

        Args:
            width: the most items of a row.
            sampler: what draws negatives for each item; None for none.

        Raises:
            DataError: the pipe does not directly follow the data set, or no user has two train items.
        """
        from recrun.data.postprocessing.sequences import Sequences

        return self._row_wise(lambda source: Sequences(source, width, sampler))

    def negatives_for_train_(self, num_negatives: int = 1, *, sampler: NegativeSampler | None = None) -> Pipe:
        """Put negatives behind the positive of each train row.

        Args:
            num_negatives: negatives behind each positive, drawn uniformly from the items the user has not in train.
            sampler: what draws the negatives instead; it brings its own number of them.

        Raises:
            DataError: a user has every item.
        """
        from recrun.data.postprocessing.negatives import NegativesForTrain

        return self._row_wise(lambda source: NegativesForTrain(source, num_negatives, sampler))

    def negatives_for_eval_(self, num_negatives: int) -> Pipe:
        """Put distinct negatives behind each held-out positive, the same ones in every epoch.

        In valid mode they are in none of the user's train and valid rows (test is not read); in test mode, in none of
        the user's train, valid and test rows.

        Args:
            num_negatives: negatives behind each positive.
        """
        from recrun.data.postprocessing.negatives import NegativesForEval

        return self._row_wise(lambda source: NegativesForEval(source, num_negatives))

    def trisample_(self, batch_size: int) -> Pipe:
        """Yield users with targets over all items: 1 held out in this mode, -1 seen before, 0 the others.

        Users without held-out items are left out. A batch takes `batch_size * n_items` bytes.

        Args:
            batch_size: users in a batch.

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
        """Cut the stream into batches of `batch_size` rows, across the borders of chunks; only the last may be smaller.

        Args:
            batch_size: rows in a batch.
        """
        from recrun.data.postprocessing.split import Split

        return Split(self, batch_size)

    def batch_(self, batch_size: int, drop_last: bool = False) -> Pipe:
        """Cut the stream into batches as `split_` does, optionally without the smaller one at the end.

        Args:
            batch_size: rows in a batch.
            drop_last: leave out the last batch when it is not full.
        """
        from recrun.data.postprocessing.split import Split

        return Split(self, batch_size, drop_last=drop_last)

    def wrap_(self, validpipe: Pipe, testpipe: Pipe | None = None) -> Pipe:
        """Join this pipe for train with others for valid and test.

        Args:
            validpipe: serves valid.
            testpipe: serves test; `validpipe` when None.

        Raises:
            DataError: the pipes begin at different data sets.
        """
        from recrun.data.postprocessing.wrap import Wrap

        return Wrap(self, validpipe, testpipe)

    def group_(self, *groups: Any) -> Pipe:
        """Turn each batch into a tuple of dictionaries, one for each group of fields.

        `group_((USER, ITEM))` and `group_(USER, ITEM)` both yield `(users, items)`. A group is a tag, or a tuple of
        tags that its fields must all have: `group_(((USER, ID), (ITEM, ID)))`.

        Raises:
            DataError: nothing is asked for, or a group has no field.
        """
        from recrun.data.postprocessing.group import Group

        return Group(self, *groups)

    def _row_wise(self, build: Callable[[Pipe], Pipe]) -> Pipe:
        """Add a step that neither mixes rows of different ranks nor depends on which rank it runs in."""
        return build(self)


class PostProcessor(Pipe):
    """A step behind another pipe.

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
