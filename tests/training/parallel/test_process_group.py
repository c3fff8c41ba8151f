"""What processes send each other arrives as it was, and what one of them cannot do ends all."""

from __future__ import annotations

import pytest

from recrun.errors import ConfigError
from recrun.training.parallel.process_group import device_of_process
from tests.training.parallel.ranks import run_ranks

STATES = """
import numpy as np
state = {
    "weights": {"a": torch.arange(6.0).view(2, 3), "b": torch.zeros(0, 4), "c": torch.tensor(7, dtype=torch.int8)},
    "flags": np.array([True, False]), "half": torch.ones(3, dtype=torch.bfloat16),
    "numbers": [1, 2.5, None, "text", float("inf")], 3: "key",
}
told = processes.tell(state) if rank == 0 else processes.listen()
collected = processes.collect({"of": rank, "rows": torch.full((rank, 2), rank)})
gathered = [int(each) for each in processes.gather(torch.tensor(rank * 10))]
total = torch.tensor([1.0, rank]); processes.add_up(total)
if rank:
    assert told.keys() == state.keys() and told["numbers"] == state["numbers"], told
    for name, tensor in state["weights"].items():
        assert torch.equal(told["weights"][name], tensor) and told["weights"][name].dtype == tensor.dtype
    assert torch.equal(told["flags"], torch.tensor([True, False])) and told["half"].dtype == torch.bfloat16
    assert collected == []
else:
    assert [each["of"] for each in collected] == [1, 2] and [len(each["rows"]) for each in collected] == [1, 2]
assert gathered == [0, 10, 20] and total.tolist() == [3.0, 3.0]
print("as sent")
"""


def test_states_and_tensors_arrive_as_they_were() -> None:
    assert run_ranks(STATES, 3) == [(0, "as sent\n")] * 3


FAILING = """
from recrun.errors import ConfigError, DataError
with processes.all_or_none():
    pass
try:
    with processes.all_or_none():
        if rank in failing:
            raise DataError(f"no data for {rank}")
except (ConfigError, DataError) as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("failing", "said"),
    [("{1}", "ConfigError process 1 of 2: no data for 1\n"), ("{0, 1}", "DataError no data for 0\n")],
)
def test_the_leader_says_what_failed_and_the_others_end(failing: str, said: str) -> None:
    assert run_ranks(f"failing = {failing}" + FAILING) == [(0, said), (0, "")]


LOST = """
processes.gather(torch.zeros(1))
if rank == 1:
    raise SystemExit(7)
try:
    processes.gather(torch.zeros(1000))
except ProcessLost as error:
    print(error, processes.in_step)
"""


def test_a_process_that_ended_is_noticed() -> None:
    assert run_ranks(LOST) == [(0, "another of the 2 processes of the run ended False\n"), (7, "")]


def test_each_process_has_its_own_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert [device_of_process(name) for name in ("auto", "cuda", "cpu")] == ["cuda:3", "cuda:3", "cpu"]
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert device_of_process("auto") == "auto"
    for name in ("cuda:1", "0"):
        with pytest.raises(ConfigError, match="each process needs its own"):
            device_of_process(name)
