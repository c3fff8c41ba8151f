"""Refuse a run that cannot fit in memory or on disk, and name the settings with which it would."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from recrun.architectures.base import trains_only_embeddings
from recrun.config.resolve import Resolved
from recrun.errors import ConfigError, Fault
from recrun.memory import available_memory, is_out_of_memory
from recrun.registry import OPTIMIZERS
from recrun.report.terminal.lines import size
from recrun.training import devices
from recrun.workflows.build import made

_BYTES: Final = 4
_FILLING: Final = ("normal_", "uniform_", "bernoulli_", "exponential_", "random_")
_FEWER: Final = ("lazy_adam", "row_adagrad", "sgd")
"""Optimizers that hold less than Adam does: no dense gradients, or no running means."""
_FEW: Final = 64
"""MB with which ranking does not take much longer."""
_ROWS, _COLUMNS = 8, 64


def refuse_large_tables(resolved: Resolved, dataset: Any, runs: str | Path) -> int:
    """Refuse a run whose weights, gradients and optimizer's state do not fit, before any of them is made.

    Nothing is known of models that cannot be built without memory for their weights, nor of those in closed form.

    Args:
        resolved: a checked config.
        dataset: its data set.
        runs: the folder in which the run is to be.

    Returns:
        The bytes that checkpoints need on disk; 0 if nothing is known.

    Raises:
        ConfigError: they do not fit.
    """
    sizes = _Sizes(resolved, dataset)
    n_numbers = sizes.count(resolved)
    if n_numbers is None:
        return 0
    free, needed = _free(resolved), sizes.memory(n_numbers)
    if free is not None and needed > free:
        parts = f"{size(needed - sizes.ranking)} for {n_numbers:,} parameters with gradients and the optimizer's state"
        message = f"the run needs about {size(needed)} of memory: {parts}, {size(sizes.ranking)} for ranking"
        raise ConfigError(
            Fault(f"{message}; {size(free)} are free{sizes.advice(n_numbers, free, needed)}", key="model")
        )
    refuse_on_disk(sizes.disk(n_numbers), shutil.disk_usage(existing(runs)).free, runs, resolved.config)
    return sizes.disk(n_numbers)


def existing(path: str | Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    folder = Path(path).resolve()
    return next(each for each in (folder, *folder.parents) if each.exists())


def refuse_on_disk(needed: int | None, free: int, runs: str | Path, config: Mapping[str, Any]) -> None:
    """Refuse a run whose folder does not fit on disk.

    Args:
        needed: the bytes of its folder while checkpoints are written; None if they are not known.
        free: the bytes that are free.
        runs: the folder in which the run is to be.
        config: its settings.

    Raises:
        ConfigError: it does not fit.
    """
    if needed is None or needed <= free:
        return
    smaller = [key for key in ("embedding_dim", "hidden_dims") if key in config]
    ways = ["--runs on another disk", *(f"a smaller {key}" for key in smaller)]
    ways += ["optimizer=sgd, which has no state to save"] if config.get("optimizer") not in (None, "sgd") else []
    message = (
        f"the run needs about {size(needed)} on disk while it writes checkpoints, and {size(free)} are free in {runs}; "
        f"give {', or '.join(ways)}"
    )
    raise ConfigError(Fault(message, key="model"))


class _Sizes:
    """How large the tables of a run are, by its config.

    Args:
        resolved: its config.
        dataset: its data set.
    """

    def __init__(self, resolved: Resolved, dataset: Any) -> None:
        self._resolved, self._dataset = resolved, dataset
        self._only_embeddings = False
        self._states, self._dense = (0.0, True) if not resolved.trains else _held_by(resolved)

    def count(self, resolved: Resolved) -> int | None:
        """Return how many numbers the model of a config trains, from one without memory for them; None if unknown."""
        if not resolved.trains:
            return None
        data = self._dataset.training_data()
        with suppress(Exception), torch.device("meta"), _Unfilled():
            model: nn.Module = made(resolved, "model", data)
            self._only_embeddings = trains_only_embeddings(model)
            return sum(parameter.numel() for parameter in model.parameters())
        return None

    def memory(self, n_numbers: int, *, states: float | None = None, dense: bool | None = None) -> int:
        """Return the bytes of weights, gradients and the optimizer's state, and of what ranking may use."""
        tables = 1 + (self._states if states is None else states) + (self._dense if dense is None else dense)
        return int(n_numbers * _BYTES * tables) + self.ranking

    def disk(self, n_numbers: int) -> int:
        """Return the bytes of the last checkpoint, twice as it is replaced, and of the best one."""
        return int(n_numbers * _BYTES * (2 * (1 + self._states) + 1))

    @property
    def ranking(self) -> int:
        """The bytes that ranking takes: those it may use, as far as there are scores to fill them."""
        scores = (
            self._dataset.n_users * self._dataset.n_items * _BYTES
            if self._resolved.family.evaluation == "ranking"
            else 0
        )
        return min(int(self._resolved.config.eval_memory) << 20, scores)

    def advice(self, n_numbers: int, free: int, needed: int) -> str:
        """Return settings with which it fits, each with what is then needed; "" if there are none."""
        found = self._ways(n_numbers, free, needed)
        ways = [f"{setting} ({size(memory)})" for setting, memory in found if memory <= free]
        return f"; it fits with {' or '.join(ways)}" if ways else ""

    def _ways(self, n_numbers: int, free: int, needed: int) -> Iterator[tuple[str, int]]:
        """Yield settings that need less, each with the bytes."""
        config = self._resolved.config
        if self.ranking > _FEW << 20:
            yield f"eval_memory={_FEW}", needed - self.ranking + (_FEW << 20)
        for name in _FEWER:
            sparse = OPTIMIZERS.describe(name).traits.sparse
            if name != config.optimizer and (self._only_embeddings or not sparse):
                states, dense = _held_by(self._resolved, name)
                yield f"optimizer={name}", self.memory(n_numbers, states=states, dense=dense)
        dim = config.get("embedding_dim")
        while isinstance(dim, int) and dim > 1:
            dim //= 2
            fewer = self.count(replace(self._resolved, config=config.replace(embedding_dim=dim)))
            if fewer is not None and self.memory(fewer) <= free:
                yield f"embedding_dim={dim}", self.memory(fewer)
                return


def _free(resolved: Resolved) -> int | None:
    """Return the bytes that are free where a config computes: in main memory, or on its GPU; None if unknown."""
    device = devices.select(resolved.config.device)
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory()


def _held_by(resolved: Resolved, name: str | None = None) -> tuple[float, bool]:
    """Return how much an optimizer holds for each number that it trains, and whether it needs dense gradients.

    The first is in numbers of float32. It is tried on a small table.
    """
    table = nn.Parameter(torch.zeros(_ROWS, _COLUMNS))
    sparse = (resolved.components["optimizer"] if name is None else OPTIMIZERS.describe(name)).traits.sparse
    optimizer = made(resolved, "optimizer", [table]) if name is None else OPTIMIZERS.get(name)([table])
    table.grad = torch.ones_like(table).to_sparse(1) if sparse else torch.ones_like(table)
    optimizer.step()
    held = [value for state in optimizer.state.values() for value in state.values()]
    n_bytes = sum(value.nbytes for value in held if isinstance(value, torch.Tensor) and value.numel() > 1)
    return n_bytes / table.nbytes, not sparse


class _Unfilled(TorchFunctionMode):
    """Leaves tensors as they are where they would be filled at random.

    On the device "meta" there is nothing to fill, and torch 2.13 imports its compiler for that: 2 s and 70 MB.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Return what a function of torch returns; the tensor itself for one that fills it."""
        given = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init" or getattr(func, "__name__", "") in _FILLING:
            return given["tensor"] if "tensor" in given else args[0]
        return func(*args, **given)


class Guard:
    """Knows what a run is doing when its memory does not suffice.

    Attributes:
        coach: the short run, once it is built.
    """

    coach: Any = None

    @property
    def stage(self) -> str:
        """What it is doing."""
        return "building the model" if self.coach is None else str(self.coach.stage)


@contextmanager
def memory_guarded(resolved: Resolved) -> Iterator[Guard]:
    """Refuse what needs more memory than is free when the block is entered, rather than have the system end it.

    Args:
        resolved: the config of the run.

    Raises:
        ConfigError: memory does not suffice.
    """
    guard, free = Guard(), _free(resolved)
    on_gpu = devices.select(resolved.config.device).type == "cuda"  # its driver reserves more than it uses
    try:
        with _limited_to(None if on_gpu else free):
            yield guard
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        message = f"{guard.stage} needs more memory than the {size(free or 0)} that are free"
        ways = _ways_at(guard.stage, resolved)
        raise ConfigError(Fault(f"{message}{f'; lower {ways}' if ways else ''}", key="model")) from error


def _ways_at(stage: str, resolved: Resolved) -> str:
    """Return the settings that need less memory at a stage, with their values."""
    config = resolved.config
    by_stage = {
        "training": ("batch_size", "n_negatives", "max_length", "embedding_dim", "n_layers"),
        "evaluating": ("eval_memory", "embedding_dim"),
    }
    keys = by_stage.get(stage.split()[0], ("embedding_dim", "hidden_dims", "n_neighbors", "n_layers"))
    return ", ".join(f"{key} ({config[key]})" for key in keys if key in config and config[key] is not None)


@contextmanager
def _limited_to(free: int | None) -> Iterator[None]:
    """Let this process have no more memory in the block than it has now and so many bytes, where the system can."""
    try:
        import resource

        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        has = next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:"))
        before, most = resource.getrlimit(resource.RLIMIT_DATA)
        limit = has + (free or 0)
        if free is None or (most != resource.RLIM_INFINITY and limit > most):
            raise OSError
        resource.setrlimit(resource.RLIMIT_DATA, (limit, most))
    except (ImportError, OSError, ValueError, StopIteration):
        yield
        return
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, most))
