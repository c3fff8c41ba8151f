"""Provide `Config`, a read-only mapping of settings whose keys are also attributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from recrun.config.suggestions.keys import meant_setting
from recrun.errors import ConfigError, Fault


class Config(Mapping[str, Any]):
    """A flat, read-only mapping with attribute access: `cfg.lr` is `cfg["lr"]`.

    Args:
        values: the settings.

    Raises:
        AttributeError, KeyError: on reading a key that is not there.
        ConfigError: on writing.

    >>> cfg = Config({"lr": 0.001})
    >>> cfg.lr, cfg["lr"], dict(cfg)
    (0.001, 0.001, {'lr': 0.001})
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_values", dict(values))

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, key: str) -> Any:
        if key.startswith("_"):
            raise AttributeError(key)
        try:
            return self._values[key]
        except KeyError:
            # An AttributeError keeps hasattr() and getattr() with a default working as for any object.
            guess = meant_setting(key, self._values)
            raise AttributeError(f"no setting {key!r}" + (f"; did you mean {guess!r}?" if guess else "")) from None

    def __setattr__(self, key: str, value: Any) -> None:
        raise ConfigError(Fault("a config is read-only; use replace() to get a changed copy", key=key))

    def __delattr__(self, key: str) -> None:
        raise ConfigError(Fault("a config is read-only; settings cannot be removed", key=key))

    def __repr__(self) -> str:
        return f"Config({self._values!r})"

    def __reduce__(self) -> tuple[type[Config], tuple[dict[str, Any]]]:
        # The default protocol sets attributes, which is refused; so copying and pickling call the constructor.
        return Config, (self._values,)

    def replace(self, **changes: Any) -> Config:
        """Return a copy with some values changed.

        Raises:
            ConfigError: a key is not in the config.
        """
        foreign = [key for key in changes if key not in self._values]
        if foreign:
            raise ConfigError(
                [Fault("unknown setting", key=key, suggestion=meant_setting(key, self._values)) for key in foreign]
            )
        return Config({**self._values, **changes})
