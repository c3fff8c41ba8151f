"""Notebooks in a kernel of Jupyter.

It is no dependency of recrun, so these files are collected only by `make test-jupyter`, which installs and asks for it.
"""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("RECRUN_TEST_JUPYTER") else ["test_*.py"]
