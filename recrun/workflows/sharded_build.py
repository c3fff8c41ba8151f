"""Build a model whose large tables several processes divide, and refuse what cannot be trained so."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from recrun.config.family import family_of_class
from recrun.config.monitor_names import needs_all_scores, parse_monitor
from recrun.data.cache_folder import cache_folder
from recrun.data.interactions import CSR, TrainingData
from recrun.errors import ConfigError, DataError, Fault, TrainingError
from recrun.files import hold
from recrun.training.parallel.process_group import Processes
from recrun.training.parallel.sharded_tables import ShardedTables, tables_of
from recrun.workflows.build import build_model

if TYPE_CHECKING:
    from recrun.config.resolve import Resolved

FLAG = "--shard-embeddings"


def refuse_unsharded(resolved: Resolved) -> None:
    """Refuse settings that need whole tables in each process.

    Raises:
        ConfigError: there are some.
    """
    faults = list(_faults(resolved))
    if faults:
        raise ConfigError(faults)


def sharded_model(resolved: Resolved, data: TrainingData, processes: Processes) -> nn.Module:
    """Build a model, and divide its tables.

    A process holds whole tables meanwhile, in main memory; those of one machine build after each other.

    Args:
        resolved: the config.
        data: the train part.
        processes: this process and the others.

    Raises:
        ConfigError: the model has no table that can be divided.
    """
    with _one_at_a_time():
        model = build_model(resolved, data)
        sparse = resolved.components["optimizer"].traits.sparse
        processes.tables = ShardedTables(model, (data.n_users, data.n_items), processes, sparse=sparse)
    return model


def refuse_other_vectors(model: Any, base: Any, processes: Processes) -> None:
    """Check that a model with divided tables has vectors of the rows that it holds.

    Args:
        model: the model, with the tables of this process.
        base: the data set.
        processes: this process and the others, which divide them.

    Raises:
        ConfigError: it has not, or users are scored by more than vectors.
    """
    tables = tables_of(processes)
    assert tables is not None
    if base.given() is not None:
        raise ConfigError(f"{FLAG} cannot evaluate users that training never saw; choose another split")
    if family_of_class(type(model)).histories:
        model.take_histories(CSR.empty(tables.users.stop - tables.users.start))  # before evaluation it takes others
    try:
        with torch.no_grad():
            tables.vectors(model)
    except TrainingError as error:
        raise ConfigError(str(error)) from error
    except (RuntimeError, IndexError) as error:
        problem = f"{type(error).__name__}: {error}".splitlines()[0]
        message = f"{type(model).__name__} computes with whole tables, which are divided ({problem})"
        raise ConfigError(f"{message}; train it without {FLAG}") from error


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Run the block in one process of this machine at a time; at once where no lock can be had."""
    with ExitStack() as held:
        with suppress(OSError, DataError):
            folder = cache_folder()
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(hold(folder / f".building-{platform.node()}.lock", patience=math.inf))
        yield


def _faults(resolved: Resolved) -> Iterator[Fault]:
    config, model, loss = resolved.config, resolved.components["model"], resolved.components.get("loss")
    traits = model.traits
    if resolved.family.evaluation != "ranking" or not traits.vectors or traits.personal:
        yield Fault(f"{FLAG} needs a model that ranks by vectors of users and items, unlike {model.name}", key="model")
    elif traits.gradients not in ("sparse", "layered"):
        message = f"{FLAG} needs a model that looks up rows of its tables, and {model.name} computes with whole ones"
        yield Fault(message, key="model")
    if loss is not None and not loss.traits.takes_negatives:
        yield Fault(f"{FLAG} needs a loss of sampled items, and {loss.name} computes with all", key="loss")
    for key in ("init_from", "eval_index"):
        if config.get(key) is not None:
            yield Fault(f"{FLAG} does not work with it; remove one of the two", key=key)
    if config.get("compile_model"):
        yield Fault(f"{FLAG} does not work with it; set it to false", key="compile_model")
    for monitor in map(parse_monitor, resolved.config.monitors):
        if needs_all_scores(monitor):
            message = f"{FLAG} ranks the first items, and {monitor} needs the scores of all; remove one of the two"
            yield Fault(message, key="monitors")
