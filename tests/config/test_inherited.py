from __future__ import annotations

from pathlib import Path

import pytest

from recrun.config import inherited
from recrun.config.resolve import resolve
from recrun.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)


def _faults(config: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        resolve(config, overrides)
    return [str(fault) for fault in caught.value.faults]


def test_a_run_on_another_data_set_than_the_settings_were_chosen_for_says_so(folder: Path) -> None:
    _write(
        folder, a="model: bprmf\ndataset: Gowalla_m1\ntuned_for: Gowalla_m1\n", b="extends: a.yaml\ndataset: LastFM\n"
    )
    assert resolve("a.yaml").notes == ()
    assert resolve("a.yaml").tuned_for == ("Gowalla_m1",)
    assert "tuned_for" not in resolve("a.yaml").config
    assert resolve("a.yaml", ["dataset=MovieLens1M"]).notes == (
        "the settings of a.yaml were chosen for Gowalla_m1, not for MovieLens1M",
    )
    assert resolve("b.yaml").notes == ("the settings of a.yaml were chosen for Gowalla_m1, not for LastFM",)


def test_a_config_may_be_tuned_for_several_data_sets_and_for_data_of_ones_own(folder: Path) -> None:
    (folder / "mine.py").write_text(
        "from recrun.data.datasets.base import RecDataSet\nclass Mine(RecDataSet):\n    'My data.'\n"
    )
    _write(folder, a="model: ease\ntuned_for: [LastFM, ./mine.py:Mine]\ndataset: LastFM\n")
    assert resolve("a.yaml").notes == resolve("a.yaml", ["dataset=./mine.py:Mine"]).notes == ()
    (note,) = resolve("a.yaml", ["dataset=Beauty"]).notes
    assert note == f"the settings of a.yaml were chosen for LastFM and {folder}/mine.py:Mine, not for Beauty"


def test_an_extending_config_that_says_what_it_was_tuned_for_replaces_the_mark(folder: Path) -> None:
    _write(
        folder,
        a="model: ease\ndataset: LastFM\ntuned_for: LastFM\n",
        b="extends: a.yaml\ndataset: Beauty\ntuned_for: Beauty\n",
    )
    assert resolve("b.yaml").notes == ()
    assert resolve("b.yaml", ["dataset=LastFM"]).notes == (
        "the settings of b.yaml were chosen for Beauty, not for LastFM",
    )


def test_the_note_names_the_bundled_configs_of_the_same_model_for_the_data(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(
        folder,
        a="model: ease\ndataset: LastFM\ntuned_for: LastFM\n",
        b="model: ease\ndataset: Beauty\ntuned_for: Beauty\n",
        c="model: bprmf\ndataset: Beauty\ntuned_for: [Beauty, LastFM]\n",
    )
    bundled = {f"mine/{name}": folder / f"{name}.yaml" for name in "abc"}
    monkeypatch.setattr(inherited, "bundled_configs", lambda: bundled)
    assert inherited.configs_tuned_for("Beauty") == ["mine/b", "mine/c"]
    assert resolve("a.yaml", ["dataset=Beauty"]).notes == (
        "the settings of a.yaml were chosen for LastFM, not for Beauty; for Beauty see mine/b",
    )


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("Gowala_m1", "a.yaml:2:12: tuned_for: unknown dataset 'Gowala_m1' (available: "),
        ("[LastFM, Beuty]", "a.yaml:2:21: tuned_for: unknown dataset 'Beuty' (available: "),
        ("[LastFM, 3]", "a.yaml:2:21: tuned_for: expected a data set, found 3"),
        ("[]", "a.yaml:2:12: tuned_for: expected a data set, or a list of them"),
        ("null", "a.yaml:2:12: tuned_for: expected a data set, or a list of them"),
        ("3", "a.yaml:2:12: tuned_for: expected a data set, or a list of them"),
        ("{a: b}", "a.yaml:2:12: tuned_for: expected a data set, or a list of them"),
        ("''", "a.yaml:2:12: tuned_for: unknown dataset '' (available: "),
    ],
)
def test_a_mark_that_names_no_data_set_is_refused(folder: Path, written: str, fault: str) -> None:
    _write(folder, a=f"model: ease\ntuned_for: {written}\n")
    (found,) = _faults("a.yaml")
    assert found.startswith(fault)
    assert found.endswith("did you mean 'Beauty'?") == ("Beuty" in written)


def test_the_mark_cannot_be_set_on_the_command_line(folder: Path) -> None:
    assert _faults("ease", "tuned_for=LastFM") == [
        "argument 1:1: tuned_for: belongs in a config file; it says for which data sets the settings there were chosen"
    ]
