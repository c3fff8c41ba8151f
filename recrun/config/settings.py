"""Declare the settings that do not depend on the chosen components.

`RUN` applies to every run, `TRAINING` only to models trained by gradient descent: a learning rate for a closed-form
model is a mistake, and is refused. All other settings are declared by the chosen components.
"""

from __future__ import annotations

import re
from typing import Final

from recrun.config.suggestions.translations import device_of
from recrun.errors import ConfigError, Fault, nearest
from recrun.registry import DATASETS, LOSSES, MODELS, OPTIMIZERS, SAMPLERS, SCHEDULERS
from recrun.registry.component import Parameter
from recrun.registry.registry import Registry
from recrun.types import (
    Annotated,
    AppliesIf,
    Ge,
    Gt,
    Le,
    Literal,
    Lt,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Where,
)


def _run(name: str, annotation: object, default: object, help: str, *conditions: Where | AppliesIf) -> Parameter:
    return Parameter(name, annotation, default, help, "run", conditions)


def _training(name: str, annotation: object, default: object, help: str, *conditions: Where | AppliesIf) -> Parameter:
    return Parameter(name, annotation, default, help, "training", conditions)


_DRAWN: Final = AppliesIf("candidates is not None", "no candidates are drawn")
_INDEXED: Final = AppliesIf("eval_index is not None", "no index is searched")
_SAMPLED: Final = AppliesIf("eval_users is not None", "all users are evaluated")

RUN: Final[tuple[Parameter, ...]] = (
    _run(
        "description",
        str | None,
        None,
        "name of the experiment, part of the run folder's path; the model's name if null",
    ),
    _run("root", str, "data", "folder that holds the data sets"),
    _run("dataset", str, "Synthetic", "data set: a registered name, or ./file.py:Name"),
    _run(
        "item_vectors",
        list[str],
        [],
        "files of vectors of the items (texts, images), below root, for models that read them: parquet or .npy",
    ),
    _run("model", str | None, None, "model: a registered name, or ./file.py:Name"),
    _run("device", str, "auto", "auto, cpu, cuda, cuda:N, N or mps"),
    _run(
        "seed",
        Annotated[int, Ge(-1), Le(2**32 - 1)],
        1,
        "seed of initialisation and sampling; -1 draws one and records it",
    ),
    _run(
        "monitors",
        list[str],
        ["recall@10", "recall@20", "ndcg@10", "ndcg@20"],
        "metrics to compute, also ./file.py:name@10; the training loss is always recorded",
    ),
    _run(
        "which4best",
        str | None,
        None,
        "monitor that chooses the best epoch on validation; the last one listed if null. Of a list, the first: a sweep "
        "compares by all",
    ),
    _run(
        "train_on",
        Literal["train", "train_valid"],
        "train",
        "train on the train part, or on train and valid together, without validation: the last epoch counts",
    ),
    _run("eval_valid", bool, True, "evaluate on the validation part; false with train_on: train_valid"),
    _run("eval_test", bool, True, "evaluate on the test part once, at the end, with the best model"),
    _run("eval_memory", PositiveInt, 512, "memory that ranking may use besides the model, in MB"),
    _run("per_user", bool, True, "keep the metrics of each user in the run folder, to compare runs by"),
    _run(
        "candidates",
        PositiveInt | None,
        None,
        "rank so many drawn items beside the relevant ones, for tables of 1+99; all items if null",
        Where("candidates is None or candidates_path is None", "are given by candidates_path; remove one of the two"),
    ),
    _run("candidates_by", Literal["uniform", "popularity"], "uniform", "how candidates are drawn", _DRAWN),
    _run("candidates_seed", NonNegativeInt, 1, "seed of the candidates, whatever the seed of the run", _DRAWN),
    _run("candidates_path", str | None, None, "file of the candidates of each user, relative to root"),
    _run(
        "mask_seen",
        bool,
        True,
        "leave the items that a user has interacted with before out of the ranking; false ranks them too, as is usual "
        "for sessions",
    ),
    _run("eval_users", PositiveInt | None, None, "evaluate so many users, drawn uniformly; all if null"),
    _run("eval_users_seed", NonNegativeInt, 1, "seed of the evaluated users, whatever the seed of the run", _SAMPLED),
    _run(
        "eval_users_on",
        Literal["valid_test", "valid"],
        "valid_test",
        "parts on which users are drawn: both, or valid alone, with test over all users",
        _SAMPLED,
    ),
    _run("eval_index", Literal["hnsw", "ivf"] | None, None, "find items in an approximate index; exactly if null"),
    _run("eval_index_breadth", PositiveInt | None, None, "items of hnsw, or lists of ivf, that are searched", _INDEXED),
    _run(
        "groups",
        list[str],
        [],
        "groups to break final metrics down by: activity:N, popularity:N, or columns of users or items",
    ),
    _run("user_file", str | None, None, "table of users whose columns `groups` names, below root"),
    _run("item_file", str | None, None, "table of items whose columns `groups` names, below root"),
    _run(
        "threads",
        PositiveInt | Literal["auto"] | None,
        None,
        "CPU threads for computing; all available ones if null; auto times training steps with one and with all, and "
        "keeps the faster",
    ),
    _run("benchmark", bool, False, "let cuDNN choose its fastest kernels, which may differ from run to run"),
    _run("verbose", Annotated[int, Ge(0), Le(2)], 1, "0 quiet, 1 normal, 2 more"),
    _run("plots", bool, True, "draw plots at the end of the run"),
    _run(
        "track",
        list[str],
        [],
        "trackers that the run is reported to: tensorboard, mlflow, wandb, trackio, or ./file.py:Name",
    ),
    _run(
        "track_project",
        str | None,
        None,
        "project (of MLflow: experiment) at the trackers; what their environment variables say, else the description, "
        "if null",
    ),
    _run("track_checkpoint", bool, False, "also send the best checkpoint to the trackers, at the end of the run"),
    _run("resume", bool, False, "continue the run of the same id (or the newest unfinished one with these settings)"),
    _run("id", str | None, None, "name of the run folder; generated if null"),
)

TRAINING: Final[tuple[Parameter, ...]] = (
    _training("loss", str | None, None, "loss: a registered name, or ./file.py:Name; the model's default if null"),
    _training(
        "init_from",
        str | None,
        None,
        "trained run, or checkpoint, that the model starts from, rows matched by original ids; drawn at random if null",
    ),
    _training(
        "init_match",
        Literal["both", "users", "items"],
        "both",
        "whose rows are taken of init_from: items alone if its users are other people",
        AppliesIf("init_from is not None", "the model starts from no run"),
    ),
    _training("epochs", NonNegativeInt, 100, "epochs to train"),
    _training(
        "stop_epoch",
        NonNegativeInt | None,
        None,
        "epoch after which training ends, with learning rates still set for all epochs; the last one if null",
        Where("stop_epoch is None or stop_epoch <= epochs", "expected at most epochs, {epochs}, found {stop_epoch}"),
    ),
    _training("batch_size", PositiveInt, 2048, "training rows in a batch"),
    _training("optimizer", str, "adam", "optimizer"),
    _training(
        "accumulate",
        PositiveInt,
        1,
        "batches in an optimizer step, by the mean of their gradients; the last step of an epoch may have fewer",
    ),
    _training(
        "clip_norm",
        PositiveFloat | None,
        None,
        "largest norm of the gradients of a step, as one vector; longer ones are scaled down; no limit if null",
    ),
    _training(
        "ema_decay",
        Annotated[float, Gt(0), Lt(1)] | None,
        None,
        "evaluate and keep an exponential moving average of the weights, with this decay at each step; none if null",
    ),
    _training(
        "weight_decay_on",
        Literal["all", "weights", "embeddings"],
        "all",
        "what decays by weight_decay: all parameters, all but norms and biases, or the tables of embeddings",
        AppliesIf("weight_decay is not None and weight_decay > 0", "no weights decay"),
    ),
    _training("lr_scheduler", str, "none", "learning-rate schedule, by epochs or by optimizer steps"),
    _training("sampler", str, "uniform", "how negative items are drawn"),
    _training(
        "positives",
        Literal["interactions", "users"],
        "interactions",
        "an epoch visits every train interaction once, or draws as many by choosing users uniformly",
    ),
    _training(
        "shuffled_time",
        bool,
        False,
        "let a model of sequences read histories that hold items from after the held-out ones; refused if false",
    ),
    _training(
        "sequence_rows",
        Literal["all_positions", "prefixes", "windows"],
        "all_positions",
        "rows of a model of sequences: each user's latest items, of which each is predicted; each item with those "
        "before it, of which the last is predicted; or all items in windows",
    ),
    _training(
        "window_step",
        PositiveInt | None,
        None,
        "how many items a window is before the one after it; max_length if null, so that each item is predicted once",
        AppliesIf("sequence_rows == 'windows'", "it is for sequence_rows=windows, found {sequence_rows}"),
    ),
    _training("eval_freq", PositiveInt, 1, "epochs between evaluations"),
    _training("early_stop_patience", PositiveInt | None, None, "evaluations without improvement before training stops"),
    _training("checkpoint_freq", PositiveInt, 1, "epochs between checkpoints"),
    _training(
        "checkpoint_minutes", PositiveFloat, 5.0, "also write a checkpoint when the last one is this many minutes old"
    ),
    _training(
        "num_workers", NonNegativeInt, 0, "0 samples between the steps, 1 or more in a background thread; same batches"
    ),
    _training(
        "draw_on",
        Literal["auto", "host", "device"],
        "auto",
        "where batches are drawn: on the GPU if there is one with room for the interactions, always on the host, or "
        "always on the device (uniform negatives only)",
    ),
    _training(
        "precision", Literal["float32", "bf16"], "float32", "bf16 runs matrix products in bfloat16, the rest in float32"
    ),
    _training("compile_model", bool, False, "compile the model's forward pass with torch.compile"),
)

OF_SEQUENCES: Final = ("shuffled_time", "sequence_rows", "window_step")
"""The settings of models that read histories."""

COMPONENTS: Final[dict[str, Registry]] = {
    "model": MODELS,
    "dataset": DATASETS,
    "loss": LOSSES,
    "optimizer": OPTIMIZERS,
    "lr_scheduler": SCHEDULERS,
    "sampler": SAMPLERS,
}
"""The settings that choose a component, in the order in which their own settings are declared."""

CANDIDATES: Final = ("candidates", "candidates_by", "candidates_seed", "candidates_path")
"""The settings that say which items are candidates."""

EVALUATED_USERS: Final = ("eval_users", "eval_users_seed", "eval_users_on")
"""The settings that say which users are evaluated."""

INDEX: Final = ("eval_index", "eval_index_breadth")
"""The settings that say how items are found."""

PROTOCOL: Final = (*CANDIDATES, "mask_seen", *EVALUATED_USERS, *INDEX)
"""The settings that say which items are ranked, how they are found, and for which users."""

OF_EVALUATION: Final = (
    *("monitors", "which4best", "groups", "user_file", "item_file", "per_user"),
    *("device", "threads", "eval_memory", "root", "verbose"),
    *PROTOCOL,
)
"""The settings that an evaluation may change: how and where it is made, not what was trained."""

AUTO: Final = "auto"
"""The value of `threads` with which a run measures how many are faster."""

OF_USE: Final = ("root", "device", "threads", "eval_memory")
"""The settings that may change when a model is put to use: where the data is, and where and how to compute."""

USUAL_REPORTERS: Final = ("live", "log", "events", "summary")
"""The reporters of every run, in the order in which they are created and notified; those that `track` names follow."""

_DEVICE_SYNTAX: Final = re.compile(r"auto|cpu|cuda|mps|(cuda:)?(0|[1-9][0-9]*)")
_DEVICE_FORMS: Final = ("auto", "cpu", "cuda", "cuda:N", "N", "mps")


def check_device_name(device: str) -> None:
    """Check that a text names a device, without importing torch or checking that the machine has it.

    Raises:
        ConfigError: it is not one of auto, cpu, cuda, cuda:N, N and mps.

    >>> check_device_name("cuda:1")
    """
    if not _DEVICE_SYNTAX.fullmatch(device):
        message = f"expected one of {', '.join(_DEVICE_FORMS)}, found {device!r}"
        # By its letters, "gpu" would be nearest to "cpu".
        meant = device_of(device) or nearest(device, ("auto", "cpu", "cuda", "mps"))
        raise ConfigError(Fault(message, key="device", suggestion=meant))
