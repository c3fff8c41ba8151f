"""The processes that train one model together, and what they send each other (torch.distributed)."""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import torch
import torch.distributed as dist
from torch import Tensor

from recrun.errors import ConfigError, Fault, TrainingError
from recrun.runs.checkpoint import DTYPES, pack_state, unpack_state

if TYPE_CHECKING:
    from recrun.evaluation.sharing import Divided

_TIMEOUT: Final = timedelta(minutes=30)
"""How long a process waits for another that hangs; one that ends is noticed at once."""
_MAX_TEXT: Final = 1 << 28
_CHUNK: Final = 1 << 26
"""The most bytes that are sent to one process at a time."""


class ProcessLost(TrainingError):
    """Another process of the run ended, or does not answer."""


class Processes:
    """This process and the others that train the same model; rank 0 leads.

    Args:
        rank: the number of this process, from 0.
        n: how many processes there are.

    Attributes:
        in_step: whether no exchange was cut short, so that the processes can still agree on what comes next.
        tables: the tables that are divided among them (`recrun.training.parallel.sharded_tables`); None if each has the
            whole model.
        is_busy: whether another process may wait for this one to serve it rows of them.
    """

    def __init__(self, rank: int, n: int) -> None:
        self.rank, self.n = rank, n
        self.in_step = True
        self.tables: Divided | None = None
        self.is_busy = False

    @property
    def leads(self) -> bool:
        """Whether this process decides what is done, and writes the run."""
        return self.rank == 0

    @property
    def is_free(self) -> bool:
        """Whether no process waits for this one in an exchange or in look-ups."""
        return self.in_step and not self.is_busy

    @classmethod
    def join(cls) -> Processes:
        """Join the processes that torch's launcher started, as its environment variables say.

        Raises:
            ConfigError: the others do not come.
        """
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        # A tensor on the CPU goes by gloo, one on a GPU by NCCL.
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
        try:
            dist.init_process_group(backend, timeout=_TIMEOUT)
        except (RuntimeError, ValueError) as error:
            raise ConfigError(f"the processes of the run do not find each other: {_first_line(error)}") from None
        atexit.register(leave)  # else threads of gloo that still run abort the process at its end
        return cls(dist.get_rank(), dist.get_world_size())

    # --- tensors -----------------------------------------------------------------------------------------------------

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the tensors of all processes by rank; all have one shape and type."""
        tensors = [torch.empty_like(tensor) for _ in range(self.n)]
        with self._exchange():
            dist.all_gather(tensors, tensor)
        return tensors

    def add_up(self, tensor: Tensor) -> None:
        """Replace a tensor by the sum of those of all processes, which is the same in each."""
        with self._exchange():
            dist.all_reduce(tensor)

    def deal(self, tensor: Tensor, lengths: Sequence[int], received: Sequence[int]) -> list[Tensor]:
        """Send a part of a tensor to each process, and return what each of them sends here.

        Args:
            tensor: (N,), the parts by rank.
            lengths: those of the parts.
            received: the lengths of what is sent here, by rank.
        """
        found = tensor.new_empty(sum(received))
        with self._exchange():
            dist.all_to_all_single(found, tensor, list(received), list(lengths))
        return list(torch.split(found, list(received)))

    def hand_over(self, tensor: Tensor, to: int) -> None:
        """Send a contiguous tensor to a process, which takes it by `take_over`."""
        with self._exchange():
            for chunk in torch.split(_bytes(tensor.cpu()), _CHUNK):
                dist.send(chunk, dst=to)

    def take_over(self, tensor: Tensor, of: int) -> None:
        """Write what a process hands over into a contiguous tensor on the CPU, of the same shape and type."""
        with self._exchange():
            for chunk in torch.split(_bytes(tensor), _CHUNK):
                dist.recv(chunk, src=of)

    def signal(self, number: int = 0) -> int:
        """Return the number that the leader gives, to all processes."""
        found = torch.tensor([number])
        with self._exchange():
            dist.broadcast(found, src=0)
        return int(found)

    # --- states: nested dicts and lists of tensors, arrays, numbers and texts ----------------------------------------

    def tell(self, state: Mapping[str, Any]) -> None:
        """Send a state from the leader to all others."""
        self._each(state, lambda tensor: dist.broadcast(tensor, src=0))

    def listen(self) -> dict[str, Any]:
        """Return the state that the leader tells."""
        return self._received(lambda tensor: dist.broadcast(tensor, src=0))

    def collect(self, state: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Send a state to the leader; return those of the others there, by rank, and nothing elsewhere."""
        if not self.leads:
            self._each(state, lambda tensor: dist.send(tensor, dst=0))
            return []
        return [self._received(lambda tensor, of=rank: dist.recv(tensor, src=of)) for rank in range(1, self.n)]

    def _each(self, state: Mapping[str, Any], send: Any) -> None:
        text, tensors = pack_state(state)
        kinds = {name: [DTYPES[tensor.dtype], list(tensor.shape)] for name, tensor in tensors.items()}
        head = bytearray(json.dumps({"state": text, "tensors": kinds}).encode())
        with self._exchange():
            send(torch.tensor([len(head)]))
            send(torch.frombuffer(head, dtype=torch.uint8))
            for tensor in tensors.values():
                send(_bytes(tensor))

    def _received(self, receive: Any) -> dict[str, Any]:
        size = torch.zeros(1, dtype=torch.int64)
        with self._exchange():
            receive(size)
            head = torch.empty(min(int(size), _MAX_TEXT), dtype=torch.uint8)
            receive(head)
            document = json.loads(head.numpy().tobytes())
            types = {name: dtype for dtype, name in DTYPES.items()}
            tensors = {}
            for name, (kind, shape) in document["tensors"].items():
                tensors[name] = torch.empty(shape, dtype=types[kind])
                receive(_bytes(tensors[name]))
        state: dict[str, Any] = unpack_state(document["state"], tensors)
        return state

    # --- agreement ---------------------------------------------------------------------------------------------------

    @contextmanager
    def all_or_none(self) -> Iterator[None]:
        """Go on after the block only if no process failed in it; the leader says what failed, the others end.

        Raises:
            ConfigError: in the leader, another process failed.
            SystemExit: in another process, any process failed.
        """
        error: Exception | None = None
        try:
            yield
        except Exception as raised:
            error = raised
        texts = self._texts("" if error is None else _first_line(error))
        if not any(texts):
            return
        if not self.leads:
            raise SystemExit(0)  # one that fails would have the launcher end the leader, before it has said why
        if error is not None:
            raise error
        rank = next(rank for rank, text in enumerate(texts) if text)
        raise ConfigError(f"process {rank} of {self.n}: {texts[rank]}")

    def _texts(self, text: str) -> list[str]:
        """Return a line of each process, by rank."""
        line = torch.zeros(1 << 12, dtype=torch.uint8)
        content = text.encode()[: len(line)]
        line[: len(content)] = torch.tensor(list(content), dtype=torch.uint8)
        lines = self.gather(line)
        return [bytes(each.tolist()).rstrip(b"\0").decode(errors="replace") for each in lines]

    @contextmanager
    def _exchange(self) -> Iterator[None]:
        self.in_step = False
        try:
            yield
        except RuntimeError as error:
            what = "does not answer" if "imed out" in str(error) else "ended"
            raise ProcessLost(f"another of the {self.n} processes of the run {what}") from error
        self.in_step = True


def leave() -> None:
    """Leave the others; no exchange may follow."""
    with suppress(RuntimeError, ValueError, AssertionError):  # it may have been left before
        dist.destroy_process_group()


def device_of_process(device: str) -> str:
    """Return the device of this process for the setting `device`: of several GPUs the one of its number on its machine.

    Raises:
        ConfigError: one GPU is named for all processes.
    """
    if device.startswith("cuda:") or device.isdecimal():
        raise ConfigError(
            Fault(f"{device} is one device, and each process needs its own; expected auto, cuda or cpu", key="device")
        )
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    return device


def _bytes(tensor: Tensor) -> Tensor:
    """Return the memory of a contiguous tensor as bytes; one byte for an empty one, which cannot be sent."""
    return tensor.reshape(-1).view(torch.uint8) if tensor.numel() else torch.zeros(1, dtype=torch.uint8)


def _first_line(error: BaseException) -> str:
    lines: Sequence[str] = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
