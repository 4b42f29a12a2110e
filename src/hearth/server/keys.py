"""API keys: read from options and files, kept as hashes, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path

from hearth.errors import UsageError

_MAX_FILE_BYTES = 1 << 20
_LEAST_CHARS, _LEAST_DIFFERENT = 16, 6
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # that nobody takes for one another when typing them
HINT = "Make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"


class ApiKeys:
    """The keys that a server takes. It holds their hashes only, and never shows them.

    Attributes:
        can_be_guessed: one of them is so short that a program could try them all.

    Raises:
        UsageError: a key is empty or holds what cannot stand in a header.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        given = [_checked(key) for key in keys]
        self._hashes = tuple(dict.fromkeys(map(_hash, given)))
        self.can_be_guessed = any(len(key) < _LEAST_CHARS or len(set(key)) < _LEAST_DIFFERENT for key in given)

    @classmethod
    def read(cls, keys: Iterable[str], file: Path | None) -> ApiKeys:
        """`keys` and those of a file: one a line; empty lines and lines that begin with # do not count.

        Raises:
            UsageError: the file cannot be read or holds no key.
        """
        return cls([*keys, *(_lines(file) if file is not None else [])])

    def __len__(self) -> int:
        return len(self._hashes)

    def __repr__(self) -> str:
        return f"<{len(self)} API keys>"

    def accepts(self, key: str) -> bool:
        """Whether this is one of them. Takes as long for a wrong one, whatever it has in common with a right one."""
        digest = _hash(key)
        matches = [hmac.compare_digest(digest, known) for known in self._hashes]
        return any(matches)

    def derived(self, purpose: str) -> str:
        """50 bits in letters and digits that whoever knows the first key can compute, and nobody else: a secret for
        one purpose, of which the key cannot be learned. Empty where there is no key.
        """
        if not self._hashes:
            return ""
        number = int.from_bytes(hmac.digest(self._hashes[0], purpose.encode(), "sha256")[:8], "big")
        return "".join(_LETTERS[number >> shift & 31] for shift in range(0, 50, 5))


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _checked(key: str) -> str:
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(
            "An API key is empty or holds a space, a control character or a letter beyond ASCII.",
            hint=HINT,
        )
    return key


def _lines(file: Path) -> list[str]:
    try:
        with file.open("rb") as stream:
            text = stream.read(_MAX_FILE_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The API keys cannot be read from {file}.", why=str(error)) from error
    keys = [line.strip() for line in text.splitlines()]
    keys = [key for key in keys if key and not key.startswith("#")]
    if not keys:
        raise UsageError(f"{file} holds no API key.", hint="Write one key a line.")
    return keys
