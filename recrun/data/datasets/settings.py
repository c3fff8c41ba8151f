"""Groups of settings that data sets share: how interactions are held out, and which are kept.

A data set takes a group as `**settings: Unpack[Group]` and hands it to `Preparation`. Each setting is declared here
once, with its type, default and help; a constructor's own `Args:` may say more precisely what one means there.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from recrun.types import (
    Annotated,
    AppliesIf,
    Default,
    Fraction,
    Ge,
    Gt,
    Lt,
    NonNegativeInt,
    OptionalColumn,
    PositiveFloat,
    PositiveInt,
    SplitName,
    Where,
    of_format,
)


class NewUsers(TypedDict, total=False):
    """Settings of the split that holds out users.

    Args:
        fold_in_ratio: share of a held-out user's interactions that is given to score the user by; for new_users.
        fold_in_by: which of them are given: random ones, or the earliest (time), which models of sequences need.
    """

    fold_in_ratio: Annotated[
        float,
        Gt(0),
        Lt(1),
        Default(0.8),
        AppliesIf("split.new_users and split != 'sessions'", "it is for split=new_users, found split={split}"),
    ]
    fold_in_by: Annotated[
        Literal["random", "time"],
        Default("random"),
        AppliesIf("split.new_users and split != 'sessions'", "it is for split=new_users, found split={split}"),
    ]


class Sessions(TypedDict, total=False):
    """Settings of sessions.

    Args:
        session_gap: the longest inactivity within a session, such as 30m, or a number of seconds; each user is cut into
            sessions, which take the place of users. null cuts nothing.
        session_targets: whether each item but the first of a held-out session is to be found, or only the last; for
            sessions.
        test_days: the sessions that end in so many last days are tested on; null tests on test_ratio of all sessions.
        valid_days: the sessions of so many days before those are validated on; null validates on valid_ratio of all.
    """

    session_gap: Annotated[
        str | float | None,
        Default(None),
        AppliesIf("train_path is None and split != 'given'", "the parts are given"),
        Where(
            "is_time_span(session_gap)",
            "expected a span of time above 0 such as 30m, 1.5h or 1800, found {session_gap}",
        ),
    ]
    session_targets: Annotated[
        Literal["each", "last"],
        Default("each"),
        AppliesIf("split == 'sessions'", "it is for split=sessions, found split={split}"),
    ]
    test_days: Annotated[
        PositiveFloat | None,
        Default(None),
        AppliesIf("split == 'sessions'", "it is for split=sessions, found split={split}"),
    ]
    valid_days: Annotated[
        PositiveFloat | None,
        Default(None),
        AppliesIf("split == 'sessions'", "it is for split=sessions, found split={split}"),
    ]


class ValidShare(TypedDict, total=False):
    """Settings of data sets whose train and test parts are given.

    Args:
        valid_ratio: share of each user's train interactions that is held out for validation; 0 for none.
        split_seed: seed of what is held out at random.
    """

    valid_ratio: Annotated[
        Fraction, Default(0.1), AppliesIf("valid_days is None", "valid_days says which sessions are validated on")
    ]
    split_seed: Annotated[NonNegativeInt, Default(0)]


class Shares(ValidShare, total=False):
    """Settings of every split that is made here.

    Args:
        test_ratio: share of the interactions that is tested on (of the users or items, for cold_users, new_users and
            cold_items); not for leave_one_out, leave_k and k_fold.
        valid_ratio: share of the interactions that is validated on; 0 for none.
    """

    test_ratio: Annotated[
        Fraction,
        Default(0.1),
        AppliesIf("split.without_share is None", "{split.without_share}"),
        AppliesIf("train_path is None and split != 'given'", "the parts are given"),
        AppliesIf("test_days is None", "test_days says which sessions are tested on"),
        Where(
            "test_ratio + valid_ratio < 1",
            "test_ratio {test_ratio} and valid_ratio {valid_ratio} together must be less than 1, so that something is "
            "left for train",
        ),
        Where(
            "test_ratio > 0 or eval_test != True",
            "0 leaves no test part to evaluate; set it above 0, or eval_test to false",
        ),
    ]


class Splitting(Shares, NewUsers, Sessions, total=False):
    """Settings of data sets that any split applies to.

    Args:
        split: held out is a random share of each user's interactions (ratio), each user's latest one or several, a
            fold, all of some users or items, a part of those of some users (new_users), the latest of all (time), the
            latest share of each user's, or what follows in the latest sessions (sessions).
        n_held_out: how many of each user's latest interactions are tested on; for leave_k.
        n_folds: how many folds each user's interactions are dealt to; for k_fold.
        test_fold: the fold that is tested on, from 1; for k_fold.
    """

    split: Annotated[
        SplitName,
        Default("ratio"),
        AppliesIf("train_path is None", "the parts are given by train_path and test_path"),
    ]
    n_held_out: Annotated[
        PositiveInt, Default(1), AppliesIf("split == 'leave_k'", "it is for split=leave_k, found split={split}")
    ]
    n_folds: Annotated[
        int, Ge(2), Default(5), AppliesIf("split == 'k_fold'", "it is for split=k_fold, found split={split}")
    ]
    test_fold: Annotated[
        PositiveInt,
        Default(1),
        AppliesIf("split == 'k_fold'", "it is for split=k_fold, found split={split}"),
        Where("test_fold <= n_folds", "expected at most n_folds {n_folds}, counted from 1, found {test_fold}"),
    ]


class Core(TypedDict, total=False):
    """Settings of the k-core filter.

    Args:
        min_user_interactions: least number of interactions of a user; a k-core together with the next one.
        min_item_interactions: least number of interactions of an item.
    """

    min_user_interactions: Annotated[NonNegativeInt, Default(0)]
    min_item_interactions: Annotated[NonNegativeInt, Default(0)]


class RatedCore(Core, total=False):
    """Settings of the filters of data with ratings.

    Args:
        rating_threshold: the least rating that counts as an interaction; null counts all.
    """

    rating_threshold: Annotated[float | None, Default(None)]


class Repeats(TypedDict, total=False):
    """The setting of data in which a user may meet an item several times.

    Args:
        duplicates: which of several interactions of a user with an item is kept, the first or the last in time; or all
            of them, which needs mask_seen=false.
    """

    duplicates: Annotated[Literal["first", "last", "all"], Default("last")]


class GivenParts(ValidShare, Core, Repeats, total=False):
    """Settings of data sets whose train and test parts are given, without ratings."""


class GivenRatedParts(ValidShare, RatedCore, total=False):
    """Settings of data sets whose train and test parts are given, with ratings."""


class Sequences(Shares, NewUsers, Core, total=False):
    """Settings of data sets that tell the order of interactions, and have splits of their own."""


class RatedShares(Shares, NewUsers, RatedCore, total=False):
    """Settings of data sets with ratings that have splits of their own."""


class Rated(Splitting, RatedCore, total=False):
    """Settings of data sets with ratings and times."""


class Written(TypedDict, total=False):
    """Settings of how files of a user's own are written, and which of their rows are read.

    Args:
        separator: what separates columns, one or several characters; null infers it.
        header: whether the first line is a header row; null infers it.
        encoding: encoding of text files.
        escape: the character before a quote within a quoted value, such as a backslash; null where it is doubled.
        time_format: how dates are written, a strftime format such as %d/%m/%Y; null finds out.
        filter: the condition that the rows fulfil which are kept, such as event == 'purchase'; null keeps all.
        drop_missing: columns; rows in which one of them is missing are left out.
    """

    separator: Annotated[str | None, Default(None), of_format("separator")]
    header: Annotated[bool | None, Default(None), of_format("header")]
    encoding: Annotated[str, Default("utf-8"), of_format("encoding")]
    escape: Annotated[str | None, Default(None), of_format("escape")]
    time_format: Annotated[str | None, Default(None), of_format("time_format")]
    filter: Annotated[str | None, Default(None), of_format("filter")]
    drop_missing: Annotated[list[str | int], Default([]), of_format("drop_missing")]


class WrittenColumns(Written, total=False):
    """Settings of files of interactions.

    Args:
        user_column: name of the user column (without a header row its number, from 1); null looks for usual names.
        item_column: name of the item column.
        rating_column: name of the rating column, if any.
        time_column: name of the column of times (numbers or dates), if any; "" reads none (the same for ratings).
    """

    user_column: Annotated[str | None, Default(None), of_format("user_column")]
    item_column: Annotated[str | None, Default(None), of_format("item_column")]
    rating_column: Annotated[OptionalColumn, Default(None), of_format("rating_column")]
    time_column: Annotated[OptionalColumn, Default(None), of_format("time_column")]


class LabelledRows(Written, Shares, total=False):
    """Settings of labelled rows from files of a user's own.

    Args:
        multi_columns: columns of several categories in a row, which are taken apart; names, or patterns.
        multi_separator: what stands between two categories of a row.
        multi_pooling: how the embeddings of a row's categories become one: their mean or their sum.
        shared_columns: for columns of multi_columns, the column of sparse_columns whose categories and embeddings they
            share, as a history of items those of the item.
    """

    multi_columns: Annotated[list[str], Default([])]
    multi_separator: Annotated[
        str,
        Default("|"),
        AppliesIf("multi_columns", "there are no multi_columns"),
        Where("len(multi_separator) > 0", "expected some text, found none"),
    ]
    multi_pooling: Annotated[
        Literal["mean", "sum"], Default("mean"), AppliesIf("multi_columns", "there are no multi_columns")
    ]
    shared_columns: Annotated[
        dict[str, str],
        Default({}),
        AppliesIf("multi_columns", "there are no multi_columns to share others' categories"),
    ]


class AnyInteractions(WrittenColumns, Splitting, RatedCore, Repeats, total=False):
    """Settings of data sets of which nothing is known before they are read.

    Args:
        valid_from: which share of each user's train interactions is held out for validation where the parts are given
            without one: at random, or the latest; the latest for models of sequences unless it is set.
    """

    valid_from: Annotated[
        Literal["random", "end"],
        Default("random"),
        AppliesIf("train_path is not None and valid_path is None", "it is for given parts without a valid_path"),
    ]
