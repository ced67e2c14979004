"""The ids of new rows. The database generates none, and so the project makes them."""

import os
import secrets
import time
from collections.abc import Iterator
from functools import cache
from threading import Lock

TICK_BITS = 15
PROCESS_BITS = 16


def make_ticks() -> Iterator[int]:
    """Yield the time in units of 33 microseconds, none twice and none smaller than the last."""
    last = 0
    while True:
        last = max(last + 1, time.time_ns() >> TICK_BITS)
        yield last


@cache
def draw_process_number(_process_id: int) -> int:
    """Return a random number that the process with this id keeps."""
    return secrets.randbits(PROCESS_BITS)


_ticks = make_ticks()
_lock = Lock()


def new_id() -> int:
    """Return an id: the time in units of 33 microseconds, then the 16 bits of the process.

    It is positive, fits a signed 64-bit integer until 2116, and is larger than those that any
    process made earlier. Only two processes that drew the same bits, which is one pair in
    65,536, can make the same id, and only in the same 33 microseconds.
    """
    with _lock:
        tick = next(_ticks)
    return tick << PROCESS_BITS | draw_process_number(os.getpid())
