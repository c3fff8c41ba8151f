"""Draw recommended and similar items as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recrun.report.terminal.columns import Field
from recrun.report.terminal.tables import TextTable, table


def lists_table(document: Mapping[str, Any]) -> TextTable:
    """Return the lists of users as a table: a row for each item of a single user, or a row for each of several users.

    Args:
        document: the document of `recrun recommend --json`.
    """
    caption = f"as of {document['as_of']}"
    return _lists("user", "items", document["recommendations"], "items", caption)


def similar_table(document: Mapping[str, Any]) -> TextTable:
    """Return similar items, or users, as a table.

    Args:
        document: the document of `recrun similar --json`.
    """
    kind = "item" if document["similar"] and "item" in document["similar"][0] else "user"
    by = {"cosine": "by the cosine of vectors", "score": "by the scores for a user who has only this item"}
    return _lists(kind, f"similar {kind}s", document["similar"], "similar", by[document["by"]])


def _lists(kind: str, many: str, entries: Sequence[Mapping[str, Any]], key: str, caption: str) -> TextTable:
    if len(entries) != 1:
        rows = [(str(entry[kind]), ", ".join(map(str, entry[key]))) for entry in entries]
        return table(None, (kind, Field(many, wraps=True)), rows, caption=caption)
    entry = entries[0]
    scores = entry.get("scores")
    columns = ("rank", many.removesuffix("s"), *(("score",) if scores else ()))
    ranked = [
        (str(rank), str(each), *((scores[rank - 1],) if scores else ())) for rank, each in enumerate(entry[key], 1)
    ]
    return table(f"{kind} {entry[kind]}", columns, ranked, caption=caption)
