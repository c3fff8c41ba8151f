"""Work in an event loop is ended when its time is up, and only then."""

from __future__ import annotations

import asyncio

import pytest

from recrun.serving.deadline import Deadline


def test_work_that_takes_too_long_is_ended() -> None:
    async def work() -> str:
        with pytest.raises(TimeoutError):
            async with Deadline(0.02):
                await asyncio.sleep(10)
        await asyncio.sleep(0)  # the task itself is not cancelled
        return "went on"

    assert asyncio.run(work()) == "went on"


def test_work_in_time_and_its_errors_pass() -> None:
    async def work() -> None:
        async with Deadline(10):
            await asyncio.sleep(0)
        with pytest.raises(KeyError):
            async with Deadline(10):
                raise KeyError

    asyncio.run(work())


def test_who_cancels_the_task_is_not_taken_for_the_clock() -> None:
    async def work() -> None:
        async with Deadline(10):
            await asyncio.sleep(10)

    async def cancel() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
