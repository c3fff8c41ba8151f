"""Map what Elliot and WarpRec have in common: several models in a file, each with lists of values to try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from recrun.importing.convert import is_number
from recrun.importing.draft import MOST_VALUES, Draft, Rule, Unmapped, to
from recrun.importing.yaml_tree import Entry

RATINGS: Final = "interactions count 1 here; ratings weigh them there, unless they are made binary"
"""What differs in models that are computed from the matrix of ratings."""
_SHARES: Final = ("user_time", "ratio")
"""The kinds of splits that hold out a share."""


def held_out(draft: Draft, test: Entry, valid: Entry | None, names: Mapping[str, str], ratio: str, k: str) -> None:
    """Set the split of a section for test and one, of what is left, for validation.

    Args:
        draft: the config in the making.
        test: the section of the test part, with a strategy.
        valid: that of the validation part; None if there is none.
        names: the strategies, in small letters, and the kind of split that each is: `user_time`, `ratio`, `leave`,
            `k_fold`, or why there is none here.
        ratio: the key of the share that is held out.
        k: the key of the number that is held out of each user.
    """
    kind, settings = _part(draft, test, names, ratio, k)
    if kind is None:
        return
    _refuse_others(draft, test, kind, ratio, k)
    _repeats(draft, test, kind)
    if valid is None:
        draft.put(test, {**settings, "valid_ratio": 0}, "there is no validation part, so the last epoch is the result")
        return
    other, of_valid = _part(draft, valid, names, ratio, k)
    if other is not None:
        _refuse_others(draft, valid, other, ratio, k)
    if other is not None and other != kind:
        text = "both parts are held out in the same way here: that of the test part"
        draft.refuse(valid, text if other in _SHARES else f"{text}, with valid_ratio 0.1 unless it is set")
    share = of_valid.get("test_ratio")
    if kind == "leave" and other == "leave" and of_valid != settings:
        draft.refuse(valid, "as many interactions are held out for validation as for test here")
    elif kind == "leave" and other == "leave":
        draft.put(valid, {}, "as many as for test")
    elif kind in _SHARES and is_number(share):
        of_all = round(share * (1 - settings["test_ratio"]), 6) if is_number(settings["test_ratio"]) else share
        draft.put(valid, {"valid_ratio": of_all}, "a share of all interactions here, of what is left there")
    draft.put(test, settings)


def _refuse_others(draft: Draft, section: Entry, kind: str, ratio: str, k: str) -> None:
    """Note the keys of a section that its kind of split does not read."""
    read = {"leave": [k], "k_fold": ["folds"], "ratio": [ratio, "folds"]}.get(kind, [ratio])
    draft.refuse_others(section, ["strategy", *read])


def _repeats(draft: Draft, section: Entry, kind: str) -> None:
    """Set the axis of a split that is made several times: its folds, or the seeds of a random one."""
    folds = section.value.get("folds") if isinstance(section.value, dict) else None
    if isinstance(folds, int) and not isinstance(folds, bool) and 1 < folds <= MOST_VALUES:
        if kind == "k_fold":
            draft.axes["test_fold"] = list(range(1, folds + 1))
        elif kind == "ratio":
            draft.axes["split_seed"] = list(range(folds))


def defaults_here(draft: Draft, names: Sequence[str]) -> None:
    """Note which settings of training a config leaves out, so that the defaults here hold."""
    missing = [name for name in names if name not in draft.settings]
    if missing:
        draft.differences.append(f"not set there, so that the defaults here hold: {', '.join(missing)}")


def _part(
    draft: Draft, section: Entry, names: Mapping[str, str], ratio: str, k: str
) -> tuple[str | None, dict[str, Any]]:
    """Return the kind of split that a section is, and its settings as those of the test part."""
    written = section.value if isinstance(section.value, dict) else {}
    strategy = str(written.get("strategy", "")).lower()
    kind = names.get(strategy)
    if kind is None or " " in kind:
        draft.refuse(section, kind or f"there is no split {strategy!r} here; see recrun list splits")
        return None, {}
    folds = written.get("folds", 1)
    if kind == "k_fold":
        return "k_fold", {"split": "k_fold", "n_folds": folds, "test_fold": 1}
    number = written.get(k)
    if number is not None and (kind == "leave" or ratio not in written):
        if kind == "ratio":
            draft.refuse(section, "a number of each user's interactions is held out in time here, not at random")
            return None, {}
        one = {"split": "leave_one_out"}
        return "leave", one if number == 1 else {"split": "leave_k", "n_held_out": number}
    if ratio not in written:
        draft.refuse(section, f"names neither {ratio} nor {k}")
        return None, {}
    return kind, {"split": kind, "test_ratio": written[ratio]}


def batch(n_negatives: str) -> Rule:
    """Return the rule for a batch size that counts positives and negatives.

    Args:
        n_negatives: the key of the number of negatives of a positive.
    """

    def rule(draft: Draft, entry: Entry) -> None:
        negatives = draft.value(n_negatives, 1)
        negatives = negatives[0] if isinstance(negatives, list) and negatives else negatives

        def convert(value: Any) -> Any:
            if not is_number(value) or not is_number(negatives):
                return value
            return max(1, int(value) // max(1, 1 + int(negatives)))

        to("batch_size", convert, "a positive and its negatives are a row each there")(draft, entry)

    return rule


def least_one(value: Any) -> Any:
    """Refuse 0 negatives."""
    if value == 0:
        raise Unmapped("at least one negative is drawn here")
    return value
