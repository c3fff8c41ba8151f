"""The bundled configs: what each kind must say, and that none is left out of the package."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

from recrun.config.find import bundled_configs, read_config
from recrun.config.resolve import resolve
from recrun.registry import MODELS

NAMES = tuple(bundled_configs())
STEMS = tuple(name for name in NAMES if "/" not in name)
SYNTHETIC = tuple(name for name in NAMES if name.startswith("synthetic/"))
SAMPLE = "criteo/deepfm"
"""A config that only shows a format."""
REAL = tuple(name for name in NAMES if "/" in name and name not in (*SYNTHETIC, SAMPLE))
WITHOUT_SETTINGS = ("popularity", "random")
ANY_FILE = tuple(
    name for name in NAMES if name.startswith(("amazonelectronics_x1/", "criteo_x1/", "ml20m/", "sessions/"))
)
"""Configs of files of one's own: there is no data set to be tuned for."""


def _comment(name: str) -> str:
    lines = bundled_configs()[name].read_text(encoding="utf-8").splitlines()
    return " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))


def _settings(name: str) -> dict[str, object]:
    config = resolve(name).config
    return {key: config[key] for key in config if key != "description"}


def test_every_model_has_a_config_and_one_for_the_embedded_data() -> None:
    assert set(STEMS) == set(MODELS.names())
    assert {name.partition("/")[2] for name in SYNTHETIC} == set(MODELS.names())


@pytest.mark.parametrize("name", [name for name in STEMS if name not in WITHOUT_SETTINGS])
def test_a_config_of_a_model_names_the_source_of_its_settings(name: str) -> None:
    assert re.search(r"\b(paper|authors|et al\.|RecBoard|BARS|RecZoo|chosen (by|on))", _comment(name)), _comment(name)


@pytest.mark.parametrize("name", STEMS)
def test_a_config_of_a_model_is_for_any_data_unless_it_departs_from_its_authors(name: str) -> None:
    text = bundled_configs()[name].read_text(encoding="utf-8")
    assert ("tuned_for" in text) is (name in ("lightgcl", "ncl", "sgl", "simgcl", "xsimgcl"))
    assert resolve(name).config.dataset in ("Synthetic", "SyntheticClicks")


@pytest.mark.parametrize("name", [name for name in STEMS if resolve(name).trains])
def test_a_trained_model_stops_early_and_trains_long_enough_for_real_data(name: str) -> None:
    config = resolve(name).config
    assert config.epochs >= 100
    assert config.early_stop_patience * config.eval_freq >= (2 if config.dataset == "SyntheticClicks" else 3)


@pytest.mark.parametrize("name", SYNTHETIC)
def test_a_config_for_the_embedded_data_extends_the_models_and_says_what_it_is_for(name: str) -> None:
    text = bundled_configs()[name].read_text(encoding="utf-8")
    assert f"extends: ../{name.partition('/')[2]}.yaml\n" in text
    assert f"tuned_for: {resolve(name).config.dataset}\n" in text


@pytest.mark.parametrize("name", REAL)
def test_a_config_of_real_data_says_what_it_is_for_and_whether_it_was_run(name: str) -> None:
    text, expected = bundled_configs()[name].read_text(encoding="utf-8"), read_config(bundled_configs()[name]).expected
    entries = expected.value if expected is not None else []
    assert isinstance(entries, list)
    assert (f"tuned_for: {resolve(name).config.dataset}\n" in text) is (name not in ANY_FILE)
    measured = any(entry.get("from", "ours") == "ours" for entry in entries)
    assert measured is not ("not run here" in text.lower()), "either measured or marked as not run"
    for entry in entries:
        assert measured or (entry["source"] and entry["protocol"] and "tolerance" not in entry)


def test_settings_for_one_data_set_are_not_those_of_another() -> None:
    for model in ("ials", "enmf", "ultragcn", "simplex", "rp3beta"):
        assert _settings(model) != _settings(f"synthetic/{model}")
    assert _settings("gowalla/rp3beta")["beta"] != _settings("yelp18/rp3beta")["beta"]


def test_every_folder_of_configs_is_packaged(repository: Path) -> None:
    metadata = configparser.ConfigParser()
    metadata.read(repository / "setup.cfg", encoding="utf-8")
    folders = {path.parent.name for path in (repository / "configs").glob("*/*.yaml")}
    assert all((repository / "configs" / folder / "__init__.py").is_file() for folder in folders)
    packages = set(metadata["options"]["packages"].split())
    assert {f"recrun.configs.{folder}" for folder in folders} <= packages
    data = metadata["options.package_data"]
    assert {folder for folder in folders if data.get(f"recrun.configs.{folder}") != "*.yaml"} == set()
