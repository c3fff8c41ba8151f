"""Tables of results: which runs are in a row and in a table, where they come from, and what files hold."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from recrun.config.resolve import resolve
from recrun.errors import ConfigError
from recrun.runs.folder import RunFolder
from recrun.upkeep.board.collect import collect
from recrun.upkeep.board.document import Published, Row, Table, read_tables, to_text
from recrun.upkeep.board.merge import merged
from recrun.upkeep.board.origin import origin_of
from recrun.upkeep.board.pages import BEGIN, END, content_for, html, markdown, replaced
from recrun.upkeep.board.sheet import sheets

Train = Callable[..., RunFolder]


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Make the folder of a run that is done, as `recrun train CONFIG KEY=VALUE ...` leaves it."""
    monkeypatch.chdir(tmp_path)
    runs: list[RunFolder] = []

    def make(
        config: str, *overrides: str, value: float | None = 0.25, parts: str = "parts", **record: Any
    ) -> RunFolder:
        settings = {**resolve(config, overrides).config, "id": f"run{len(runs)}"}
        run = RunFolder.create("runs", settings)
        data = {"file.csv": "file", "split": parts}
        about: dict[str, Any] = {
            "status": "done",
            "which4best": settings["which4best"],
            "data": data,
            "argv": ["recrun", "train", config, *overrides],
            "working_folder": str(tmp_path),
            "started": f"2026-01-{len(runs) + 1:02}T00:00:00+00:00",
            "cost": {"wall_seconds": 2.0 + len(runs), "peak_memory_mb": 100.0},
            "device": "cpu",
            "hardware": {"threads": 1},
            "versions": {"recrun": "0.1.0"},
            "statistics": {"users": 6, "items": 5, "train": 20, "valid": 5, "test": 5},
        }
        run.update_run(**{**about, **record})
        test = dict.fromkeys(settings["monitors"], value)
        run.write_json(run.metrics_file, {"best_epoch": 1, "test": test, "users": {"test": 6}})
        runs.append(run)
        return run

    return make


def _only(tables: list[Table]) -> Row:
    ((row,),) = [table.rows for table in tables]
    return row


def _row(**changes: Any) -> Row:
    values: dict[str, Any] = {
        "id": "0",
        "model": "bprmf",
        "config": "configs/bprmf.yaml",
        "overrides": (),
        "repeats": ({"seed": 1},),
        "which4best": "ndcg@20",
        "metrics": {"ndcg@20": (0.25,)},
    }
    return Row(**{**values, **changes})


def _table(*rows: Row, **changes: Any) -> Table:
    values: dict[str, Any] = {"dataset": "Synthetic", "protocol": {}, "parts": ("abc",), "ranked": "", "counts": {}}
    return Table(**{**values, **changes}, rows=rows)


def test_runs_that_differ_in_seed_are_a_row_with_mean_and_sd(train: Train) -> None:
    for seed, value in ((1, 0.1), (2, 0.2), (3, 0.4)):
        train("bprmf", f"seed={seed}", value=value)
    tables, notes = collect(["runs"])
    row = _only(tables)
    assert notes == []
    assert [each["seed"] for each in row.repeats] == [1, 2, 3]
    assert row.mean("ndcg@20") == pytest.approx(0.7 / 3)
    assert row.sd("ndcg@20") == pytest.approx(statistics.stdev([0.1, 0.2, 0.4]))
    assert (row.seconds, row.peak_memory, row.device, row.date) == (3.0, 100 << 20, "cpu, 1 thread", "2026-01-03")
    assert row.command() == "recrun train configs/bprmf.yaml seed=N"


def test_other_settings_are_another_row_and_other_parts_another_table(train: Train) -> None:
    train("bprmf", value=0.1)
    train("bprmf", "lr=0.5", value=0.3)
    train("popularity", value=0.2)
    train("popularity", "split=user_time", parts="others", value=0.9)
    tables, _ = collect(["runs"])
    assert [table.protocol for table in tables] == [{"split": "ratio"}, {"split": "user_time"}]
    assert [(row.model, row.overrides) for row in tables[0].rows] == [
        ("bprmf", ("lr=0.5",)),
        ("popularity", ()),
        ("bprmf", ()),
    ], "best first"
    assert tables[1].rows[0].overrides == ("split=user_time",)


def test_what_was_ranked_among_candidates_is_in_a_table_of_its_own(train: Train) -> None:
    train("bprmf", value=0.1)
    run = train("popularity", "candidates=99", value=0.9)
    protocol = {"candidates": 99, "candidates_by": "uniform", "candidates_seed": 1}
    run.write_json(run.metrics_file, {**json.loads(run.metrics_file.read_text(encoding="utf-8")), "protocol": protocol})
    tables, _ = collect(["runs"])
    told = "ranked among 99 candidates drawn uniformly (seed 1), not among all items"
    assert [(table.ranked, table.rows[0].model) for table in tables] == [("", "bprmf"), (told, "popularity")]
    assert "Ranked among 99 candidates" in sheets(tables)[1].note


def test_rows_are_ordered_by_a_criterion_of_which_less_is_better(train: Train) -> None:
    for model, value in (("bprmf", 3.0), ("popularity", 1.0), ("ease", 2.0)):
        train(model, "monitors=[popularity@20]", "which4best=popularity@20", value=value)
    ordered, _ = collect(["runs"])
    assert [row.mean("popularity@20") for row in ordered[0].rows] in ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0])


def test_parts_that_are_drawn_anew_for_each_run_are_one_row(train: Train) -> None:
    for number in (1, 2, 3):
        train("bprmf", f"seed={number}", f"split_seed={number}", parts=f"parts{number}", value=number / 10)
    tables, _ = collect(["runs"])
    row = _only(tables)
    assert tables[0].parts == ("parts1", "parts2", "parts3")
    assert row.command() == "recrun train configs/bprmf.yaml seed=N split_seed=N"
    assert sheets(tables)[0].rows[0][1].text == "3 (seed and split_seed 1, 2, 3)"


def test_seeds_on_parts_that_are_partly_the_same_are_not_averaged(train: Train) -> None:
    train("bprmf", "seed=1", parts="one")
    train("bprmf", "seed=2", parts="one")
    train("bprmf", "seed=3", "split_seed=7", parts="two")
    tables, _ = collect(["runs"])
    assert [[len(row.repeats) for row in table.rows] for table in tables] == [[2], [1]]


def test_of_the_same_run_twice_the_newest_counts(train: Train) -> None:
    first, second = train("bprmf", value=0.1), train("bprmf", value=0.2)
    tables, notes = collect(["runs"])
    assert _only(tables).metrics["ndcg@20"] == (0.2,)
    assert notes == [f"{first.path} has the settings and the seed of {second.path}, which counts"]


def test_a_metric_that_one_run_lacks_or_that_is_undefined_has_no_mean(train: Train) -> None:
    train("bprmf", "seed=1", "monitors=[ndcg@20, recall@5]")
    train("bprmf", "seed=2", "monitors=[ndcg@20]")
    row = _only(collect(["runs"])[0])
    assert row.mean("recall@5") is None
    assert row.mean("ndcg@20") == 0.25
    train("popularity", value=None)
    (table,) = collect(["runs", "model=popularity"])[0]
    assert table.rows[0].metrics["ndcg@20"] == (None,)
    assert sheets([table])[0].rows[0][2].text == "-"


def test_runs_without_test_and_unfinished_ones_are_named(train: Train) -> None:
    run, other = train("bprmf"), train("popularity")
    train("ease")
    run.write_json(run.metrics_file, {"best_epoch": 1, "valid": {"ndcg@20": 0.1}, "test": None})
    other.update_run(status="failed")
    tables, notes = collect(["runs"])
    assert _only(tables).model == "ease"
    assert any("popularity" in note and "failed" in note for note in notes)
    assert f"left out: {run.path} has no metrics on test" in notes
    with pytest.raises(ConfigError, match="no run has metrics on test: runs/bprmf"):
        collect(["model=bprmf"])


def test_the_metrics_can_be_chosen_and_an_unknown_one_is_refused(train: Train) -> None:
    train("bprmf")
    train("popularity", "monitors=[recall@5]", "which4best=recall@5")
    train("popularity", "split=user_time", "monitors=[recall@5]", "which4best=recall@5", parts="others")
    assert list(_only(collect(["runs"], metrics=["ndcg@20"])[0]).metrics) == ["ndcg@20"]
    with pytest.raises(ConfigError, match="no run has ndgc@20 on test; did you mean 'ndcg@20'"):
        collect(["runs"], metrics=["ndgc@20"])


# Where a run comes from


def _origin(config: str, *overrides: str, argv: list[str] | None = None) -> Any:
    settings = dict(resolve(config, overrides).config)
    return origin_of(settings, ["recrun", "train", config, *overrides] if argv is None else argv, ".")


def test_published_values_are_those_of_the_config_unless_something_else_is_computed() -> None:
    origin = _origin("gowalla/gfcf", "seed=7", "root=/elsewhere", "monitors=[recall@20]")
    assert origin.config == "configs/gowalla/gfcf.yaml"
    assert origin.overrides == ("monitors=[recall@20]",)
    assert [(each.metric, each.value) for each in origin.published] == [("recall@20", 0.1849), ("ndcg@20", 0.1518)]
    assert _origin("gowalla/gfcf", "valid_ratio=0.1").published == ()


@pytest.mark.parametrize(
    ("config", "overrides"),
    [
        ("synthetic/ease", ["dataset=MovieLens100K", "split=user_time", "which4best=ndcg@10", "monitors=[ndcg@10]"]),
        ("bprmf", ["loss=bce", "optimizer=sgd", "momentum=0.5", "lr=0.1"]),
        ("bprmf", ["model=ease"]),
        ("bprmf", ["test_ratio=0.2", "sampler=popularity", "embedding_dim=8"]),
    ],
)
def test_the_command_of_a_row_trains_the_same(config: str, overrides: list[str]) -> None:
    origin = _origin(config, *overrides)
    again = resolve(origin.config, list(origin.overrides)).config
    wanted = resolve(config, overrides).config
    assert {key: again[key] for key in again} == {key: wanted[key] for key in wanted}
    assert len(origin.overrides) <= len(overrides)


def test_a_bundled_config_is_found_where_the_command_names_none() -> None:
    assert _origin("gowalla/popularity", argv=[]).config == "configs/gowalla/popularity.yaml"
    assert _origin("gowalla/popularity", argv=["recrun", "train", "none.yaml"]).config is not None
    assert _origin("bprmf", "lr=0.123", argv=[]).config is None


def test_settings_that_came_later_do_not_hide_the_config_of_a_run() -> None:
    settings = dict(resolve("gowalla/gfcf").config)
    del settings["eval_memory"], settings["candidates"]
    argv = ["recrun", "train", "gowalla/gfcf"]
    assert origin_of(settings, argv, ".").config == "configs/gowalla/gfcf.yaml"
    assert origin_of({**settings, "unheard_of": 1}, argv, ".").config is None
    del settings["valid_ratio"]
    assert origin_of(settings, argv, ".").config is None, "the config sets it"


def test_runs_of_an_earlier_version_are_replaced_with_a_note(train: Train) -> None:
    earlier = train("bprmf", value=0.1)
    settings = {key: value for key, value in earlier.read_settings().items() if key != "embedding_dropout"}
    earlier.change_settings(settings)
    train("bprmf", value=0.2)
    tables, notes = collect(["runs"])
    assert _only(tables).metrics["ndcg@20"] == (0.2,)
    assert len(notes) == 1
    assert notes[0].startswith("only the newest runs of `recrun train configs/bprmf.yaml` count")


def test_a_config_of_ones_own_is_named_if_it_lies_below_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "mine.yaml").write_text("extends: bprmf\nlr: 0.5\n", encoding="utf-8")
    settings = dict(resolve(tmp_path / "mine.yaml").config)
    argv = ["recrun", "train", "mine.yaml"]
    monkeypatch.chdir(tmp_path)
    assert origin_of(settings, argv, str(tmp_path)).config == "mine.yaml"
    monkeypatch.chdir(tmp_path / "here")
    assert origin_of(settings, argv, str(tmp_path)).config is None


def test_a_trial_comes_from_the_config_of_its_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trials = tmp_path / "runs/sweeps/mf-0/trials"
    trials.mkdir(parents=True)
    (trials / "0.yaml").write_text("extends: bprmf\n", encoding="utf-8")
    ledger = {"points": [{"config": "configs/bprmf.yaml"}]}
    (trials.parent / "sweep.json").write_text(json.dumps(ledger), encoding="utf-8")
    settings = dict(resolve("bprmf", ["lr=0.5"]).config)
    origin = origin_of(settings, ["recrun", "train", "runs/sweeps/mf-0/trials/0.yaml"], str(tmp_path))
    assert (origin.config, origin.overrides) == ("configs/bprmf.yaml", ("lr=0.5",))


def test_a_trial_of_several_configs_comes_from_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trials = tmp_path / "runs/sweeps/mf-0/trials"
    trials.mkdir(parents=True)
    (tmp_path / "mine.yaml").write_text("extends: bprmf\nlr: 0.25\n", encoding="utf-8")
    (trials / "3.yaml").write_text("extends: bprmf\n", encoding="utf-8")
    ledger = {
        "configs": {"itemknn": "/lib/itemknn.yaml", "mine": "mine.yaml"},
        "points": [{"config": "itemknn"}, {"config": "mine"}],
        "trials": [{"trial": 0, "config": "itemknn"}, {"trial": 3, "config": "mine"}],
    }
    (trials.parent / "sweep.json").write_text(json.dumps(ledger), encoding="utf-8")
    settings = dict(resolve("bprmf", ["lr=0.25"]).config)
    origin = origin_of(settings, ["recrun", "train", "runs/sweeps/mf-0/trials/3.yaml"], str(tmp_path))
    assert origin.config == "mine.yaml"


# Files


def test_tables_are_read_as_they_were_written(train: Train, tmp_path: Path) -> None:
    for seed in (1, 2):
        train("gowalla/gfcf", f"seed={seed}", value=1 / 3)
    tables, _ = collect(["runs"])
    (tmp_path / "board.json").write_text(to_text(tables), encoding="utf-8")
    assert read_tables("board.json") == tables
    assert collect(["board.json"])[0] == tables
    assert len((tmp_path / "board.json").read_text(encoding="utf-8").splitlines()) == 5, "a line for each row"


def test_runs_are_added_to_tables_and_replace_their_own_rows(train: Train, tmp_path: Path) -> None:
    train("bprmf", value=0.1)
    train("ease", value=0.2)
    (tmp_path / "board.json").write_text(to_text(collect(["runs"])[0]), encoding="utf-8")
    train("bprmf", value=0.3)
    train("popularity", value=0.05)
    (table,) = collect(["board.json", "runs", "model!=ease"])[0]
    assert [(row.model, row.mean("ndcg@20")) for row in table.rows] == [
        ("bprmf", 0.3),
        ("ease", 0.2),
        ("popularity", 0.05),
    ]


def test_further_seeds_join_the_runs_that_a_file_has(train: Train, tmp_path: Path) -> None:
    for seed, value in ((1, 0.1), (2, 0.2), (3, 0.3)):
        train("bprmf", f"seed={seed}", value=value)
    (tmp_path / "board.json").write_text(to_text(collect(["runs", "seed<3"])[0]), encoding="utf-8")
    tables, notes = collect(["board.json", "runs", "seed=3"])
    assert notes == []
    assert collect(["runs"])[0] == tables
    row = _only(tables)
    assert row.metrics["ndcg@20"] == (0.1, 0.2, 0.3)
    assert row.command() == "recrun train configs/bprmf.yaml seed=N"
    train("bprmf", "seed=2", value=0.9, versions={"recrun": "0.2"})
    (tmp_path / "board.json").write_text(to_text(tables), encoding="utf-8")
    tables, notes = collect(["board.json", "runs", "seed=2"])
    assert _only(tables).metrics["ndcg@20"] == (0.1, 0.9, 0.3)
    assert [note for note in notes if "made with different versions: 0.1.0, 0.2" in note]


def test_runs_of_other_code_are_not_in_a_row_together(train: Train, tmp_path: Path) -> None:
    file = tmp_path / "my.py"
    file.write_text("from recrun.models import BPRMF\n\nclass Mine(BPRMF): pass\n", encoding="utf-8")
    for seed, digest in ((2, "a"), (3, "a"), (1, "b")):
        train("bprmf", f"model={file}:Mine", f"seed={seed}", code={str(file): digest * 64})
    tables, notes = collect(["runs"])
    assert [repeat["seed"] for repeat in _only(tables).repeats] == [1]
    assert len(notes) == 1
    assert notes[0].endswith("count: the earlier ones had other settings or other code")


def test_a_row_of_the_same_command_is_the_same_in_a_later_version_with_more_settings() -> None:
    (table,) = merged([_table(_row(id="old")), _table(_row(id="new"), _row(id="own", config=""))])
    assert [row.id for row in table.rows] == ["new", "own"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(kind="other"), "holds no tables of results"),
        (lambda d: d.update(schema=99), "has schema 99"),
        (lambda d: d.update(tables={}), "is damaged: expected a list"),
        (lambda d: d["tables"][0].update(dataset=7), "is damaged: expected a text"),
        (lambda d: d["tables"][0].pop("counts"), "is damaged: a table has the keys dataset, protocol"),
        (lambda d: d["tables"][0]["rows"][0].update(more=1), "is damaged: a row has the keys id, model"),
        (lambda d: d["tables"][0]["rows"][0]["metrics"].update(x=[1, 2]), "has not as many values as runs"),
        (lambda d: d["tables"][0]["rows"][0]["metrics"].update(x=["1"]), "is damaged: expected a number"),
        (lambda d: d["tables"][0]["rows"][0].update(repeats=[]), "has not as many values as runs"),
        (lambda d: d["tables"][0]["rows"][0].update(peak_memory=-1), "is damaged: expected a count"),
        (lambda d: d["tables"][0]["rows"][0].update(repeats=[{"seed": [1]}]), "is damaged: expected a text"),
        (lambda d: d["tables"][0].update(parts=[]), "is damaged: a table needs parts"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    document = json.loads(to_text([_table(_row())]))
    change(document)
    file = tmp_path / "board.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_tables(file)


HOSTILE = "a|b <script>alert(1)</script> [x](javascript:1) `c` *d* \x1b[31m\n| e |"


def _hostile() -> Table:
    published = (Published("ndcg@20", 0.5, HOSTILE, HOSTILE),)
    row = _row(model=HOSTILE, config=HOSTILE, metrics={HOSTILE: (0.1,), "ndcg@20": (0.1,)}, published=published)
    return _table(row, dataset=HOSTILE, protocol={HOSTILE: HOSTILE})


def test_markdown_shows_hostile_text_as_it_is() -> None:
    page = markdown([_hostile()])
    assert "\x1b" not in page
    lines = [line for line in page.splitlines() if line.startswith("|")]
    assert len(lines) == 3
    for line in lines:
        assert line.replace("\\|", "").count("|") == 7
        outside = "".join(line.split("``")[::2])
        assert "<" not in outside
        assert not any(f" {mark}" in outside for mark in ("`c", "*d", "[x"))


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_whole_and_has_no_tags_of_strangers() -> None:
    tags = _Tags()
    tags.feed(html([_hostile(), _table(_row())]))
    assert tags.open == []
    assert "script" not in tags.seen
    assert {"table", "thead", "tbody", "tr", "th", "td", "code", "h2", "style"} <= tags.seen


@pytest.mark.parametrize(
    ("values", "shown"),
    [((0.2, 0.2002), "0.2001 (0.0001)"), ((101.0, 103.0), "102 (1)"), ((2e-7, 4e-7), "3e-07 (1.414e-07)")],
)
def test_a_deviation_has_as_many_decimals_as_its_mean(values: tuple[float, ...], shown: str) -> None:
    row = _row(repeats=({"seed": 1}, {"seed": 2}), metrics={"x": values})
    assert sheets([_table(row)])[0].rows[0][2].text == shown


def test_overrides_of_all_rows_are_said_once() -> None:
    rows = [_row(id=str(n), overrides=("dataset=X", f"lr={n}")) for n in (1, 2)]
    (sheet,) = sheets([_table(*rows)])
    assert sheet.ending == "dataset=X"
    assert [row[-1].text for row in sheet.rows] == [f"recrun train configs/bprmf.yaml lr={n}" for n in (1, 2)]
    page = markdown([_table(*rows)])
    assert "Added to each command: `dataset=X`" in page
    assert sheets([_table(rows[0])])[0].ending == ""


def test_only_the_tables_of_a_page_are_replaced() -> None:
    page = f"# Mine\n\ntext\n\n### Measured\n\n{BEGIN}\nold\n{END}\n\nend *here*\n"
    text = replaced(page, [_table(_row())], "page.md")
    assert text.startswith(f"# Mine\n\ntext\n\n### Measured\n\n{BEGIN}\n\nMeans over runs")
    assert text.endswith(f"\n\n{END}\n\nend *here*\n")
    assert "\n#### Synthetic\n" in text
    assert "old" not in text
    assert replaced(text, [_table(_row())], "page.md") == text


def test_what_is_around_the_tables_of_a_page_stays_byte_by_byte() -> None:
    above = "# Mine\r\n\r\n```\n# no heading\n```\na\x0cb\u2028c\r\n"
    page = f"{above}{BEGIN}\r\nold\r\n{END}\r\nafter\x0b\r\nthe end"
    text = replaced(page, [_table(_row())], "page.md")
    assert text.startswith(f"{above}{BEGIN}\r\n\r\nMeans over runs")
    assert text.endswith(f"\r\n{END}\r\nafter\x0b\r\nthe end")
    assert "\r\n## Synthetic\r\n" in text
    assert text.replace("\r\n", "").count("\n") == 3
    assert replaced(text, [_table(_row())], "page.md") == text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("page.md", "mine", "page.md exists; put the lines <!-- tables by recrun board --> and"),
        ("page.md", f"{END}\n{BEGIN}\n", "put the lines"),
        ("page.html", "<p>mine", "page.html exists, and was not written by recrun board"),
        ("page.json", "{}", "page.json holds no tables of results"),
        ("page.txt", None, r"expected a file that ends with \.md, \.html, \.json, or - for stdout"),
    ],
)
def test_a_file_that_is_not_of_tables_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str | None, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        content_for(name, [_table(_row())])


@pytest.mark.parametrize("name", ["page.md", "page.html", "page.json"])
def test_what_was_written_can_be_written_again(tmp_path: Path, name: str) -> None:
    for _ in range(2):
        content = content_for(tmp_path / name, [_table(_row())])
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert content_for(tmp_path / name, [_table(_row())]) == content


def test_numbers_are_kept_unrounded(tmp_path: Path) -> None:
    value = math.pi / 10
    (tmp_path / "board.json").write_text(to_text([_table(_row(metrics={"ndcg@20": (value,)}))]), encoding="utf-8")
    assert read_tables(tmp_path / "board.json")[0].rows[0].metrics["ndcg@20"] == (value,)
