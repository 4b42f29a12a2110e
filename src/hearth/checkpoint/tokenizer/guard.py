"""Calls into the `tokenizers` library that end in an error of ours, whatever a tokenizer.json or a text does to it.

The library is Rust: where it gives up (a regular expression that tries too many ways, a post-processor that names a
token it lacks) it panics, and Python sees a `PanicException`, which is no `Exception`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import BPE

from hearth.checkpoint.mapped import PULL_AGAIN
from hearth.checkpoint.tokenizer.charsmap import check_charsmaps_in
from hearth.errors import CorruptFile, HearthError, UsageError

_SHOWN_CHARS = 300
_MAX_GROWTH = 100  # published normalizers replace a space by one character
_PANICS = "pyo3_runtime"  # the module of what a panic becomes


@contextmanager
def guarded(error: Callable[[str], HearthError]) -> Iterator[None]:
    """Raises `error(why)` in place of whatever the library raises inside of the block; `why` are its own words."""
    try:
        yield
    except (MemoryError, HearthError):
        raise
    except BaseException as panic:
        if not isinstance(panic, Exception) and type(panic).__module__ != _PANICS:
            raise
        raise error(f"The tokenizers library says: {str(panic)[:_SHOWN_CHARS]}.") from panic


def load_tokenizer(text: str, source: str) -> Tokenizer:
    """A `tokenizers.Tokenizer` from the text of a tokenizer.json; `source` is for messages.

    Published files sometimes keep the padding, the truncation and the dropout of merges of a training run. All are
    switched off: cutting a prompt, filling it up or writing the same text in other tokens each time is never right.

    Raises:
        CorruptFile: the library refuses it, or would try to take absurd amounts of memory for it.
    """

    def damaged(why: str) -> CorruptFile:
        return CorruptFile(f"The tokenizer in {source} cannot be loaded.", why=why, hint=PULL_AGAIN)

    check_charsmaps_in(text, source)
    with guarded(damaged):
        tokenizer = Tokenizer.from_str(text)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        if isinstance(tokenizer.model, BPE):
            tokenizer.model.dropout = None
    parts = (tokenizer.normalizer, tokenizer.pre_tokenizer)
    growth = math.prod(_growth(json.loads(part.__getstate__())) for part in parts if part is not None)
    if growth > _MAX_GROWTH:
        raise damaged(f"It can make {growth:,} characters of one.")
    return tokenizer


def _growth(part: Mapping[str, Any]) -> int:
    """How many times longer a text can become by what is done to it before it is cut into tokens."""
    kind = part.get("type")
    if kind == "Sequence":
        return math.prod(_growth(step) for step in part.get("normalizers") or part.get("pretokenizers") or ())
    if kind == "Replace":
        pattern = part["pattern"].get("String", "?")  # an expression may match one character
        return max(1, len(part["content"]) // max(1, len(pattern)))
    return 2 if kind == "ByteLevel" else 1  # which spells a byte that is no ASCII letter with two


def encode(tokenizer: Tokenizer, text: str, *, add_special: bool) -> list[int]:
    """Token ids of a text. Other threads run meanwhile.

    Args:
        add_special: let the post-processor put its tokens around the text.

    Raises:
        UsageError: the tokenizer gives up on this text.
    """

    def too_hard(why: str) -> UsageError:
        return UsageError(
            f"A text of {len(text):,} characters cannot be cut into tokens.",
            why=why,
            hint="Shorten long runs of spaces or of one character, or give the text in parts.",
        )

    with guarded(too_hard):
        # A batch of one: unlike `encode` it does not keep Python's lock, and it reckons no offsets.
        ids: list[int] = tokenizer.encode_batch_fast([text], add_special_tokens=add_special)[0].ids
    return ids
