"""Parts of a computation in threads."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from recrun.threads import thread_map


@pytest.mark.parametrize("n_threads", [1, 3])
def test_results_come_in_order_and_torch_keeps_its_threads(n_threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)

    def work(part: int) -> tuple[int, int, bool]:
        time.sleep(0.002 * (5 - part))
        return part, torch.get_num_threads(), threading.current_thread() is threading.main_thread()

    try:
        with thread_map(n_threads) as map_:
            found = list(map_(work, range(5)))
        assert found == [(part, 1, n_threads == 1) for part in range(5)]
        assert torch.get_num_threads() == n_threads
        in_a_new_thread: list[int] = []
        thread = threading.Thread(target=lambda: in_a_new_thread.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert in_a_new_thread == [n_threads]
    finally:
        torch.set_num_threads(before)


def test_an_error_in_a_part_reaches_the_caller_and_later_parts_are_not_begun() -> None:
    begun: list[int] = []

    def work(part: int) -> None:
        begun.append(part)
        time.sleep(0.01)
        if part == 1:
            raise ValueError("part 1")

    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="part 1"), thread_map(2) as map_:
        list(map_(work, range(100)))
    torch.set_num_threads(before)
    assert len(begun) < 50


def test_no_more_workers_run_than_are_asked_for() -> None:
    before = torch.get_num_threads()
    with thread_map(4, 1) as map_:
        names = set(map_(lambda _: threading.current_thread().name, range(8)))
    torch.set_num_threads(before)
    assert len(names) == 1
