"""Say in words what is ranked for whom, as a result describes its protocol (`recrun.evaluation.protocol`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recrun.config.settings import EVALUATED_USERS


def protocol_text(document: Mapping[str, Any] | None) -> str:
    """Return a protocol, as a result describes it, in words; "" for all items but those seen and all users.

    >>> protocol_text({"candidates": 99, "candidates_by": "uniform", "candidates_seed": 1})
    'ranked among 99 candidates drawn uniformly (seed 1), not among all items'
    """
    if not document:
        return ""
    sampled, searched = sample_text(document), search_text(document)
    if sampled and document.keys() <= set(EVALUATED_USERS):
        return f"ranked among all items {sampled}"
    return "; ".join(filter(None, [_items_text(document), searched, sampled]))


def _items_text(document: Mapping[str, Any]) -> str:
    """Return which items are ranked, in words."""
    also = "; items that a user has seen are ranked too" if document.get("mask_seen") is False else ""
    if document.get("candidates_path") is not None:
        return f"ranked among the candidates of {document['candidates_path']}, not among all items{also}"
    if document.get("candidates") is None:
        return f"ranked among all items{also}"
    drawn = {"uniform": "uniformly", "popularity": "by popularity"}.get(str(document.get("candidates_by")), "")
    by = f"drawn {drawn} (seed {document.get('candidates_seed')})"
    return f"ranked among {document.get('candidates')} candidates {by}, not among all items{also}"


def on_split(protocol: Mapping[str, Any] | None, split: str) -> dict[str, Any] | None:
    """Return what a result says of its protocol, for one part of the two that it has numbers of; None if nothing.

    >>> on_split({"mask_seen": False, "eval_users": 100, "eval_users_seed": 1, "eval_users_on": "valid"}, "test")
    {'mask_seen': False}
    >>> on_split({"eval_users": 100, "eval_users_seed": 1, "eval_users_on": "valid_test"}, "test")
    {'eval_users': 100, 'eval_users_seed': 1}
    """
    document = dict(protocol or {})
    is_of_split = split in str(document.get("eval_users_on", split)).split("_")
    left_out = ("eval_users_on",) if is_of_split else EVALUATED_USERS
    return {key: value for key, value in document.items() if key not in left_out} or None


def sample_text(document: Mapping[str, Any]) -> str:
    """Return the sample that a result describes in words; "" for all users.

    >>> sample_text({"eval_users": 10000, "eval_users_seed": 1, "eval_users_on": "valid"})
    'for 10,000 users of valid drawn uniformly (seed 1), not for all'
    """
    n = document.get("eval_users")
    if n is None:
        return ""
    count = f"{n:,}" if isinstance(n, int) else str(n)
    on = {"valid": " of valid", "test": " of test", "valid_test": " of each part"}.get(
        str(document.get("eval_users_on")), ""
    )
    return f"for {count} users{on} drawn uniformly (seed {document.get('eval_users_seed')}), not for all"


def search_text(document: Mapping[str, Any]) -> str:
    """Return the search that a protocol describes in words; "" for an exact ranking.

    >>> search_text({"eval_index": "ivf", "eval_index_parameters": {"lists": 774, "probes": 96}})
    'found by an approximate index (ivf, lists 774, probes 96), not by an exact ranking'
    """
    if document.get("eval_index") is None:
        return ""
    parameters = document.get("eval_index_parameters")
    known = parameters.items() if isinstance(parameters, dict) else ()
    shown = ", ".join([str(document["eval_index"]), *(f"{name} {value}" for name, value in known)])
    return f"found by an approximate index ({shown}), not by an exact ranking"


def measured_text(measured: Mapping[str, Any] | None) -> str:
    """Return how well an index found the items, in words; "" if none was searched.

    Args:
        measured: by split, as `OpenSearch.measure` returns it.

    >>> measured_text({"test": {"users": 1000, "k": 20, "recall": 0.98765}})
    'the index finds 98.77 % of the exact first 20 items on test (1,000 users)'
    """
    parts = [
        f"{100 * each['recall']:.2f} % of the exact first {each['k']} items on {split} ({each['users']:,} users)"
        for split, each in (measured or {}).items()
        if each.get("recall") is not None
    ]
    return f"the index finds {', '.join(parts)}" if parts else ""
