"""Ask packages what only they know, through processes that may die of it: one that crashes or hangs is a finding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

_TIMEOUT: Final = 120.0
"""Seconds for all questions; importing torch from a slow disk takes half a minute."""
_SCRIPT: Final = Path(__file__).with_name("probe.py")


def ask(questions: Sequence[str], *, timeout: float = _TIMEOUT) -> dict[str, Mapping[str, Any]]:
    """Return the answer to each question, a mapping with "answer" or "error", or neither.

    Args:
        questions: names of modules, which are imported, and of `recrun.upkeep.doctor.probe.PROBES`.
        timeout: seconds for one process.
    """
    answers: dict[str, Mapping[str, Any]] = {}
    while left := [each for each in questions if each not in answers]:
        output, end = _run(left, timeout)
        begun = None
        for line in output.splitlines():
            try:
                said = json.loads(line)
            except ValueError:  # the last line, cut off
                continue
            begun = said.get("begins")
            if "ends" in said:
                answers[said["ends"]] = said
        if begun is not None or not any(each in answers for each in left):
            answers[begun or left[0]] = {"error": end}
    return answers


def _run(questions: Sequence[str], timeout: float) -> tuple[str, str]:
    """Return what a process printed, and how it ended."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(
            [sys.executable, str(_SCRIPT), *questions],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return (error.stdout or b"").decode("utf-8", errors="replace"), f"no answer within {timeout:g} s"
    how = f"by signal {-done.returncode}" if done.returncode < 0 else f"with exit code {done.returncode}"
    return done.stdout.decode("utf-8", errors="replace"), f"the process ended {how}"
