"""How a request wants its tokens drawn: `SamplingParams`, checked when it is made.

Knows the meaning and the range of each setting, not how any of them is computed (`sampling.py`) nor which model they
are for: ids are checked against the vocabulary when the engine takes the request.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from hearth.errors import UsageError

MAX_LOGPROBS = 100


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """Settings of one request. The defaults leave the model's own distribution untouched.

    Attributes:
        temperature: divides the logits; 0 is greedy: always the likeliest token.
        top_k: draw among this many likeliest tokens; 0 is off. Tokens as likely as the last one of them stay in too.
        top_p: draw among the fewest likeliest tokens whose probabilities sum to at least this; 1 is off.
        min_p: draw among tokens at least this many times as likely as the likeliest; 0 is off.
        repetition_penalty: divides the positive and multiplies the negative logits of every token of prompt and
            output (as transformers does); 1 is off.
        presence_penalty: subtracted from the logit of every token of the output (as OpenAI and vLLM do); 0 is off.
        frequency_penalty: subtracted once for each time the token stands in the output; 0 is off.
        logit_bias: token id -> added to its logit, -100 .. 100.
        seed: of this request's own random generator (numpy PCG64). The same seed, prompt and settings draw the same
            numbers whatever else is in the batch. None: a seed from the system.
        max_tokens: output ends after this many; None: when the model ends it or the context is full.
        stop_token_ids: output ends with any of these, besides the model's own end tokens.
        logprobs: None: none; n: the log-probability of each drawn token and of the n likeliest (0: only the drawn).
        ignore_eos: go on after the model's own end tokens (for benchmarks).

    Raises:
        UsageError: a value is out of its range; names the setting and the range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    seed: int | None = None
    max_tokens: int | None = None
    stop_token_ids: tuple[int, ...] = ()
    logprobs: int | None = None
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        _check_float("temperature", self.temperature, 0.0, 100.0)
        _check_int("top_k", self.top_k, 0, None)
        _check_float("top_p", self.top_p, 0.0, 1.0, above_low=True)
        _check_float("min_p", self.min_p, 0.0, 1.0)
        _check_float("repetition_penalty", self.repetition_penalty, 0.0, 10.0, above_low=True)
        _check_float("presence_penalty", self.presence_penalty, -2.0, 2.0)
        _check_float("frequency_penalty", self.frequency_penalty, -2.0, 2.0)
        if self.seed is not None:
            _check_int("seed", self.seed, 0, 2**64 - 1)
        if self.max_tokens is not None:
            _check_int("max_tokens", self.max_tokens, 1, None)
        if self.logprobs is not None:
            _check_int("logprobs", self.logprobs, 0, MAX_LOGPROBS)
        if not isinstance(self.ignore_eos, bool):
            raise UsageError(f"ignore_eos is {self.ignore_eos!r}, but must be true or false.")
        # Frozen for good: neither a caller's list nor its dictionary may change under a running request.
        object.__setattr__(self, "stop_token_ids", _checked_ids(self.stop_token_ids))
        object.__setattr__(self, "logit_bias", _checked_bias(self.logit_bias))

    @property
    def greedy(self) -> bool:
        return self.temperature == 0.0

    @property
    def changes_logits(self) -> bool:
        """Whether a penalty or a bias is active, so that the largest logit may not be the model's own."""
        return self.penalises or bool(self.logit_bias)

    @property
    def penalises(self) -> bool:
        return self.repetition_penalty != 1.0 or self.presence_penalty != 0.0 or self.frequency_penalty != 0.0


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_int(name: str, value: Any, low: int, high: int | None) -> None:
    if not _is_int(value) or value < low or (high is not None and value > high):
        allowed = f"a whole number, {low} or more" if high is None else f"a whole number, {low} to {high}"
        raise UsageError(f"{name} is {value!r}, but must be {allowed}.")


def _check_float(name: str, value: Any, low: float, high: float, *, above_low: bool = False) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value < low or value > high or (above_low and value == low):
        allowed = f"above {low:g} and at most {high:g}" if above_low else f"{low:g} to {high:g}"
        raise UsageError(f"{name} is {value!r}, but must be a number {allowed}.")


def _checked_ids(ids: Any) -> tuple[int, ...]:
    try:
        result = tuple(ids)
    except TypeError:
        raise UsageError(f"stop_token_ids is {ids!r}, but must be a list of token ids.") from None
    for token in result:
        _check_int("stop_token_ids", token, 0, None)
    return result


def _checked_bias(bias: Any) -> Mapping[int, float]:
    if not isinstance(bias, Mapping):
        raise UsageError(f"logit_bias is {bias!r}, but must map token ids to numbers.")
    for token, value in bias.items():
        _check_int("logit_bias: token id", token, 0, None)
        _check_float(f"logit_bias[{token}]", value, -100.0, 100.0)
    return MappingProxyType(dict(bias))
