"""Checkpoints: complete, atomic, and never code."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import pickle
import struct
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file

from recrun.errors import CheckpointError
from recrun.metrics.undefined import Undefined
from recrun.runs.checkpoint import SCHEMA, load_checkpoint, save_checkpoint


def test_a_nested_state_comes_back_as_it_was(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": {"epoch": 3, "best": None, "value": float("nan"), "history": [[0, 0.5]]},
        "words": np.arange(4),
        "empty": torch.zeros(0, 3),
    }
    save_checkpoint(tmp_path / "checkpoint.safetensors", state)
    loaded = load_checkpoint(tmp_path)

    assert loaded["progress"]["epoch"] == 3
    assert loaded["progress"]["value"] != loaded["progress"]["value"]
    assert loaded["optimizer"]["state"].keys() == {0, 1}, "integer keys stay integers"
    assert torch.equal(loaded["model"]["weight"], model.weight)
    assert torch.equal(loaded["optimizer"]["state"][0]["exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"])
    assert loaded["words"].tolist() == [0, 1, 2, 3]
    assert loaded["empty"].shape == (0, 3)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_subnormal=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(state=st.dictionaries(st.text(max_size=5), plain, max_size=4))
def test_any_plain_state_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, state: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint.safetensors"
    save_checkpoint(path, {"state": state, "tensor": torch.ones(2)})
    assert load_checkpoint(path)["state"] == state


TYPES = (
    *(torch.bool, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint8, torch.uint16, torch.uint32, torch.uint64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
)


@pytest.mark.parametrize("shape", [(), (0, 3), (3,), (5, 3)])
def test_the_library_reads_what_was_written_for_every_type(tmp_path: Path, shape: tuple[int, ...]) -> None:
    state = {str(kind): (torch.arange(15.0)[: int(np.prod(shape))].reshape(shape) % 3).to(kind) for kind in TYPES}
    state["turned"] = torch.arange(6.0).reshape(2, 3).T
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, state)
    read = load_file(path)
    for place, (name, tensor) in enumerate(state.items()):
        assert read[f"t{place}"].dtype == tensor.dtype, name
        assert torch.equal(read[f"t{place}"], tensor), name
        assert torch.equal(load_checkpoint(path)[name], tensor), name


def test_a_tensor_of_a_type_that_the_format_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"cannot hold a tensor of torch\.complex128"):
        save_checkpoint(tmp_path / "c.safetensors", {"waves": torch.zeros(2, dtype=torch.complex128)})


def test_saving_takes_no_copy_of_the_tensors(tmp_path: Path) -> None:
    large = torch.ones(4_000_000)
    tracemalloc.start()
    try:
        save_checkpoint(tmp_path / "checkpoint.safetensors", {"model": {"weight": large}})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.1 * large.numel() * large.element_size()


def test_what_is_not_data_is_refused_when_saving(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="cannot hold a function"):
        save_checkpoint(tmp_path / "c.safetensors", {"hook": test_what_is_not_data_is_refused_when_saving})


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, {"epoch": 1})

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(CheckpointError, match="No space left on device"):
        save_checkpoint(path, {"epoch": 2})
    assert load_checkpoint(path) == {"epoch": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.safetensors"], "no temporary file stays behind"


class _FaultyFile:
    """A file that takes half of what is written to it."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __enter__(self) -> _FaultyFile:
        return self

    def __exit__(self, *error: Any) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        self._file.write(data[: len(data) // 2])
        self._file.flush()
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.ENOENT])
@pytest.mark.parametrize("layer", ["mkstemp", "write", "fsync", "chmod", "replace", "open folder"])
def test_a_fault_of_the_file_system_at_any_layer_leaves_one_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layer: str, number: int
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    old, new = {"epoch": 1, "weights": torch.ones(1000)}, {"epoch": 2, "weights": torch.zeros(1000)}
    save_checkpoint(path, old)
    fdopen, open_file = os.fdopen, os.open

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        if layer == "write":
            patch.setattr(os, "fdopen", lambda *args, **kwargs: _FaultyFile(fdopen(*args, **kwargs)))
        elif layer == "open folder":
            patch.setattr(os, "open", lambda name, flags, *rest: (open_file if flags else fail)(name, flags, *rest))
        else:
            patch.setattr(tempfile if layer == "mkstemp" else os, layer, fail)
        with pytest.raises(CheckpointError, match="cannot write the checkpoint"):
            save_checkpoint(path, new)
    found = load_checkpoint(path)
    # The folder is opened last, to flush it: by then the new one is in place.
    expected = new if layer == "open folder" else old
    assert found["epoch"] == expected["epoch"]
    assert torch.equal(found["weights"], expected["weights"])
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.safetensors"]
    save_checkpoint(path, new)
    assert load_checkpoint(path)["epoch"] == 2


class _Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("name", ["model.pt", "model.pkl", "checkpoint.safetensors", "model.ckpt"])
def test_a_pickle_is_never_run(tmp_path: Path, name: str) -> None:
    target = tmp_path / "created-by-the-pickle"
    (tmp_path / name).write_bytes(pickle.dumps(_Malicious(target)))
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / name)
    assert not target.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs and devices of POSIX")
@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.safetensors"
    {"fifo": lambda: os.mkfifo(path), "device": lambda: path.symlink_to("/dev/zero"), "folder": path.mkdir}[kind]()
    with pytest.raises(CheckpointError, match=r"it is not a regular file|there is no checkpoint at"):
        load_checkpoint(path)


@pytest.mark.parametrize("header", [0xFFFF_FFFF_FFFF_FFFF, 1 << 40, (1 << 26) + 1, 1000])
def test_a_header_that_cannot_be_is_refused_before_it_is_read(tmp_path: Path, header: int) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(header.to_bytes(8, "little"))
        file.truncate(500 if header == 1000 else 1 << 30)
    with pytest.raises(CheckpointError, match="damaged or not a checkpoint: its header would have"):
        load_checkpoint(path)


def test_a_file_larger_than_the_free_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(b"\x02" + bytes(7) + b"{}")
        file.truncate(1 << 43)
    with pytest.raises(CheckpointError, match=r"it needs about 8796\.1 GB of memory, and [\d.]+ GB are free"):
        load_checkpoint(path)


def _header(metadata: dict[str, str]) -> bytes:
    header = json.dumps({"__metadata__": metadata}).encode()
    return struct.pack("<Q", len(header)) + header


def _state(tree: str, *, schema: int | str = SCHEMA, digest: str | None = None) -> dict[str, str]:
    digest = hashlib.sha256(tree.encode()).hexdigest() if digest is None else digest
    return {"recrun.schema": str(schema), "recrun.digest": digest, "recrun.state": tree}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged"),
        (b"\x00" * 100, "damaged"),
        (b"PK\x03\x04 not a tensor file", "damaged"),
        (struct.pack("<Q", 1 << 60) + b"{}", "damaged"),
        (_header({}), "not a recrun checkpoint"),
        (_header(_state("{}", schema=SCHEMA + 1)), "upgrade recrun"),
        (_header(_state("{}", schema="one")), "schema one"),
        (_header(_state("{}", digest="0")), "does not match its digest"),
        (_header(_state("not json")), "does not match its tensors"),
        (_header(_state("[1, 2]")), "not a mapping"),
        (_header(_state('{"a": {"$tensor": "t7"}}')), "does not match its tensors"),
        (_header(_state("[" * 100_000)), "does not match its tensors"),
    ],
)
def test_a_hostile_file_gives_one_clear_error(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path)


def test_a_foreign_safetensors_file_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(save({"weight": torch.ones(2)}))
    with pytest.raises(CheckpointError, match="not a recrun checkpoint"):
        load_checkpoint(path)


def test_every_flipped_bit_and_every_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    original = {"epoch": 3, "weights": torch.arange(6.0)}
    save_checkpoint(path, original)
    content = path.read_bytes()
    random = np.random.default_rng(0)
    unnoticed = 0
    for position in [*range(0, len(content), 5), *range(len(content) - 24, len(content))]:
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(random.integers(8))
        path.write_bytes(bytes(damaged))
        try:
            loaded = load_checkpoint(path)
        except CheckpointError:
            continue
        # A flip in the header's blanks changes nothing that is read.
        unnoticed += not (loaded["epoch"] == 3 and torch.equal(loaded["weights"], original["weights"]))
    assert unnoticed == 0
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            load_checkpoint(path)


def test_a_missing_checkpoint_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint at"):
        load_checkpoint(tmp_path / "nothing")


def test_the_pages_of_a_file_are_read_as_copies_are_and_written_to_without_changing_it(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.safetensors"
    types = (torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.uint8)
    state = {str(dtype): torch.arange(7).to(dtype) for dtype in types} | {"empty": torch.zeros(0, 3), "one": 1}
    save_checkpoint(file, state)
    before = file.read_bytes()
    mapped = load_checkpoint(file, mapped=True)
    assert mapped.keys() == state.keys()
    for name, tensor in load_checkpoint(file).items():
        if isinstance(tensor, torch.Tensor):
            assert torch.equal(mapped[name], tensor), name
            mapped[name].zero_()
    assert file.read_bytes() == before
    save_checkpoint(file, {"other": torch.ones(2)})
    assert mapped["torch.float32"].tolist() == [0.0] * 7, "of the file that was there"
    file.write_bytes(before[:-1] + b"\xff")
    with pytest.raises(CheckpointError, match="does not match its digest"):
        load_checkpoint(file, mapped=True)


def test_what_was_loaded_does_not_depend_on_the_file_any_more(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, {"weights": torch.arange(100_000.0)})
    loaded = load_checkpoint(path)["weights"]
    path.write_bytes(b"")
    assert torch.equal(loaded, torch.arange(100_000.0))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, Undefined("no user has rows of both labels")])
def test_what_json_has_not_comes_back_and_the_header_is_json(tmp_path: Path, value: float) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, {"best": value, "history": [[0, value]]})
    with safe_open(str(path), framework="pt") as handle:
        tree = handle.metadata()["recrun.state"]
    json.loads(tree, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    loaded = load_checkpoint(path)
    for found in (loaded["best"], loaded["history"][0][1]):
        assert repr(found) == repr(value)
        assert type(found) is type(value)


@pytest.mark.parametrize(("word", "value"), [("NaN", math.nan), ("Infinity", math.inf), ("-Infinity", -math.inf)])
def test_the_bare_words_of_older_checkpoints_are_read(tmp_path: Path, word: str, value: float) -> None:
    path, tree = tmp_path / "checkpoint.safetensors", f'{{"best": {word}}}'
    metadata = {
        "recrun.schema": str(SCHEMA),
        "recrun.digest": hashlib.sha256(tree.encode() + b"x:torch.float32:(1,);" + bytes(4)).hexdigest(),
        "recrun.state": tree,
    }
    path.write_bytes(save({"x": torch.zeros(1)}, metadata))
    assert repr(load_checkpoint(path)["best"]) == repr(value)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks of memory are read from /proc")
def test_a_checkpoint_is_in_memory_once_while_it_is_read(tmp_path: Path) -> None:
    file, n_bytes = tmp_path / "checkpoint.safetensors", 96 << 20
    save_checkpoint(file, {"model": {"a": torch.ones(n_bytes // 8), "b": torch.ones(n_bytes // 4).bfloat16()}})
    code = f"""
from pathlib import Path
from recrun.runs.checkpoint import load_checkpoint
def kilobytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
Path("/proc/self/clear_refs").write_text("5")
before = kilobytes("VmRSS:")
state = load_checkpoint({str(file)!r})
print((kilobytes("VmHWM:") - before) << 10)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert n_bytes * 0.9 < int(done.stdout) < n_bytes * 1.3


def test_a_type_that_checkpoints_have_not_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.safetensors"
    save_file({"t0": torch.ones(3).to(torch.float8_e4m3fn)}, file)
    with pytest.raises(CheckpointError, match=r"is damaged or not a checkpoint: .*F8_E4M3"):
        load_checkpoint(file)
