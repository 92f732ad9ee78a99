"""Ctrl-C, a polite kill (SIGTERM) and a closed terminal (SIGHUP) end a run the same way: as one KeyboardInterrupt."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

Handler = Callable[[int, FrameType | None], None]


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Inside the block SIGTERM and SIGHUP raise KeyboardInterrupt; the old handlers are back afterwards. Main thread
    only."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled(("SIGTERM", "SIGHUP"), stop):
        yield


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP wait until the block has ended, then raise KeyboardInterrupt. Main thread only."""
    seen: list[int] = []
    try:
        with _handled(("SIGINT", "SIGTERM", "SIGHUP"), lambda number, frame: seen.append(number)):
            yield
    finally:
        if seen:
            raise KeyboardInterrupt


@contextlib.contextmanager
def interrupt_between_steps(say: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Inside the block the first Ctrl-C calls `say` and waits for the next call of what is yielded, which raises
    KeyboardInterrupt; a second Ctrl-C raises it at once. Main thread only."""
    seen: list[int] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)
        say()

    def step_ended() -> None:
        if seen:
            raise KeyboardInterrupt

    with _handled(("SIGINT",), ask):
        yield step_ended


@contextlib.contextmanager
def _handled(names: tuple[str, ...], handler: Handler) -> Iterator[None]:
    """Inside the block `handler` has these signals, apart from those that are ignored (as under nohup) or that this
    system lacks. Nothing changes outside the main thread."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name) for name in names if hasattr(signal, name)):
            if signal.getsignal(number) not in (signal.SIG_IGN, None):  # None: a handler that is not Python's
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
