"""Save and load checkpoints as single safetensors files, written atomically and free of code.

The tensors are named `t0, t1, ...`. The header holds the nested state as JSON, in which `{"$tensor": "t0"}` stands for
a tensor (and similar marks for other values), the schema version, and a digest of the whole. Loading a checkpoint runs
no code. A file is replaced by one rename, so a reader sees either the old state or the new one.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from recrun.errors import CheckpointError
from recrun.files import atomic_write, open_regular, sync_folder, to_json
from recrun.memory import available_memory
from recrun.metrics.undefined import Undefined
from recrun.runs.records import CHECKPOINT_FILE

SCHEMA: Final = 1
_TENSOR: Final = "$tensor"
_PAIRS: Final = "$pairs"
_UNDEFINED: Final = "$undefined"
_FLOAT: Final = "$float"
"""Marks NaN and infinity, which JSON has not; older checkpoints hold the bare words."""
DTYPES: Final = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.uint16: "U16",
    torch.uint32: "U32",
    torch.uint64: "U64",
    torch.int8: "I8",
    torch.int16: "I16",
    torch.int32: "I32",
    torch.int64: "I64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.float64: "F64",
}
"""The types that a checkpoint may hold, with their names in safetensors."""
_BY_NAME: Final = {name: dtype for dtype, name in DTYPES.items()}
_ALIGNMENT: Final = 8
_MAX_HEADER: Final = 1 << 26
_PICKLES: Final = {".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin"}


def save_checkpoint(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write a state to a file atomically.

    Args:
        path: the file; its folder must exist.
        state: nested dicts and lists of tensors, numpy arrays, numbers, text, booleans and None.

    Raises:
        CheckpointError: the file cannot be written; an existing one is left unchanged.
        TypeError: the state holds anything else.
    """
    tree, tensors = pack_state(state)
    metadata = {"recrun.schema": str(SCHEMA), "recrun.digest": _digest(tree, tensors), "recrun.state": tree}
    try:
        atomic_write(path, _safetensors(tensors, metadata))
        sync_folder(Path(path).parent)
    except OSError as error:
        raise CheckpointError(f"cannot write the checkpoint {path}: {error.strerror}") from error


def pack_state(state: Mapping[str, Any]) -> tuple[str, dict[str, torch.Tensor]]:
    """Return a state as JSON and its tensors by name, contiguous and on the CPU.

    Raises:
        TypeError: it holds anything but what `save_checkpoint` takes.
    """
    tensors: dict[str, torch.Tensor] = {}
    return to_json(_pack(state, tensors)), tensors


def unpack_state(tree: str, tensors: Mapping[str, torch.Tensor]) -> Any:
    """Return the state that `pack_state` packed.

    Raises:
        KeyError, TypeError, ValueError, RecursionError: it is none.
    """
    return _unpack(json.loads(tree), tensors)


def load_checkpoint(path: str | Path, *, mapped: bool = False) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote; tensors are on the CPU.

    Args:
        path: the file, or the folder that holds it.
        mapped: whether tensors are pages of the file, which the system reads when they are used, instead of copies in
            memory; what is written to them is not written to the file.

    Raises:
        CheckpointError: the file is missing, damaged, not a recrun checkpoint, or of a newer version.
    """
    file = Path(path)
    if file.is_dir():
        file = file / CHECKPOINT_FILE
    if not os.path.lexists(file):
        raise CheckpointError(f"there is no checkpoint at {path}")
    if file.suffix in _PICKLES:
        raise CheckpointError(f"{file} is a pickled file, which could run code; expected a {CHECKPOINT_FILE}")
    _check_size(file, mapped=mapped)
    try:
        with open_regular(file) as stream, safe_open(str(file), framework="pt", device="cpu") as handle:
            metadata, tensors = handle.metadata() or {}, _read_tensors(stream, mapped=mapped)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file} is damaged or not a checkpoint: {error}") from error
    except (MemoryError, RuntimeError) as error:  # torch's own error for memory that it cannot get
        raise CheckpointError(f"{file} cannot be read: there is not enough memory for it") from error
    return _unpack_document(file, metadata, tensors)


def _check_size(file: Path, *, mapped: bool) -> None:
    """Check that a file is a regular one, that its header is not absurdly long, and that it fits in memory if read."""
    try:
        with open_regular(file) as stream:
            size = os.fstat(stream.fileno()).st_size
            header = int.from_bytes(stream.read(8), "little")
    except OSError as error:
        raise CheckpointError(f"{file} is damaged or not a checkpoint: {error.strerror}") from None
    if header > min(_MAX_HEADER, size):
        raise CheckpointError(f"{file} is damaged or not a checkpoint: its header would have {header:,} bytes")
    free = available_memory()
    if free is not None and size > free and not mapped:
        needs = f"needs about {size / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free"
        raise CheckpointError(f"{file} cannot be read: it {needs}")


def _read_tensors(stream: Any, *, mapped: bool) -> dict[str, torch.Tensor]:
    """Return the tensors of an open safetensors file whose header the library has checked.

    The library's own tensors are views of the mapped file: copied, they would be in memory twice.

    Raises:
        ValueError, KeyError, TypeError: another file took its place, or it has a type that checkpoints have not.
    """
    header_size = int.from_bytes(stream.read(8), "little")
    header = json.loads(stream.read(header_size))
    found = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        if mapped and end > start:
            pages = np.memmap(stream, np.uint8, "c", 8 + header_size + start, (end - start,))
            found[name] = torch.from_numpy(pages).view(_BY_NAME[entry["dtype"]]).view(entry["shape"])
            continue
        tensor = torch.empty(entry["shape"], dtype=_BY_NAME[entry["dtype"]])
        stream.seek(8 + header_size + start)
        if tensor.nbytes != end - start or (tensor.nbytes and stream.readinto(_bytes(tensor)) != tensor.nbytes):
            raise ValueError(f"{name} is not as long as it should be")
        found[name] = tensor
    return found


def _safetensors(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> Iterator[bytes | memoryview]:
    """Yield a safetensors file piece by piece; the pieces of tensors are views, not copies.

    The library's own `save` makes two more copies of everything, and a model may fill half of the memory. Tensors of
    wide types come first, so that each starts at a multiple of its width.
    """
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name in names:
        tensor, start = tensors[name], end
        end += tensor.numel() * tensor.element_size()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = to_json(header).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    yield len(text).to_bytes(8, "little")
    yield text
    for name in names:
        yield _bytes(tensors[name])


def _bytes(tensor: torch.Tensor) -> memoryview:
    """Return a view of the memory of a contiguous CPU tensor."""
    return tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else memoryview(b"")


def _unpack_document(file: Path, metadata: Mapping[str, str], tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    schema, digest, tree = (metadata.get(f"recrun.{key}") for key in ("schema", "digest", "state"))
    if schema is None or digest is None or tree is None:
        raise CheckpointError(f"{file} is a safetensors file, but not a recrun checkpoint")
    if not schema.isdecimal() or int(schema) > SCHEMA:
        raise CheckpointError(
            f"{file} has schema {schema}; this version of recrun reads up to {SCHEMA}: upgrade recrun"
        )
    if digest != _digest(tree, tensors):
        raise CheckpointError(f"{file} is damaged: its content does not match its digest")
    try:
        state = unpack_state(tree, tensors)
    except (KeyError, TypeError, ValueError, RecursionError):
        raise CheckpointError(f"{file} is damaged: its header does not match its tensors") from None
    if not isinstance(state, dict):
        raise CheckpointError(f"{file} is damaged: its state is not a mapping")
    return state


def _digest(tree: str, tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256(tree.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _pack(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Return `value` as JSON data, moving its tensors into `tensors`."""
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value)
    if isinstance(value, torch.Tensor):
        name = f"t{len(tensors)}"
        if value.dtype not in DTYPES:
            raise TypeError(f"a checkpoint cannot hold a tensor of {value.dtype}")
        tensors[name] = value.detach().to("cpu").contiguous()
        return {_TENSOR: name}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _pack(item, tensors) for key, item in value.items()}
        return {_PAIRS: [[_pack(key, tensors), _pack(item, tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_pack(item, tensors) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Undefined):
        return {_UNDEFINED: value.reason}
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")


def _unpack(tree: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(tree, list):
        return [_unpack(item, tensors) for item in tree]
    if isinstance(tree, dict):
        if tree.keys() == {_TENSOR}:
            return tensors[tree[_TENSOR]]
        if tree.keys() == {_UNDEFINED}:
            return Undefined(str(tree[_UNDEFINED]))
        if tree.keys() == {_FLOAT}:
            return float(tree[_FLOAT])
        if tree.keys() == {_PAIRS}:
            return {key: _unpack(item, tensors) for key, item in tree[_PAIRS]}
        return {key: _unpack(item, tensors) for key, item in tree.items()}
    return tree
