"""Grammars of one model: `Grammars` compiles them, and hands each request a matcher of its own.

Owns the tokenizer as llguidance knows it, the cache of compiled grammars and the limits of what a grammar may cost.
A grammar may come from a stranger: it is bounded in size before it is compiled (`structured.py`), and here in the work
that compiling it and each of its steps may take.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

import llguidance
import numpy as np
from llguidance.numpy import fill_next_token_bitmask

from hearth.chat.grammar_tokens import Mask, TokenTable, Vocabulary
from hearth.chat.tokenizer import Tokenizer
from hearth.errors import HearthError, Unsupported, UsageError

MAX_CACHED = 32
Trial = Callable[[str, str, Vocabulary], None]
"""Called with a grammar before it is compiled, what names it, and the model's tokens; raises UsageError to refuse."""
# Rows are longer than llguidance's default: an object of 2,000 optional properties has four times as many. The work of
# one step is half of it, some 10 ms. Messages shall not repeat the grammar.
LIMITS = llguidance.LLParserLimits(
    max_items_in_row=10_000,
    initial_lexer_fuel=1_000_000,
    step_lexer_fuel=100_000,
    step_max_items=25_000,
    max_lexer_states=50_000,
    max_grammar_size=200_000,
    verbose_errors=False,
)
_MAX_LINES, _MAX_LINE = 8, 160


class Grammars:
    """Compiles grammars for one model. May be used from several threads at once.

    Args:
        tokenizer: the model's.
        vocab_size: columns of the model's logits; may be padded past the tokenizer's vocabulary.
        trial: for grammars of strangers.

    Attributes:
        end_id: the token that stands in a matcher's mask for all that end an answer.

    Raises:
        Unsupported: the tokenizer has no token that could end an answer.
    """

    def __init__(self, tokenizer: Tokenizer, vocab_size: int, trial: Trial | None = None) -> None:
        self._trial = trial
        self.table = TokenTable(tokenizer, vocab_size)
        self.table.prepare()
        self.end_id = min(tokenizer.eos_ids or tokenizer.control_ids, default=-1)
        if self.end_id < 0:
            raise Unsupported(
                "This model's answers cannot be kept to a grammar:",
                why="its tokenizer has no control token that could end one.",
            )
        self._vocabulary = Vocabulary(self.table, self.end_id)
        self._known = llguidance.LLTokenizer(llguidance.TokenizerWrapper(self._vocabulary), eos_token=self.end_id)
        self._compiled: OrderedDict[str, llguidance.LLMatcher] = OrderedDict()
        self._lock = threading.Lock()

    def matcher(self, grammar: str, what: str) -> Matcher:
        """A matcher that stands at the beginning of a grammar.

        Args:
            grammar: as `llguidance.LLMatcher.grammar_from_...` gives it.
            what: names it in messages.

        Raises:
            UsageError: it has a mistake, matches nothing, or is too complex.
        """
        with self._lock:
            found = self._compiled.get(grammar)
            if found is not None:
                self._compiled.move_to_end(grammar)
                return Matcher(self, found.deep_copy())
        if self._trial is not None:
            self._trial(grammar, what, self._vocabulary)
        compiled = llguidance.LLMatcher(self._known, grammar, log_level=0, limits=LIMITS)
        if compiled.is_error():
            raise UsageError(f"{what} cannot be used:", why=sentence(compiled.get_error()))
        fill_next_token_bitmask(compiled, np.zeros((1, self.table.num_words), np.int32))  # fails where nothing matches
        if compiled.is_error():
            raise UsageError(f"{what} cannot be used:", why=f"no text keeps to it ({_first_line(compiled)}).")
        with self._lock:
            self._compiled[grammar] = compiled
            while len(self._compiled) > MAX_CACHED:
                self._compiled.popitem(last=False)
            return Matcher(self, compiled.deep_copy())

    def fault_of(self, grammar: str) -> str:
        """What keeps a grammar from being compiled; "" if nothing."""
        fault = llguidance.LLMatcher.validate_grammar(grammar, self._known, limits=LIMITS)
        return "" if not fault or fault.startswith("WARNING") else sentence(fault)


class Matcher:
    """Where one text stands in a grammar. Use from one thread at a time.

    Attributes:
        table, end_id: as `Grammars` has them.
    """

    def __init__(self, grammars: Grammars, inner: llguidance.LLMatcher) -> None:
        self._inner = inner
        self.table = grammars.table
        self.end_id = grammars.end_id
        self._rows = np.zeros((1, grammars.table.num_words), np.int32)

    def mask(self) -> Mask:
        """The tokens that may come; `end_id` where the text may end. Valid until the next call, and the
        caller's to change."""
        fill_next_token_bitmask(self._inner, self._rows)
        if self._inner.is_error():
            raise HearthError("The grammar broke:", why=_first_line(self._inner))
        mask: Mask = self._rows[0]
        return mask

    def takes(self, token: int) -> bool:
        """Whether the token may come."""
        return bool(self._inner.validate_tokens([token]) == 1)

    def may_end(self) -> bool:
        """Whether the text so far is whole."""
        return bool(self._inner.is_accepting())

    def take(self, token: int) -> None:
        """Goes on by a token. Raises HearthError if it may not come."""
        if not self._inner.consume_token(token):
            raise HearthError(f"The grammar does not allow token {token} here:", why=_first_line(self._inner))

    def reset(self) -> None:
        """Back to the beginning."""
        self._inner.reset()


def sentence(error: str) -> str:
    """A message of llguidance's, bounded: it quotes the grammar's lines, which may be long."""
    lines = error.replace("<non-verbose/>", "").rstrip().splitlines()[:_MAX_LINES]
    text = "\n".join(line if len(line) <= _MAX_LINE else line[:_MAX_LINE] + " ..." for line in lines).lstrip()
    return text if text.endswith(".") or "\n" in text else text + "."


def _first_line(matcher: llguidance.LLMatcher) -> str:
    return sentence(str(matcher.get_error()).partition("\n")[0]).removesuffix(".")
