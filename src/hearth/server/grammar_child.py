"""A program: compiles grammars that it reads from standard input, and says after each that it is still there.

Started by `grammar_trial`, for many grammars. Knows nothing of Hearth, so that it starts quickly; its vocabulary is
that of a model but for the texts of ordinary tokens, of which it knows single bytes: what a grammar costs before its
first token does not depend on more.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from typing import Any

MEMORY_BYTES = 1 << 30


class Vocabulary:
    """What llguidance asks of a tokenizer."""

    def __init__(self, size: int, end_id: int, special: dict[str, str]) -> None:
        names = {int(id): name for id, name in special.items()}
        self.tokens = [b""] * size
        ordinary = (id for id in range(size) if id not in names)
        for id, byte in zip(ordinary, range(256), strict=False):
            self.tokens[id] = bytes([byte])
        for id, name in names.items():
            self.tokens[id] = name.encode()
        self.special_token_ids = sorted(names)
        self.eos_token_id = end_id
        self.bos_token_id = None
        self._ids = {token: id for id, token in enumerate(self.tokens) if len(token) == 1}

    def __call__(self, text: str | bytes) -> list[int]:
        data = text.encode() if isinstance(text, str) else bytes(text)
        return [self._ids[data[i : i + 1]] for i in range(len(data)) if data[i : i + 1] in self._ids]


def limit() -> None:
    """Memory, and nothing to write: from here on nothing can raise these limits."""
    try:
        import resource
    except ImportError:  # Windows: `grammar_trial` watches the clock
        return
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 32),
    ):
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with suppress(ValueError, OSError):  # not every system has every limit
            resource.setrlimit(kind, (most, most))


def compile_one(tokenizer: Any, grammar: str, limits: Any) -> None:
    """Whether it has a mistake is of no interest here."""
    import llguidance

    matcher = llguidance.LLMatcher(tokenizer, grammar, log_level=0, limits=limits)
    if not matcher.is_error():
        matcher.compute_bitmask()


def main() -> None:
    import llguidance

    limits, processor_s = llguidance.LLParserLimits(**json.loads(sys.argv[1])), float(sys.argv[2])
    known: dict[str, Any] = {}
    limit()
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        if "size" in asked:
            vocabulary = Vocabulary(asked["size"], asked["end_id"], asked["special"])
            wrapper = llguidance.TokenizerWrapper(vocabulary)
            known[asked["model"]] = llguidance.LLTokenizer(wrapper, eos_token=vocabulary.eos_token_id)
            continue
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_PROF, processor_s)  # ends the process, whatever it is in the middle of
        with suppress(Exception):  # which the server meets in its turn
            compile_one(known[asked["model"]], asked["grammar"], limits)
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write("\n")
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
