"""`which4best` as a list: a run takes the first, a sweep all, and every fault has its place."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from recrun.config.json_schema import config_schema
from recrun.config.resolve import Resolved, resolve
from recrun.errors import ConfigError, Fault


def _resolved(*arguments: str) -> Resolved:
    return resolve({"model": "bprmf"}, arguments)


def _faults(*arguments: str) -> list[Fault]:
    with pytest.raises(ConfigError) as caught:
        _resolved(*arguments)
    return caught.value.faults


def test_the_first_metric_chooses_the_best_epoch_and_all_are_criteria() -> None:
    found = _resolved("which4best=[NDCG@20,recall@10]")
    assert found.config["which4best"] == "ndcg@20"
    assert found.criteria == ("ndcg@20", "recall@10")
    assert found.notes == (
        "which4best: ndcg@20 chooses the best epoch; a sweep compares its points by all of the list",
    )


def test_a_list_computes_the_same_run_as_its_first_metric() -> None:
    assert dict(_resolved("which4best=[ndcg@20,recall@10]").config) == dict(_resolved("which4best=ndcg@20").config)


def test_one_metric_is_the_only_criterion_of_a_run() -> None:
    assert _resolved("which4best=ndcg@10").criteria == ("ndcg@10",)
    assert _resolved().criteria == ("ndcg@20",)
    only = _resolved("which4best=[ndcg@20]")
    assert (only.criteria, only.notes) == (("ndcg@20",), ())


def test_every_fault_of_the_list_is_found_at_its_place() -> None:
    faults = _faults("which4best=[ndcg@20,ndgc@20,recall@10,Recall@10,coverage@20,loss]")
    assert [(fault.key, fault.column) for fault in faults] == [
        ("which4best", 21),
        ("which4best", 39),
        ("which4best", 49),
        ("which4best", 61),
    ]
    assert faults[0].message.startswith("unknown metric 'ndgc'")
    assert faults[0].suggestion == "ndcg@20"
    assert faults[1].message == "recall@10 is given twice; remove one"
    assert faults[2].message.startswith("expected one of the monitors (recall@10, recall@20, ndcg@10, ndcg@20)")
    assert faults[3].message.endswith("found 'loss'")


def test_the_first_metric_must_be_monitored_too() -> None:
    (fault,) = _faults("which4best=[auc,ndcg@20]")
    assert (fault.column, fault.message) == (
        13,
        "expected one of the monitors (recall@10, recall@20, ndcg@10, ndcg@20), found 'auc'",
    )


@pytest.mark.parametrize("text", ["[]", "[1,2]", "[ndcg@20,null]", "{a: 1}"])
def test_lists_of_anything_else_are_refused(text: str) -> None:
    (fault,) = _faults(f"which4best={text}")
    assert fault.message.startswith("expected text or null, found")


def test_a_file_names_the_line_of_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text("model: bprmf\nmonitors: [ndcg@20, coverage@20]\nwhich4best:\n  - coverage@20\n  - recall@20\n")
    with pytest.raises(ConfigError) as caught:
        resolve(path)
    (fault,) = caught.value.faults
    assert (fault.file, fault.line, fault.column) == (str(path), 5, 5)


def test_an_argument_takes_the_place_of_the_list_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text("model: bprmf\nwhich4best: [ndcg@20, recall@20]\n")
    assert resolve(path).criteria == ("ndcg@20", "recall@20")
    assert resolve(path, ["which4best=recall@10"]).criteria == ("recall@10",)


def test_the_schema_of_a_config_allows_a_list() -> None:
    schema = config_schema()
    jsonschema.validate({"model": "bprmf", "which4best": ["ndcg@20", "coverage@20"]}, schema)
    for wrong in (["loss"], [], ["ndcg@20", "ndcg@20"]):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"model": "bprmf", "which4best": wrong}, schema)
