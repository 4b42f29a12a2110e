"""What every fuzzer does to a sound input: numbers at their borders, parts swapped, repeated, cut, of another type.

Deterministic: a seed is an input, so that a find is told by its number.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeVar

T = TypeVar("T")

INTEGERS = (0, 1, -1, 2, 7, 63, 64, 127, 255, 256, 1023, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**63, 2**64 - 1)
FLOATS = (0.0, -0.0, 0.5, -1.5, 1e-320, 1e30, 1e308, float("inf"), float("-inf"), float("nan"))
TEXTS = (
    "",
    " ",
    "\0",
    "\n",
    "é",
    "\ud800",
    "\u202e",
    "\x1b[2J",
    "../../x",
    "/etc/passwd",
    "<s>",
    "<|im_end|>",
    "{{ x }}",
    "(a+)+$",
    "%s",
    "null",
    "a" * 5000,
    "💥" * 100,
)


class Mutator:
    """All chance of one input."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def one_in(self, count: int) -> bool:
        return self.random.randrange(count) == 0

    def choice(self, items: Sequence[T]) -> T:
        return self.random.choice(items)

    def integer(self) -> int:
        return self.choice(INTEGERS) + self.choice((0, 0, 0, 1, -1))

    def scalar(self) -> Any:
        kinds = (self.integer, lambda: self.choice(FLOATS), lambda: self.choice(TEXTS), lambda: None, lambda: True)
        return self.choice(kinds)()

    def value(self) -> Any:
        """Any small JSON value."""
        if self.one_in(4):
            return [self.scalar() for _ in range(self.random.randrange(4))]
        if self.one_in(4):
            return {str(self.scalar()): self.scalar() for _ in range(self.random.randrange(3))}
        if self.one_in(20):
            return _nested(self.choice((10, 70, 150)))
        return self.scalar()

    def json(self, sound: T) -> T:
        """The object or list with one to four changes, each at some place of it."""
        changed = deepcopy(sound)
        for _ in range(1 + self.random.randrange(4)):
            self._change(self.choice(_containers(changed)))
        return changed

    def text(self, sound: str) -> str:
        """The text with some parts cut, repeated, moved, or another put in."""
        for _ in range(1 + self.random.randrange(3)):
            begin = self.random.randrange(len(sound) + 1)
            end = min(len(sound), begin + self.random.randrange(40))
            match self.random.randrange(4):
                case 0:
                    sound = sound[:begin] + sound[end:]
                case 1:
                    sound = sound[:begin] + sound[begin:end] * self.choice((2, 3, 100)) + sound[end:]
                case 2:
                    sound = sound[:begin] + self.choice(TEXTS) + sound[end:]
                case _:
                    at = self.random.randrange(len(sound) + 1)
                    sound = sound[:at] + sound[begin:end] + sound[at:]
        return sound

    def bytes(self, sound: bytes) -> bytes:
        """The bytes with some changed, numbers of any width put in, parts cut out, repeated or cut off."""
        data = bytearray(sound)
        for _ in range(1 + self.random.randrange(4)):
            at = self.random.randrange(len(data) + 1)
            width = self.choice((1, 2, 4, 8))
            match self.random.randrange(6):
                case 0:
                    data[at : at + 1] = self.random.randbytes(1)
                case 1:
                    number = self.integer() % (1 << 8 * width)
                    data[at : at + width] = number.to_bytes(width, self.choice(("little", "big")))
                case 2:
                    del data[at : at + self.random.randrange(1, 64)]
                case 3:
                    data[at:at] = data[at : at + self.random.randrange(1, 64)] * self.choice((1, 2, 50))
                case 4 if self.one_in(4):
                    del data[at:]
                case _:
                    data[at:at] = self.random.randbytes(self.random.randrange(1, 9))
        return bytes(data)

    def written(self, value: Any) -> bytes:
        """JSON text of a value, now and then damaged as text."""
        text = json.dumps(value, ensure_ascii=self.one_in(2))
        if self.one_in(8):
            text = self.text(text)
        if self.one_in(30):
            text = text.replace(": ", ": " + "[" * self.choice((100, 100_000)), 1)
        if self.one_in(30):
            text = text.replace(": ", ": " + "9" * self.choice((400, 5000)), 1)
        data = text.encode("utf-8", "surrogatepass")
        return self.bytes(data) if self.one_in(8) else data

    def _change(self, container: Any) -> None:
        keys = list(container) if isinstance(container, dict) else list(range(len(container)))
        key = self.choice(keys) if keys else None
        match self.random.randrange(8):
            case 0 if isinstance(container, dict):
                container[str(self.choice(TEXTS))] = self.value()
            case 0:
                container.append(self.value())
            case 1 if keys:
                del container[key]
            case 2 if keys and isinstance(container, dict):
                container[self.choice(keys)] = deepcopy(container[key])
            case 2 if keys:
                container += [deepcopy(container[key])] * self.choice((1, 3, 300))
            case 3 if keys and isinstance(container[key], str):
                container[key] = self.text(container[key])
            case 4 if keys and isinstance(container[key], int | float):
                container[key] = container[key] * self.choice((-1, 2, 10)) + self.choice((0, 1, -1))
            case 5 if keys and isinstance(container, dict) and isinstance(key, str):
                container[self.text(key)] = container.pop(key)
            case _ if keys:
                container[key] = self.value()


def _containers(value: Any) -> list[Any]:
    found, waiting = [], [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Mapping | list):
            found.append(item)
            waiting += item.values() if isinstance(item, Mapping) else item
    return found


def _nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value
