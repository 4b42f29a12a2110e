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
from typing import Any, NamedTuple, NoReturn

from jinja2.runtime import Undefined

MAX_SECONDS = 3.0  # of processor time for a short conversation; published templates take milliseconds
MORE_SECONDS = 6.0  # for a thousand messages, and by their square: templates look back from each of them
MOST_SECONDS = 30.0
MAX_CHARS = 4 << 20  # of one value, and of the prompt
MAX_NODES = 200_000  # elements of one value, those of its elements included
MAX_DEPTH = 64
MAX_TOTAL_BYTES = 128 << 20  # of all values ever made in one rendering
MOST_TOTAL_BYTES = 1 << 30
MAX_INT_BITS = 4096
_STEPS = 64  # after so many the clock is read, which costs more than most of them
_CHARS_A_STEP = 1 << 14  # characters that take about as long as a step


class LimitExceeded(Exception):
    """A template went past a limit; the text says which."""


class Weight(NamedTuple):
    """What a value is when it is written out: a list that holds one list twice counts it twice, or a few doublings
    would make a value that takes a year to print."""

    nodes: int
    chars: int
    depth: int


class Meter:
    """The account of one rendering.

    Args:
        messages: how many there are; some templates take time by their square.
        extra_chars: what the caller itself puts in.
        extra_nodes: elements of what the caller puts in.
    """

    def __init__(self, *, messages: int = 0, extra_chars: int = 0, extra_nodes: int = 0) -> None:
        # Processor time of this thread, so that a busy machine fails no honest template.
        self.seconds = min(MAX_SECONDS + MORE_SECONDS * (messages / 1000) ** 2, MOST_SECONDS)
        self.deadline = time.thread_time() + self.seconds
        self.max_chars = MAX_CHARS + 4 * extra_chars
        self.max_nodes = MAX_NODES + 4 * extra_nodes
        # Templates that add to one text for each message make the whole of it anew each time.
        again = messages * (extra_chars + 64 * messages)
        self.bytes_left = max(MAX_TOTAL_BYTES + 64 * extra_chars, min(MAX_TOTAL_BYTES + 2 * again, MOST_TOTAL_BYTES))
        self.total_bytes = self.bytes_left
        self._steps = 0
        self._known: dict[int, tuple[Any, Weight]] = {}  # values cannot change, so each is weighed once

    def tick(self, steps: int = 1) -> bool:
        """Charges time only. True, so that it can stand in a condition."""
        self._steps += steps
        if self._steps >= _STEPS:
            self._steps = 0
            if time.thread_time() > self.deadline:
                raise LimitExceeded(f"it computed for more than {self.seconds:.0f} s")
        return True

    def chars(self, count: int) -> None:
        """Refuses a text of `count` characters, made or about to be made, that is too long."""
        if count > self.max_chars:
            raise LimitExceeded(f"it makes a text of more than {self.max_chars} characters")

    def nodes(self, count: int) -> None:
        """Refuses a list of `count` elements that is too long."""
        if count > self.max_nodes:
            raise LimitExceeded(f"it makes a list of more than {self.max_nodes} elements")

    def value(self, value: Any) -> Any:
        """Charges a new value with all that hangs on it, and returns it; lazy sequences as lists."""
        if isinstance(value, str):
            count = len(value)
            self.tick(1 + count // _CHARS_A_STEP)
            self.chars(count)
            self._spend(sys.getsizeof(value))
            return value
        self.tick()
        if isinstance(value, int):
            self.bits(value.bit_length())
            return value
        if isinstance(value, Iterable) and not isinstance(value, (list, tuple, dict, range, Undefined)):
            value = self.listed(value)
        if isinstance(value, (list, tuple, dict)):
            self._weigh(value)
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
        if isinstance(value, str):
            return len(value)
        weight = self._weigh(value)
        return weight.chars + 8 * weight.nodes

    def _spend(self, size_bytes: int) -> None:
        self.bytes_left -= size_bytes
        if self.bytes_left < 0:
            raise LimitExceeded(f"it makes more than {self.total_bytes >> 20} MiB of values")

    def _weigh(self, value: Any) -> Weight:
        """The weight of a value, which is refused where it is too large."""
        if isinstance(value, str):
            return Weight(1, len(value), 0)
        if isinstance(value, (list, tuple, dict)):
            known = self._known.get(id(value))
            return known[1] if known is not None else self._weigh_container(value)
        if isinstance(value, range):
            return Weight(1 + len(value), 0, 0)
        if isinstance(value, (int, float, Undefined, type(None))):
            return Weight(1, 0, 0)
        raise LimitExceeded(f"it puts a {type(value).__name__} into a list")

    def _weigh_container(self, value: Any) -> Weight:
        nodes, chars, depth = 1 + len(value), 0, 0
        self.nodes(nodes)
        self.tick(1 + len(value) // _STEPS)
        self._spend(16 * (len(value) + 16))
        for item in itertools.chain(value, value.values()) if isinstance(value, dict) else value:
            weight = self._weigh(item)
            nodes += weight.nodes
            chars += weight.chars
            depth = max(depth, weight.depth + 1)
        self.nodes(nodes)
        self.chars(chars)
        if depth > MAX_DEPTH:
            raise LimitExceeded(f"it nests values more than {MAX_DEPTH} deep")
        weight = Weight(nodes, chars, depth)
        self._known[id(value)] = (value, weight)  # which keeps it, and so its id
        return weight


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
