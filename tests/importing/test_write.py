"""What is written is a valid config, with a comment that cannot be broken out of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from recrun.config.resolve import resolve
from recrun.importing.run_import import Imported

Importer = Callable[..., Imported]


def test_the_text_reads_back_as_the_settings(import_one: Importer, tmp_path: Path) -> None:
    config = import_one("recbole", "model: SimpleX\ndataset: toys\ndata_path: 'my data: 1'\ndropout_prob: 0.3\n")
    mine = tmp_path / "mine.yaml"
    mine.write_text(config.text, encoding="utf-8")
    resolved = resolve(mine)
    assert {key: resolved.config[key] for key in config.draft.settings} == config.draft.settings
    first, *comments = [line for line in config.text.splitlines() if line.startswith("#")]
    assert first == "# SimpleX of RecBole, imported from theirs.yaml."
    assert "#   dropout_prob: 0.3" in comments
    assert "#   history_len (50 by default)" in comments


def test_a_value_cannot_leave_the_comment(import_one: Importer, tmp_path: Path) -> None:
    text = 'model: BPR\ndataset: toys\nstrange: "a\\nepochs: 1\\e[31m"\n"key\\nlr: 5": 2\n'
    config = import_one("recbole", text)
    mine = tmp_path / "mine.yaml"
    mine.write_text(config.text, encoding="utf-8")
    assert resolve(mine).config.epochs == 300
    assert "\x1b" not in config.text
    assert max(map(len, config.text.splitlines())) <= 120


def test_a_sweep_asks_for_a_validation_part_where_there_is_none(import_text: Callable[..., object]) -> None:
    text = """\
        reader: {local_path: a.tsv}
        splitter: {test_splitting: {strategy: temporal_holdout, ratio: 0.2}}
        models: {EASE: {l2: [10, 100]}}
    """
    [config] = import_text("warprec", text).configs  # type: ignore[attr-defined]
    assert config.document("my file.yaml")["sweep"] == "recrun sweep 'my file.yaml' reg_weight=10,100 valid_ratio=0.1"


def test_settings_without_a_validation_part_have_no_early_stopping(import_one: Importer) -> None:
    config = import_one("recbole", "model: BPR\ndataset: toys\neval_args: {split: {LS: test_only}, order: TO}\n")
    assert "early_stop_patience" not in config.draft.settings
    assert not any("early_stop_patience" in line.settings for line in config.draft.mapped)
    assert config.draft.not_mapped[-1].why == "early_stop_patience: 11 needs a validation part, and there is none"
