"""What docs/sweeps.md says of spaces is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recrun.config.sweep_section import BUDGET_KEYS, KEYS
from recrun.sweep.planning.own_section import section_faults
from recrun.sweep.space.arguments import parse_settings


@pytest.fixture
def part(repository: Path) -> str:
    """The section on spaces."""
    page = (repository / "docs" / "sweeps.md").read_text(encoding="utf-8")
    return page.partition("\n## Spaces\n")[2].partition("\n## ")[0]


def test_the_example_of_a_section_is_valid(part: str, tmp_path: Path) -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```", part, re.DOTALL | re.MULTILINE)
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    assert section_faults(tmp_path / "study.yaml") == []


def test_the_example_of_faults_is_what_is_printed(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(
        "extends: bprmf\nsweep:\n  serch: random\n  search: random\n  space:\n    weight_decay: 0..0.5:lgo\n"
        "    optimizer:\n      adam: {momentum: 0..0.9}\n",
        encoding="utf-8",
    )
    shown = re.findall(r"^study\.yaml:.*$", part, re.MULTILINE)
    assert shown == [str(fault) for fault in section_faults("study.yaml")]


def test_the_table_of_keys_is_complete(part: str) -> None:
    rows = [f"| `{each.name}` | {each.help} |" for each in KEYS]
    rows += [f"| `budget.{each.name}` | {each.help} |" for each in BUDGET_KEYS]
    table = part.partition("| key | meaning |\n| --- | --- |\n")[2].partition("\n\n")[0]
    assert table.splitlines() == rows


def test_every_range_of_the_table_is_one(part: str) -> None:
    table = part.partition("| written as | meaning |")[2].partition("\n\n")[0]
    written = re.findall(r"^\| `(\S+)` \|", table, re.MULTILINE)
    for each in written:
        settings, faults = parse_settings([each])
        assert (faults, settings[0].range is not None) == ([], True)
    assert len(written) == 5
