"""SIGTERM and SIGHUP end a block as Ctrl-C does; the handlers of before are back afterwards."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from benchmark.run.interrupt import deferred_interrupt, interrupt_between_steps, interruptible


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_raises_keyboard_interrupt_inside_the_block_only(number: signal.Signals) -> None:
    outer = signal.signal(number, signal.SIG_DFL)
    try:

        def block() -> None:
            with interruptible():
                os.kill(os.getpid(), number)
                time.sleep(5)

        with pytest.raises(KeyboardInterrupt):
            block()
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, outer)


def test_a_deferred_signal_waits_for_the_end_of_the_block() -> None:
    ended = []

    def block() -> None:
        with interruptible(), deferred_interrupt():
            os.kill(os.getpid(), signal.SIGTERM)
            ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        block()
    assert ended == [True]


def test_the_first_ctrl_c_waits_for_the_step_and_the_second_does_not() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    said: list[bool] = []
    try:
        with interrupt_between_steps(lambda: said.append(True)) as step_ended:
            step_ended()
            os.kill(os.getpid(), signal.SIGINT)
            assert said == [True]
            with pytest.raises(KeyboardInterrupt):
                step_ended()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_error_in_the_block_passes_and_restores_the_handler() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError, match="inside"), interruptible():
        raise ValueError("inside")
    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_the_main_thread_signals_stay_as_they_are() -> None:
    seen: list[object] = []

    def work() -> None:
        with interruptible():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


def test_an_ignored_hangup_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
