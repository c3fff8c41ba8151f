from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recrun.config.config import Config
from recrun.errors import ConfigError

VALUES = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True).filter(lambda name: not hasattr(Config, name)),
    st.none() | st.integers() | st.text() | st.lists(st.integers()),
)


@given(VALUES)
def test_a_config_is_a_mapping_whose_keys_are_attributes(values: dict[str, object]) -> None:
    config = Config(values)
    assert dict(config) == values
    assert config == values
    assert len(config) == len(values)
    for key, value in values.items():
        assert getattr(config, key) == config[key] == config.get(key) == value
        assert hasattr(config, key)


def test_a_key_that_is_not_there_names_the_nearest() -> None:
    config = Config({"learning_rate": 0.1})
    with pytest.raises(AttributeError, match="no setting 'learnig_rate'; did you mean 'learning_rate'"):
        _ = config.learnig_rate
    with pytest.raises(KeyError):
        _ = config["lr"]
    assert not hasattr(config, "lr")
    assert getattr(config, "lr", None) is None


def test_a_config_cannot_be_written_to() -> None:
    config = Config({"lr": 0.1})
    with pytest.raises(ConfigError, match="lr: a config is read-only"):
        config.lr = 0.2  # type: ignore[misc]
    with pytest.raises(ConfigError, match="read-only"):
        del config.lr
    with pytest.raises(TypeError):
        config["lr"] = 0.2  # type: ignore[index]
    assert config.lr == 0.1


def test_what_it_was_made_of_can_change_without_it() -> None:
    values = {"lr": 0.1}
    config = Config(values)
    values["lr"] = 0.2
    assert config.lr == 0.1


def test_replacing_makes_a_new_config_and_refuses_foreign_keys() -> None:
    config = Config({"lr": 0.1, "epochs": 2})
    assert config.replace(lr=0.2) == {"lr": 0.2, "epochs": 2}
    assert config.lr == 0.1
    with pytest.raises(ConfigError, match=r"epohs: unknown setting; did you mean 'epochs'\?\nx: unknown setting"):
        config.replace(epohs=3, x=1)


def test_a_config_can_be_copied() -> None:
    config = Config({"sizes": [1, 2]})
    assert copy.copy(config) == config
    deep = copy.deepcopy(config)
    assert deep == config
    deep.sizes.append(3)
    assert config.sizes == [1, 2]
    assert repr(config) == "Config({'sizes': [1, 2]})"
