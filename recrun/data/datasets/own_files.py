"""Define the base class of data sets that are read from a user's own files."""

from __future__ import annotations

from typing import ClassVar

from recrun.data.datasets.base import RecDataSet


class OwnFiles(RecDataSet):
    """Base of data sets of a user's own files: one file (`path`) that is split here, or one for each part."""

    conditions: ClassVar = {
        "path": [
            (
                "path is not None and train_path is None and valid_path is None and test_path is None "
                "or path is None and train_path is not None and test_path is not None",
                "{dataset} needs either path, or train_path and test_path (and maybe valid_path); found "
                "path {path}, train_path {train_path}, valid_path {valid_path}, test_path {test_path}",
            ),
        ],
        "valid_path": [("not same_file(valid_path, train_path)", "two parts cannot be one file: it is train_path too")],
        "test_path": [
            ("not same_file(test_path, train_path)", "two parts cannot be one file: it is train_path too"),
            ("not same_file(test_path, valid_path)", "two parts cannot be one file: it is valid_path too"),
        ],
        "separator": [("is_separator(separator)", "a line break or a quote cannot separate columns")],
        "encoding": [("is_encoding(encoding)", "there is no encoding {encoding}")],
        "user_column": [
            (
                "user_column is None or user_column not in [item_column, rating_column, time_column, label_column]",
                "one column cannot have two roles: {user_column} is the item, rating, time or label too",
            ),
        ],
        "item_column": [
            (
                "item_column is None or item_column not in [rating_column, time_column, label_column]",
                "one column cannot have two roles: {item_column} is the rating, time or label too",
            ),
        ],
        "time_column": [
            (
                "not time_column or time_column not in [rating_column, label_column]",
                "one column cannot have two roles: {time_column} is the rating or label too",
            ),
        ],
        "user_path": [
            ("user_path is None or user_column is not None", "needs user_column, the name of the ids in both files"),
        ],
        "item_path": [
            ("item_path is None or item_column is not None", "needs item_column, the name of the ids in both files"),
        ],
        "label_column": [
            (
                "label_column not in sparse_columns and label_column not in dense_columns",
                "{label_column} is the label, so it is no feature; take it out of sparse_columns and dense_columns",
            ),
        ],
        "sparse_columns": [
            (
                "sparse_columns or dense_columns or multi_columns or user_column or item_column",
                "there are no features; name them with sparse_columns and dense_columns",
            ),
            ("disjoint(sparse_columns, dense_columns)", "a column is in dense_columns too; name each once"),
        ],
        "multi_columns": [
            ("disjoint(multi_columns, sparse_columns)", "a column is in sparse_columns too; name each once"),
            ("disjoint(multi_columns, dense_columns)", "a column is in dense_columns too; name each once"),
            ("label_column not in multi_columns", "{label_column} is the label, so it is no feature; take it out"),
        ],
        "shared_columns": [
            (
                "disjoint(shared_columns, sparse_columns) and disjoint(shared_columns, dense_columns)",
                "it names columns of multi_columns, and for each the one of sparse_columns whose categories it shares",
            ),
            (
                "disjoint(values(shared_columns), multi_columns) and disjoint(values(shared_columns), dense_columns) "
                "and disjoint(values(shared_columns), [user_column, item_column, label_column, time_column])",
                "only categories of a column of sparse_columns can be shared, found {shared_columns}",
            ),
        ],
        "split": [
            (
                "label_column is None or split != 'user_time' or user_column is not None",
                "split=user_time needs user_column",
            ),
            (
                "label_column is None or split.needs_time != True or time_column is not None",
                "split={split} needs time_column",
            ),
        ],
    }
    """The conditions between settings; those on a setting that a data set does not have do not matter to it."""
