"""Signals: the first saves and stops, the second stops at once, and a thread sees to it that they are heard."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from recrun.training.stop_signals import Interrupts, StopRequests, keeping_the_process


def _wait(condition: threading.Event) -> None:
    assert condition.wait(10)


def _kill_myself(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    time.sleep(10)


def test_the_first_signal_saves_and_stops_and_the_second_stops_at_once() -> None:
    heard: list[str] = []
    told = threading.Event()

    def notify(name: str) -> None:
        heard.append(name)
        told.set()

    with Interrupts(notify) as interrupts:
        assert not interrupts.requested
        os.kill(os.getpid(), signal.SIGTERM)
        _wait(told)
        assert interrupts.requested
        with pytest.raises(KeyboardInterrupt):
            _kill_myself(signal.SIGINT)
    assert heard == ["SIGTERM"]


def test_two_signals_that_python_merges_are_two_requests() -> None:
    n_calls = 0

    def stop_twice_in_one_call() -> None:
        nonlocal n_calls
        with Interrupts() as interrupts:
            take = interrupts._take

            def count(number: int) -> None:
                nonlocal n_calls
                n_calls += 1
                take(number)

            interrupts._take = count  # type: ignore[method-assign]

            def send_two() -> None:
                for _ in range(2):
                    time.sleep(0.1)  # the system merges two that it has not delivered yet
                    os.kill(os.getpid(), signal.SIGTERM)

            threading.Thread(target=send_two).start()
            hashlib.pbkdf2_hmac("sha256", b"x", b"y", 2_000_000)  # no handler runs within it
            assert interrupts.requested
            assert n_calls == 1
            time.sleep(10)

    with pytest.raises(KeyboardInterrupt):
        stop_twice_in_one_call()
    assert n_calls == 2


def test_the_second_signal_raises_only_once() -> None:
    n_raised = 0

    def clean_up() -> None:
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)

    with Interrupts():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        clean_up()
    with keeping_the_process(), Interrupts():
        signal.raise_signal(signal.SIGTERM)
        for _ in range(2):
            try:
                signal.raise_signal(signal.SIGTERM)
            except KeyboardInterrupt:
                n_raised += 1
    assert n_raised == 2, "nothing else would end the work"


def test_the_first_signal_stops_at_once_where_there_is_nothing_to_save() -> None:
    with Interrupts(at_once=True), pytest.raises(KeyboardInterrupt):
        _kill_myself(signal.SIGTERM)


def test_handlers_and_threads_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    n_threads = threading.active_count()
    with Interrupts():
        with Interrupts() as inner:
            os.kill(os.getpid(), signal.SIGTERM)
            until = time.monotonic() + 10
            while not inner.requested and time.monotonic() < until:
                time.sleep(0.01)
        assert inner.requested
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert threading.active_count() == n_threads


def test_other_threads_catch_no_signals() -> None:
    entered = []

    def work() -> None:
        with Interrupts() as interrupts, StopRequests() as requests:
            entered.append((interrupts.requested, requests.count))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [(False, 0)]


def test_requests_to_stop_are_counted_and_handlers_put_back() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with StopRequests() as requests:
        for number in numbers:
            signal.raise_signal(number)
    assert requests.count == 2, "closing a terminal after a request to stop is no second one"
    assert [signal.getsignal(number) for number in numbers] == before


def test_the_signals_of_a_closing_terminal_are_one_request() -> None:
    heard: list[str] = []
    before = signal.getsignal(signal.SIGHUP)
    with StopRequests() as outer:
        with Interrupts(heard.append) as interrupts:
            for _ in range(3):
                signal.raise_signal(signal.SIGHUP)
            assert interrupts.requested
        signal.raise_signal(signal.SIGHUP)
        assert outer.count == 0, "the context within has heard it"
        with Interrupts(at_once=True):
            signal.raise_signal(signal.SIGHUP)
    assert heard == ["SIGHUP"]
    assert signal.getsignal(signal.SIGHUP) == before


def test_a_second_request_stops_at_once_after_a_terminal_was_closed() -> None:
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGHUP)
        assert interrupts.requested
        with pytest.raises(KeyboardInterrupt):
            _kill_myself(signal.SIGTERM)


def test_what_counts_requests_is_not_ended_by_the_context_around_it() -> None:
    with Interrupts(at_once=True) as interrupts:
        wakeup = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(wakeup)
        with StopRequests() as requests:
            signal.raise_signal(signal.SIGTERM)
            assert signal.set_wakeup_fd(-1) == -1
        assert signal.set_wakeup_fd(wakeup) == wakeup
    assert (requests.count, interrupts.requested) == (1, False)


def test_a_signal_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequests() as requests, Interrupts(at_once=True) as interrupts:
            signal.raise_signal(signal.SIGHUP)
        assert (requests.count, interrupts.requested) == (0, False)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_platform_without_sighup_and_sigkill_runs_too() -> None:
    program = """
import signal
del signal.SIGHUP, signal.SIGKILL
from recrun.sweep.run import StopRequests
with StopRequests() as requests:
    signal.raise_signal(signal.SIGTERM)
print(requests.count)
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"1\n"


BUSY = """
import hashlib, sys
from recrun.training.stop_signals import Interrupts
with Interrupts(lambda name: print("heard", name, flush=True), at_once=sys.argv[1] == "at once"):
    print("ready", flush=True)
    # One call into C that takes no notice of signals, as a long computation in torch.
    hashlib.pbkdf2_hmac("sha256", b"x", b"y", 500_000_000)
"""


def test_the_process_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(Interrupts, "_end_the_process", lambda self: ended.set())

    def stop_twice() -> None:
        told = threading.Event()
        with Interrupts(lambda name: told.set()):
            os.kill(os.getpid(), signal.SIGTERM)
            _wait(told)
            with pytest.raises(KeyboardInterrupt):
                _kill_myself(signal.SIGINT)

    with keeping_the_process():
        stop_twice()
    assert not ended.is_set()
    stop_twice()
    _wait(ended)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["first saves", "at once"])
def test_work_that_does_not_listen_is_ended(mode: str) -> None:
    command = [sys.executable, "-c", BUSY, mode]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        if mode == "first saves":
            assert process.stdout.readline() == "heard SIGINT\n"
            process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        assert process.wait(20) == 130
        assert 2 < time.monotonic() - asked < 10
    finally:
        process.kill()
        process.communicate()
