"""Refuse a run whose monitors the data leaves undefined, before anything starts."""

from __future__ import annotations

from collections.abc import Mapping

from recrun.errors import ConfigError, Fault
from recrun.metrics.undefined import undefined_text
from recrun.training.run_settings import RunSettings


def refuse_undefined(settings: RunSettings, undefined: Mapping[str, Mapping[str, str]], *, is_new: bool) -> None:
    """Check that a run can compute its monitors.

    Args:
        settings: the settings of the run.
        undefined: by split to be evaluated, the monitors that the data leaves undefined, with the reasons.
        is_new: whether the run is new; one that is continued or repeated is refused only if nothing can choose its best
            epoch, and its other undefined metrics are null.

    Raises:
        ConfigError: it cannot; each fault says what to set.
    """
    criterion = str(settings.which4best)
    left_out = {name for found in undefined.values() for name in found}
    others = [str(name) for name in settings.metrics if str(name) not in left_out]
    remaining = f"monitors=[{','.join(others)}]"
    faults = []
    for split, found in undefined.items():
        for name, why in found.items():
            chooses = split == "valid" and name == criterion
            if not (chooses or is_new):
                continue
            key = "which4best" if chooses else "monitors"
            remedy = "monitor another metric" if not others else f"leave it out with {remaining}"
            if name == criterion and others:
                remedy = f"set which4best={others[-1]} {remaining}"
            if split == "test":
                remedy += ", or set eval_test=false"
            faults.append(Fault(f"{undefined_text({split: {name: why}})[0]}; {remedy}", key=key))
    if faults:
        raise ConfigError(faults)
