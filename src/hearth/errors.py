"""Every error Hearth raises on purpose: one small tree, each with its own exit code.

An error says what happened, why, and what to do. The command line prints the three parts and exits with `exit_code`;
Python callers catch `HearthError` or one of its kinds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_MOST_CHARS = 2000
# Everything that a terminal could take for a command, or that turns the order of what is read around.
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def shown(text: str, *, most: int = _MOST_CHARS) -> str:
    """Text that may hold a stranger's words (names of files, of tensors, of models), as it may stand in a terminal or a
    log: control characters as escapes (`\\x1b`), and of what is longer than `most` characters its beginning and end."""
    if len(text) > most:
        text = f"{text[: most * 3 // 4]} ... ({len(text)} characters) ... {text[-most // 8 :]}"
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def did_you_mean(names: Iterable[str], then: str = "") -> str:
    """A hint for what is misspelt: names that look like it, if there are any, and what else to do."""
    listed = " or ".join(names)
    return " ".join(part for part in (listed and f"Did you mean {listed}?", then) if part)


class HearthError(Exception):
    """Base of all errors that Hearth raises on purpose. Their words are `shown`: they may quote a stranger's.

    Args:
        what: one sentence: what happened, naming the thing it happened to.
        why: the cause, where it is known.
        hint: what the user can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, why: str = "", hint: str = "") -> None:
        self.what, self.why, self.hint = shown(what), shown(why), shown(hint)
        super().__init__(self.what)

    def __str__(self) -> str:
        return " ".join(part for part in (self.what, self.why, self.hint) if part)


class UsageError(HearthError):
    """An argument is out of range or two arguments contradict each other."""

    exit_code = 2


class ModelNotFound(HearthError):
    """The name is no model of a hub, no folder, no file and not `starter`."""

    exit_code = 3


class CorruptFile(HearthError):
    """A checkpoint, tokenizer or bundle file is damaged, truncated or hostile."""

    exit_code = 4


class Unsupported(HearthError):
    """The file is sound, but Hearth does not know its architecture, tensor type or setting."""

    exit_code = 5


class NetworkError(HearthError):
    """The hub cannot be reached, or refuses."""

    exit_code = 6


class StorageError(HearthError):
    """A file cannot be read, a folder cannot be written, or the disk is full."""

    exit_code = 7


class NotEnoughMemory(HearthError):
    """What was asked needs more memory than there is."""

    exit_code = 8


class ContextFull(HearthError):
    """The prompt, or prompt and answer, are longer than the context.

    Args:
        tokens: of the prompt, at least so many; None where that is not what is too long.
        limit: tokens that there is room for.
    """

    exit_code = 9

    def __init__(
        self, what: str, *, why: str = "", hint: str = "", tokens: int | None = None, limit: int | None = None
    ) -> None:
        super().__init__(what, why=why, hint=hint)
        self.tokens = tokens
        self.limit = limit


class TokenizerMissing(HearthError):
    """Text was asked of a model that came without a tokenizer."""

    exit_code = 10


class BundleMismatch(HearthError):
    """A bundle was made by another version, for another processor, or was changed since."""

    exit_code = 11


class CompileError(HearthError):
    """The compiler failed, or the `compile` extra is not installed."""

    exit_code = 12


class TemplateError(HearthError):
    """A chat template is missing, broken, or went past its limits."""

    exit_code = 13


class AddressInUse(HearthError):
    """Another program listens at the address that a server was to have."""

    exit_code = 14


class UntrustedBundle(HearthError):
    """A bundle is a program, and nobody has said that this one may be run."""

    exit_code = 15


class DeviceError(HearthError):
    """A GPU cannot be had, was lost, has too little memory, or refuses what a bundle asks of it."""

    exit_code = 16


class StatesLost(DeviceError):
    """A GPU was lost and is there again, without what it kept of texts. What was asked may be asked once more."""
