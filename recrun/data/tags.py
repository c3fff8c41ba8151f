"""Define tags that say what a field is, so that code can select "the user's id" instead of a column name."""

from __future__ import annotations

from enum import Enum


class Tag(Enum):
    """One property of a field; a field has any number of them.

    `USER`, `ITEM`: what the value describes. `ID`: the value identifies that user or item. `SPARSE`, `DENSE`: a
    category or a number; added by the fields themselves. `FEATURE`: an input of the model. `TARGET`: the value to
    predict. `RATING`, `TIMESTAMP`: the strength and the time of an interaction.
    """

    USER = "user"
    ITEM = "item"
    ID = "id"
    SPARSE = "sparse"
    DENSE = "dense"
    FEATURE = "feature"
    TARGET = "target"
    RATING = "rating"
    TIMESTAMP = "timestamp"

    def __repr__(self) -> str:
        return self.name


USER = Tag.USER
ITEM = Tag.ITEM
ID = Tag.ID
SPARSE = Tag.SPARSE
DENSE = Tag.DENSE
FEATURE = Tag.FEATURE
TARGET = Tag.TARGET
RATING = Tag.RATING
TIMESTAMP = Tag.TIMESTAMP

__all__ = ["DENSE", "FEATURE", "ID", "ITEM", "RATING", "SPARSE", "TARGET", "TIMESTAMP", "USER", "Tag"]
