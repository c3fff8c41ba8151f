"""What setup.cfg cannot say: the README for an index page, where relative links lead nowhere."""

import re
from pathlib import Path

from setuptools import setup

FILES = "https://github.com/recrun/recrun/blob/main/"

readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
setup(long_description=re.sub(r"\]\((?!https?://|#|mailto:)([^)\s]+)\)", rf"]({FILES}\1)", readme))
