"""What a template may use up: processor time, the size of a value, and bytes of all values together.

A chat template comes with a model, from a stranger. The Jinja sandbox keeps it from reaching Python; it does not keep
it from computing for a year or filling the memory. So every operation of a template that makes a value is charged here
(`sandbox.py` sees to that), before the operation where its result could be far larger than its operands.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn

from jinja2.runtime import Undefined

MAX_SECONDS = 3.0  # of processor time; published templates take milliseconds
MAX_CHARS = 4 << 20  # of one value, and of the prompt
MAX_NODES = 200_000  # elements of one value, those of its elements included
MAX_DEPTH = 64
MAX_TOTAL_BYTES = 128 << 20  # of all values ever made in one rendering
MAX_INT_BITS = 4096


class LimitExceeded(Exception):
    """A template went past a limit; the text says which."""


class Meter:
    """The account of one rendering. `extra_chars` widens the size limit by what the caller itself put in."""

    def __init__(self, *, seconds: float = MAX_SECONDS, extra_chars: int = 0) -> None:
        # Processor time of this thread, so that a busy machine fails no honest template.
        self.seconds = seconds
        self.deadline = time.thread_time() + seconds
        self.max_chars = MAX_CHARS + extra_chars
        self.bytes_left = MAX_TOTAL_BYTES + 16 * extra_chars

    def tick(self) -> bool:
        """Charges time only. True, so that it can stand in a condition."""
        if time.thread_time() > self.deadline:
            raise LimitExceeded(f"it computed for more than {self.seconds:g} s")
        return True

    def chars(self, count: int) -> None:
        """Refuses a text of `count` characters, made or about to be made, that is too long."""
        if count > self.max_chars:
            raise LimitExceeded(f"it makes a text of more than {self.max_chars} characters")

    def nodes(self, count: int) -> None:
        """Refuses a list of `count` elements that is too long."""
        if count > MAX_NODES:
            raise LimitExceeded(f"it makes a list of more than {MAX_NODES} elements")

    def value(self, value: Any) -> Any:
        """Charges a new value with all that hangs on it, and returns it; lazy sequences as lists."""
        self.tick()
        if isinstance(value, str):
            self.chars(len(value))
            self._spend(sys.getsizeof(value))
        elif isinstance(value, int):
            self.bits(value.bit_length())
        elif isinstance(value, Iterable) and not isinstance(value, (list, tuple, dict, range, Undefined)):
            value = self.listed(value)
            self._walk(value)
        elif isinstance(value, (list, tuple, dict)):
            self._walk(value)
        return value

    def bits(self, count: int) -> None:
        if count > MAX_INT_BITS:
            raise LimitExceeded(f"it makes a number of more than {MAX_INT_BITS} bits")

    def listed(self, values: Iterable[Any]) -> list[Any]:
        """A lazy sequence as a list, with time and length charged element by element."""
        result = []
        for value in values:
            self.tick()
            result.append(value)
            self.nodes(len(result))
        return result

    def weight(self, value: Any) -> int:
        """Characters that a value has when it is written out, roughly."""
        return len(value) if isinstance(value, str) else self._walk(value)

    def _spend(self, size_bytes: int) -> None:
        self.bytes_left -= size_bytes
        if self.bytes_left < 0:
            raise LimitExceeded(f"it makes more than {MAX_TOTAL_BYTES >> 20} MiB of values")

    def _walk(self, value: Any) -> int:
        """Charges a nested value by its written-out size: a list that holds one list twice counts it twice, or a few
        doublings would make a value that takes a year to print."""
        nodes = chars = 0
        stack: list[tuple[Any, int]] = [(value, 0)]
        while stack:
            item, depth = stack.pop()
            nodes += 1
            if isinstance(item, str):
                chars += len(item)
            elif isinstance(item, dict):
                nodes += len(item)
                stack.extend((v, depth + 1) for v in itertools.chain(item, item.values()))
            elif isinstance(item, (list, tuple)):
                nodes += len(item)
                self.nodes(nodes)
                stack.extend((v, depth + 1) for v in item)
            elif isinstance(item, range):
                nodes += len(item)
            elif not isinstance(item, (int, float, Undefined, type(None))):
                raise LimitExceeded(f"it puts a {type(item).__name__} into a list")
            self.nodes(nodes)
            self.chars(chars)
            if depth > MAX_DEPTH:
                raise LimitExceeded(f"it nests values more than {MAX_DEPTH} deep")
        self._spend(16 * nodes)
        return chars + 8 * nodes


_current: ContextVar[Meter | None] = ContextVar("hearth_template_meter", default=None)


@contextmanager
def metered(meter: Meter) -> Iterator[Meter]:
    """Makes `meter` the account that the sandbox charges, within this block and thread."""
    token = _current.set(meter)
    try:
        yield meter
    finally:
        _current.reset(token)


def current() -> Meter:
    """The account in force; a fresh one where none is (Jinja folds constants while it compiles)."""
    return _current.get() or Meter()


def refuse(why: str) -> NoReturn:
    raise LimitExceeded(why)
