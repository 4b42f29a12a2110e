"""The settings that `chat` and `generate` take by name, as types: editors complete them and type checkers know them.

What they mean and which values they take is `engine.SamplingParams`' and `Requests`' business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from hearth.chat.conversation import Message

Messages = str | Sequence[Mapping[str, Any] | Message]
"""A conversation; a text alone is what the user says first."""

ResponseFormat = Mapping[str, Any] | type[Any]
"""What an answer keeps to: a form of docs/structured.md, a JSON schema, or a Pydantic model's class."""


class SamplingSettings(TypedDict, total=False):
    """How an answer is drawn; None, or leaving one out, means the model's default (`info.sampling`).

    See `SamplingParams` for each. `stop` are strings that end the answer and are cut; `repetition_stop` ends one that
    goes round in a circle (`repetition.py`), as it does by default, except under a grammar and with `ignore_eos`.
    `adapter` is the name of one that the model was opened with; without it the model answers as it is.
    """

    temperature: float | None
    top_k: int | None
    top_p: float | None
    min_p: float | None
    repetition_penalty: float | None
    presence_penalty: float | None
    frequency_penalty: float | None
    logit_bias: Mapping[int, float] | None
    seed: int | None
    max_tokens: int | None
    stop: str | Sequence[str] | None
    stop_token_ids: Sequence[int] | None
    logprobs: int | None
    ignore_eos: bool | None
    repetition_stop: bool | None
    adapter: str | None


class TextSettings(SamplingSettings, total=False):
    """What `generate` takes; see `LLM.prepare_text`."""

    prompt_ids: Sequence[int] | None
    response_format: ResponseFormat | None
    parse_special: bool
    add_special: bool
    suffix: str | None
    images: Sequence[Any]


class ChatSettings(SamplingSettings, total=False):
    """What `chat` takes; see `LLM.prepare_chat`."""

    thinking: bool | None
    tools: Sequence[Mapping[str, Any]] | None
    tool_choice: Literal["auto", "none", "required"] | Mapping[str, Any] | None
    parallel_tool_calls: bool
    response_format: ResponseFormat | None
    template_variables: Mapping[str, Any] | None
    continue_final_message: bool
