"""Read the trained run that another one starts from: its checkpoint, and the original ids of its users and items.

A run may be a stranger's. Nothing that it names is imported, and what it holds is read as all of a run folder is:
bounded, from regular files, without links.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recrun.config.reading import Given
from recrun.config.resolve import resolve_given
from recrun.errors import CheckpointError, RecrunError
from recrun.files import sha256_file
from recrun.registry import DATASETS
from recrun.registry.user_files import code_named_in, was_run_here
from recrun.runs.checkpoint import load_checkpoint
from recrun.runs.find import locate_checkpoint
from recrun.runs.folder import RunFolder
from recrun.runs.ids import Ids, ids_of_data, read_ids
from recrun.runs.new_folder import follow_latest
from recrun.runs.provenance import SPLIT


@dataclass(frozen=True, eq=False)
class Source:
    """A trained model to start from.

    Args:
        run: its run; None for a checkpoint outside of a run.
        file: the checkpoint.
        digest: the SHA-256 of the file.
        config: the settings that it was trained with.
        data: the hashes of its data.
        state: the tensors of the model, on the CPU, all finite.
        epoch: after how many epochs it is; None if that is not known.
    """

    run: RunFolder | None
    file: Path
    digest: str
    config: Mapping[str, Any]
    data: Mapping[str, Any]
    state: Mapping[str, Tensor]
    epoch: int | None

    @property
    def name(self) -> str:
        """The run or, for a checkpoint outside of one, the file."""
        return f"the checkpoint {self.file}" if self.run is None else f"the run {self.run.path}"


def absolute_start(path: str) -> str:
    """Return the absolute path of a run or a checkpoint, whether it is there or not; of `latest`, that of its run.

    Raises:
        CheckpointError: `latest` is a file that recrun did not write.
    """
    return str(follow_latest(Path(path)).resolve())


def read_source(path: str) -> Source:
    """Read the model to start from.

    Args:
        path: a run folder (its best checkpoint, else its last), one of its checkpoint folders, or a checkpoint file.

    Raises:
        CheckpointError: there is none, it is damaged, or holds numbers that are not finite; or it changed meanwhile.
    """
    run, file = locate_checkpoint(path)
    digest = _digest(file)
    content = load_checkpoint(file)
    if _digest(file) != digest:
        raise CheckpointError(f"{file} changed while it was read: its run is being trained; wait for its end")
    if not all(isinstance(content.get(part), dict) for part in ("config", "data", "model")):
        raise CheckpointError(f"{file} holds no model with its config")
    config, data, state = (content[part] for part in ("config", "data", "model"))
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise CheckpointError(f"{file} is damaged: its model holds {name!r}, which is no tensor")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{file} cannot be started from: {name} holds NaN or infinity")
    progress = content.get("progress")
    epoch = content.get("epoch", progress.get("epoch") if isinstance(progress, dict) else None)
    return Source(run, file, digest, config, data, state, epoch if isinstance(epoch, int) else None)


def ids_of_source(source: Source, base: Any) -> Ids:
    """Return the original ids of the model's users and items.

    They lie beside the model, unless it was trained by a version of recrun that kept none. Then they are those of the
    data at hand if the model was trained on just that, else of its own data, if that is still there unchanged.

    Args:
        source: the model to start from.
        base: the data set that is trained on now.

    Raises:
        CheckpointError: they cannot be known.
    """
    split = source.data.get(SPLIT)
    stored = read_ids(source.file)
    if stored is not None:
        if stored.data != split:
            raise CheckpointError(f"the ids beside {source.file} are of other data than its model")
        return stored
    same = ids_of_data(base)
    if same is not None and split is not None and same.data == split:
        return same
    return _rebuilt(source, split)


def _rebuilt(source: Source, split: Any) -> Ids:
    try:
        own_code = [f"{key}={file}" for key, file in code_named_in(source.config) if key in ("dataset", "split")]
        strange = [each for each in own_code if not was_run_here(each.partition("=")[2])]
        if strange:
            raise CheckpointError(f"its data is read by code that you have not run here before: {strange[0]}")
        resolved = resolve_given({str(key): Given(value) for key, value in source.config.items()}, str(source.file))
        name = resolved.components["dataset"].name
        found = ids_of_data(DATASETS.get(name)(resolved.config.root, **resolved.arguments("dataset")))
        if found is None or found.data is None or found.data != split:
            raise CheckpointError("its data is there, but has changed")
    except RecrunError as error:
        raise CheckpointError(
            f"{source.name} holds no original ids of users and items (it was made by an earlier version of recrun), "
            f"and they cannot be read from its data: {error}; put the data that it was trained on back where it was, "
            "or train it again"
        ) from None
    return replace(found, data=split)


def _digest(file: Path) -> str:
    try:
        return sha256_file(file)
    except OSError as error:
        raise CheckpointError(f"cannot read {file}: {error.strerror}") from None
