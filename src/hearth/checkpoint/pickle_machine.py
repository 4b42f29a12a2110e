"""Reads a pickle as data: what it asks to be called is written down, and nothing is.

A pickle is a program for a small stack machine, some of whose instructions import and call what they name. Here they
make `Call`s and `Name`s, which are records, so a hostile pickle can at most make a large value; its size bounds that.
Instructions that Hearth does not know are refused. Source: the module pickletools of Python's library.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_STEPS = 5_000_000
"""Instructions of one pickle; a state dict has about a dozen for each tensor."""


@dataclass(frozen=True)
class Name:
    """Something that the pickle would import."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass
class Call:
    """Something that the pickle would call, with these arguments, and what it would give the result afterwards."""

    function: Any
    arguments: Any
    state: Any = None


@dataclass(frozen=True)
class Persistent:
    """Something that stands outside of the pickle, by what it is called there."""

    id: Any


class PickleError(ValueError):
    """The bytes are no pickle, or one that Hearth does not read."""


class _Mark:
    pass


_MARK = _Mark()


@dataclass
class _Machine:
    data: memoryview
    at: int
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def take(self, count: int) -> bytes:
        if count < 0 or self.at + count > len(self.data):
            raise PickleError("it ends in the middle")
        self.at += count
        return bytes(self.data[self.at - count : self.at])

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        end = self.at
        while end < len(self.data) and self.data[end] != 10 and end - self.at <= 1000:
            end += 1
        text = self.take(end - self.at)
        self.take(1)
        return _text(text)

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise PickleError("it takes from an empty stack")
        return self.stack.pop()

    def top(self, kind: type) -> Any:
        """The value on top, which later instructions add to."""
        value = self.pop()
        self.push(value)
        if not isinstance(value, kind | Call):
            raise PickleError(f"it adds to a {type(value).__name__}")
        return value

    def to_mark(self) -> list[Any]:
        for i in range(len(self.stack) - 1, -1, -1):
            if self.stack[i] is _MARK:
                taken = self.stack[i + 1 :]
                del self.stack[i:]
                return taken
        raise PickleError("a mark is missing")


def read_pickle(data: memoryview, at: int = 0) -> tuple[Any, int]:
    """The value of the pickle that begins at a place, and where it ends.

    Values are None, bools, numbers, texts, bytes, tuples, lists, sets (as lists), dicts, and the records of this file.

    Raises:
        PickleError: no pickle, or an instruction that Hearth does not read.
    """
    machine = _Machine(data, at)
    for _ in range(MAX_STEPS):
        code = machine.take(1)
        if code == b".":
            return machine.pop(), machine.at
        run = _CODES.get(code)
        if run is None:
            raise PickleError(f"it has the instruction {code!r}, which is not read")
        run(machine)
    raise PickleError(f"it has more than {MAX_STEPS:,} instructions")


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise PickleError("a text in it is not UTF-8") from error


def _constant(value: Any) -> Callable[[_Machine], None]:
    return lambda m: m.push(value)


def _fresh(make: Callable[[], Any]) -> Callable[[_Machine], None]:
    return lambda m: m.push(make())


def _number(form: str) -> Callable[[_Machine], None]:
    return lambda m: m.push(m.number(form))


def _sized(form: str, make: Callable[[bytes], Any]) -> Callable[[_Machine], None]:
    """A length, then so many bytes."""
    return lambda m: m.push(make(m.take(m.number(form))))


def _long(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


def _tuple_of(count: int) -> Callable[[_Machine], None]:
    def run(m: _Machine) -> None:
        m.push(tuple(reversed([m.pop() for _ in range(count)])))

    return run


def _add_items(m: _Machine, items: list[Any]) -> None:
    to = m.top(list)
    if isinstance(to, list):
        to.extend(items)


def _set_items(m: _Machine, items: list[Any]) -> None:
    to = m.top(dict)
    if len(items) % 2:
        raise PickleError("a key has no value")
    if isinstance(to, dict):
        to.update(_pairs(items))


def _pairs(items: list[Any]) -> dict[Any, Any]:
    keys, values = items[::2], items[1::2]
    if not all(isinstance(key, str | int | float | bytes | bool | None) for key in keys):
        return {}  # keys of other kinds are none that Hearth looks for
    return dict(zip(keys, values, strict=True))


def _get(index: Callable[[_Machine], int]) -> Callable[[_Machine], None]:
    def run(m: _Machine) -> None:
        number = index(m)
        if number not in m.memo:
            raise PickleError("it takes what it never put")
        m.push(m.memo[number])

    return run


def _put(index: Callable[[_Machine], int]) -> Callable[[_Machine], None]:
    def run(m: _Machine) -> None:
        value = m.pop()
        m.push(value)
        m.memo[index(m)] = value

    return run


def _global(m: _Machine) -> None:
    m.push(Name(m.line(), m.line()))


def _stack_global(m: _Machine) -> None:
    name, module = m.pop(), m.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise PickleError("the name of what it would import is no text")
    m.push(Name(module, name))


def _call(m: _Machine) -> None:
    arguments, function = m.pop(), m.pop()
    if isinstance(function, Name) and str(function) == "collections.OrderedDict":
        m.push(_dict_of(arguments))
    else:
        m.push(Call(function, arguments))


def _dict_of(arguments: Any) -> dict[Any, Any]:
    """An ordered dict that is filled afterwards, or of the pairs that it is made of."""
    match arguments:
        case ():
            return {}
        case (list(pairs),) if all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
            return _pairs([item for pair in pairs for item in pair])
    raise PickleError("it makes an ordered dict in an unknown way")


def _call_with_keywords(m: _Machine) -> None:
    keywords, arguments, function = m.pop(), m.pop(), m.pop()
    m.push(Call(function, (arguments, keywords)))


def _build(m: _Machine) -> None:
    state, to = m.pop(), m.pop()
    if isinstance(to, Call):
        to.state = state
    m.push(to)  # of a dict: attributes of it, such as the versions of a state dict's modules


def _drop_mark(m: _Machine) -> None:
    m.to_mark()


def _drop(m: _Machine) -> None:
    if not m.stack:
        raise PickleError("it takes from an empty stack")
    m.stack.pop()


def _protocol(m: _Machine) -> None:
    if m.take(1)[0] > 5:
        raise PickleError("it is of a later protocol than 5")


def _frame(m: _Machine) -> None:
    m.number("<Q")  # how far a reader may read ahead


_CODES: Mapping[bytes, Callable[[_Machine], None]] = {
    b"\x80": _protocol,
    b"\x95": _frame,
    b"(": _constant(_MARK),
    b"0": _drop,
    b"1": _drop_mark,
    b"N": _constant(None),
    b"\x88": _constant(True),
    b"\x89": _constant(False),
    b"J": _number("<i"),
    b"K": _number("<B"),
    b"M": _number("<H"),
    b"\x8a": _sized("<B", _long),
    b"\x8b": _sized("<I", _long),
    b"G": _number(">d"),
    b"U": _sized("<B", lambda data: data.decode("latin-1")),
    b"T": _sized("<I", lambda data: data.decode("latin-1")),
    b"C": _sized("<B", bytes),
    b"B": _sized("<I", bytes),
    b"\x8e": _sized("<Q", bytes),
    b"\x8c": _sized("<B", _text),
    b"X": _sized("<I", _text),
    b"\x8d": _sized("<Q", _text),
    b")": _constant(()),
    b"\x85": _tuple_of(1),
    b"\x86": _tuple_of(2),
    b"\x87": _tuple_of(3),
    b"t": lambda m: m.push(tuple(m.to_mark())),
    b"]": _fresh(list),
    b"l": lambda m: m.push(m.to_mark()),
    b"a": lambda m: _add_items(m, [m.pop()]),
    b"e": lambda m: _add_items(m, m.to_mark()),
    b"\x8f": _fresh(list),
    b"\x90": lambda m: _add_items(m, m.to_mark()),
    b"\x91": lambda m: m.push(m.to_mark()),
    b"}": _fresh(dict),
    b"d": lambda m: m.push(_pairs(m.to_mark())),
    b"s": lambda m: _set_items(m, [m.pop(), m.pop()][::-1]),
    b"u": lambda m: _set_items(m, m.to_mark()),
    b"q": _put(lambda m: m.number("<B")),
    b"r": _put(lambda m: m.number("<I")),
    b"\x94": _put(lambda m: len(m.memo)),
    b"h": _get(lambda m: m.number("<B")),
    b"j": _get(lambda m: m.number("<I")),
    b"c": _global,
    b"\x93": _stack_global,
    b"R": _call,
    b"\x81": _call,
    b"\x92": _call_with_keywords,
    b"b": _build,
    b"Q": lambda m: m.push(Persistent(m.pop())),
}
