"""`expected:` in configs: how it is read, checked, inherited, and kept out of what a run is."""

from __future__ import annotations

from pathlib import Path

import pytest

from recrun.config.expected import ENTRY, dump_expected, expected_schema
from recrun.config.find import read_config
from recrun.config.resolve import resolve
from recrun.config.yaml_writer import dump_mapping
from recrun.errors import ConfigError

OURS = "  - {metric: NDCG@20, value: 0.2, tolerance: 0.01}\n"


def _file(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    file = folder / name
    file.write_text("model: bprmf\n" + text if "extends" not in text else text, encoding="utf-8")
    return file


def _faults(file: Path, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        resolve(file, overrides)
    return [str(fault).removeprefix(f"{file}:") for fault in caught.value.faults]


def test_entries_are_read_with_their_defaults(tmp_path: Path) -> None:
    published = "  - {metric: recall@10, value: 1, split: valid, from: published, source: S, protocol: P}\n"
    ours, other = resolve(_file(tmp_path, f"expected:\n{OURS}{published}")).expected
    assert (ours.metric, ours.value, ours.split, ours.origin, ours.tolerance) == ("ndcg@20", 0.2, "test", "ours", 0.01)
    assert (other.value, other.split, other.origin, other.tolerance) == (1.0, "valid", "published", None)
    assert (other.source, other.protocol) == ("S", "P")


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("3", "3:5: expected: expected a mapping (metric, value, split, from, tolerance, source, protocol), found 3"),
        ("{metric: ndcg@20, value: a, tolerance: 1}", "3:30: expected: value: expected a number, found 'a' (text)"),
        ("{metric: ndcg@20, value: 1, tolerance: -1}", "3:44: expected: tolerance: expected a number >= 0 or null"),
        (
            "{metric: ndcg@20, value: 1, toleranc: 1}",
            "3:33: expected: unknown key 'toleranc' in an entry (available: metric",
        ),
        ("{metric: ndcg@20, value: 1}", "3:5: expected: an entry with from: ours needs a tolerance"),
        ("{metric: ndcg@20, tolerance: 1}", "3:5: expected: an entry needs value"),
        ("{metric: ndcg@20, value: 1, from: published}", "3:5: expected: an entry with from: published needs a source"),
        ("{metric: ndgc@20, value: 1, tolerance: 1}", "3:14: expected: unknown metric 'ndgc' (available: "),
        ("{metric: ndcg, value: 1, tolerance: 1}", "3:14: expected: ndcg needs a cutoff"),
        ("{metric: loss, value: 1, tolerance: 1}", "3:14: expected: expected a metric, found the loss"),
        ("{metric: ndcg@7, value: 1, tolerance: 1}", "3:14: expected: ndcg@7 is not among the monitors (recall@10, "),
    ],
)
def test_a_faulty_entry_is_named_with_its_place(tmp_path: Path, entry: str, fault: str) -> None:
    assert any(each.startswith(fault) for each in _faults(_file(tmp_path, f"expected:\n  - {entry}\n")))


def test_all_faults_are_found_together_with_those_of_settings(tmp_path: Path) -> None:
    text = "expected:\n  - {metric: ndcg@3, value: 1, tolerance: 1}\n  - 4\nepochs: -1\n"
    assert [each.partition(":")[0] for each in _faults(_file(tmp_path, text))] == ["3", "4", "5"]


def test_what_is_no_list_is_refused(tmp_path: Path) -> None:
    assert _faults(_file(tmp_path, "expected: 3\n")) == [
        "2:11: expected: expected a list of mappings, found 3 (an integer)"
    ]


def test_a_number_stands_once(tmp_path: Path) -> None:
    assert _faults(_file(tmp_path, f"expected:\n{OURS}{OURS}")) == ["4:5: expected: test ndcg@20 is listed twice"]


@pytest.mark.parametrize(
    ("settings", "split", "reason"),
    [
        ("eval_test: false", "test", "no test metrics are computed with eval_test: false"),
        ("eval_valid: false", "valid", "no validation metrics are computed with eval_valid: false"),
        ("valid_ratio: 0", "valid", "no validation metrics are computed with valid_ratio: 0"),
    ],
)
def test_a_part_that_is_not_measured_cannot_be_expected(tmp_path: Path, settings: str, split: str, reason: str) -> None:
    entry = f"  - {{metric: ndcg@20, value: 1, tolerance: 1, split: {split}}}\n"
    assert any(reason in each for each in _faults(_file(tmp_path, f"{settings}\nexpected:\n{entry}")))


def test_it_is_no_setting_of_the_run(tmp_path: Path) -> None:
    with_it, without = _file(tmp_path, f"lr: 0.1\nexpected:\n{OURS}"), _file(tmp_path, "lr: 0.1\n", "other.yaml")
    assert resolve(with_it).config == resolve(without).config
    assert "expected" not in read_config(with_it).given


def test_a_config_that_changes_nothing_inherits_it_and_one_that_does_not(tmp_path: Path) -> None:
    _file(tmp_path, f"lr: 0.1\nexpected:\n{OURS}", "base.yaml")
    for line, inherits in {
        "": True,
        "description: other": True,
        "threads: 1": True,
        "lr: 0.1": True,
        "lr: 0.2": False,
        "epochs: 3": False,
        "seed: 2": False,
        "monitors: [recall@5]": False,
    }.items():
        child = resolve(_file(tmp_path, f"extends: base.yaml\n{line}\n", "child.yaml"))
        assert bool(child.expected) is inherits, line
    own = f"extends: base.yaml\nlr: 0.2\nexpected:\n{OURS.replace('0.2', '0.3')}"
    assert [entry.value for entry in resolve(_file(tmp_path, own, "child.yaml")).expected] == [0.3]


def test_of_several_bases_it_is_inherited_from_one_that_alone_computes_the_same(tmp_path: Path) -> None:
    _file(tmp_path, f"lr: 0.1\nexpected:\n{OURS}", "one.yaml")
    (tmp_path / "place.yaml").write_text("root: here\ntuned_for: Synthetic\n", encoding="utf-8")
    (tmp_path / "faster.yaml").write_text("lr: 0.5\n", encoding="utf-8")
    for bases, inherits in {
        "[one.yaml]": True,
        "[one.yaml, place.yaml]": True,
        "[place.yaml, one.yaml]": True,
        "[faster.yaml, one.yaml]": True,
        "[one.yaml, faster.yaml]": False,
    }.items():
        child = resolve(_file(tmp_path, f"extends: {bases}\n", "child.yaml"))
        assert bool(child.expected) is inherits, bases
    child = resolve(_file(tmp_path, "extends: [place.yaml, one.yaml]\nlr: 0.2\n", "child.yaml"))
    assert (child.expected, child.tuned_for) == ((), ("Synthetic",))


def test_an_override_that_changes_what_is_computed_leaves_it_out(tmp_path: Path) -> None:
    file = _file(tmp_path, f"expected:\n{OURS}")
    assert resolve(file, ["device=cpu", "verbose=0"]).expected
    assert not resolve(file, ["lr=0.5"]).expected
    assert not resolve(file, ["monitors=[recall@5]"]).expected


def test_it_cannot_be_given_on_the_command_line(tmp_path: Path) -> None:
    file = _file(tmp_path, "")
    assert "expected: belongs in a config file" in _faults(file, "expected=[]")[0]


def test_what_is_printed_reads_back(tmp_path: Path) -> None:
    text = '  - {metric: recall@10, value: 1, split: valid, from: published, source: "a: b", protocol: "c #d"}\n'
    first = resolve(_file(tmp_path, f"expected:\n{OURS}{text}"))
    again = tmp_path / "again.yaml"
    again.write_text(dump_mapping(dict(first.config)) + dump_expected(first.expected), encoding="utf-8")
    assert resolve(again).expected == first.expected
    assert dump_expected(()) == ""


def test_the_schema_knows_every_part_of_an_entry() -> None:
    items = expected_schema({"type": "string"})["items"]
    assert list(items["properties"]) == [parameter.name for parameter in ENTRY]
    assert items["required"] == ["metric", "value"]
