"""What can be asked of an open model in text: `Asking`, the half of `LLM` that chats, carries on texts, prepares both.

Knows requests and the engine that runs them, not how either came to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

from hearth.chat.answer import AnswerStream, Completion, Totals
from hearth.chat.conversation import Message
from hearth.chat.request import CONTEXT_HINT, Prepared, Requests
from hearth.engine import Engine, Generation, SharedEngine
from hearth.errors import ContextFull

_SHAPING = (
    "thinking",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "template_variables",
    "continue_final_message",
)


class Asking:
    """Answers in text.

    Attributes:
        stats: what has been done so far.
    """

    stats: Totals
    _requests: Requests
    _engine: Engine
    _shared: SharedEngine

    @overload
    def chat(
        self, messages: Sequence[Mapping[str, Any] | Message], *, stream: Literal[False] = False, **settings: Any
    ) -> Completion: ...
    @overload
    def chat(
        self, messages: Sequence[Mapping[str, Any] | Message], *, stream: Literal[True], **settings: Any
    ) -> AnswerStream: ...
    def chat(
        self, messages: Sequence[Mapping[str, Any] | Message], *, stream: bool = False, **settings: Any
    ) -> Completion | AnswerStream:
        """Answers a conversation, in the model's own chat format.

        Control tokens that stand in a message are read as plain text: nobody can end a turn by writing `<|im_end|>`.

        Args:
            messages: `{"role": "system" | "user" | "assistant" | "tool", "content": "..."}` in order.
            stream: return an iterator over `Chunk`s instead of the whole answer.
            **settings: as `prepare_chat`.

        Raises:
            TokenizerMissing, TemplateError, ContextFull, UsageError.
        """
        self._shared.check_open()
        answer = self._stream(self.prepare_chat(messages, **settings))
        return answer if stream else answer.read()

    @overload
    def generate(self, prompt: str | None = None, *, stream: Literal[False] = False, **settings: Any) -> Completion: ...
    @overload
    def generate(self, prompt: str | None = None, *, stream: Literal[True], **settings: Any) -> AnswerStream: ...
    def generate(
        self, prompt: str | None = None, *, stream: bool = False, **settings: Any
    ) -> Completion | AnswerStream:
        """Carries on a text as it is, without a chat format.

        Args:
            prompt: the text. Or give `prompt_ids`, which also works for a model without a tokenizer.
            stream: return an iterator over `Chunk`s instead of the whole answer.
            **settings: as `prepare_text`.

        Raises:
            TokenizerMissing, ContextFull, UsageError.
        """
        self._shared.check_open()
        answer = self._stream(self.prepare_text(prompt, **settings))
        return answer if stream else answer.read()

    def prepare_chat(
        self,
        messages: Sequence[Mapping[str, Any] | Message],
        *,
        thinking: bool | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        parallel_tool_calls: bool = True,
        response_format: Mapping[str, Any] | None = None,
        template_variables: Mapping[str, Any] | None = None,
        continue_final_message: bool = False,
        **sampling: Any,
    ) -> Prepared:
        """What `chat` would do, ready for the engine but not begun. May be called from any thread.

        Args:
            messages: as `chat`.
            thinking: switch a reasoning model's thinking on or off, under whatever name its template offers that; where
                it does not, `Completion.notices` says so. None leaves it.
            tools: what the model may call, in OpenAI's form: see docs/tools.md.
            tool_choice: "auto" (as None), "none", "required", or `{"type": "function", "function": {"name": ...}}`.
            parallel_tool_calls: whether one answer may hold several calls.
            response_format: what the answer must keep to: see docs/structured.md.
            template_variables: whatever else the template knows.
            continue_final_message: the last message is the assistant's and not finished: go on with it. The answer is
                what comes after its text.
            **sampling: `temperature`, `top_k`, `top_p`, `min_p`, `repetition_penalty`, `presence_penalty`,
                `frequency_penalty`, `logit_bias`, `seed`, `max_tokens`, `stop` (strings), `stop_token_ids`, `logprobs`,
                `ignore_eos`. None, or leaving one out, means the model's default (`info.sampling`).

        Raises:
            TokenizerMissing, TemplateError, ContextFull, UsageError.
        """
        prepared = self._requests.chat(
            messages,
            sampling,
            thinking=thinking,
            tools=tools,
            tool_choice=tool_choice,
            parallel_tool_calls=parallel_tool_calls,
            response_format=response_format,
            template_variables=template_variables,
            continue_final_message=continue_final_message,
        )
        return self._checked(prepared)

    def prompt_ids(self, messages: Sequence[Mapping[str, Any] | Message], **settings: Any) -> tuple[int, ...]:
        """The prompt that `prepare_chat` makes, also one longer than the context. May be called from any thread.

        Raises:
            TokenizerMissing, TemplateError, UsageError.
        """
        shaping = {name: settings.pop(name) for name in _SHAPING if name in settings}
        return self._requests.chat(messages, settings, any_length=True, **shaping).request.prompt_ids

    def prepare_text(
        self,
        prompt: str | None = None,
        *,
        prompt_ids: Sequence[int] | None = None,
        response_format: Mapping[str, Any] | None = None,
        parse_special: bool = False,
        add_special: bool = True,
        suffix: str | None = None,
        **sampling: Any,
    ) -> Prepared:
        """What `generate` would do, ready for the engine but not begun. May be called from any thread.

        Args:
            prompt, prompt_ids: as `generate`.
            response_format: what the text must keep to: see docs/structured.md.
            parse_special: let the text write control tokens. Only for text you trust as you trust your program.
            add_special: begin the text as the model expects it (BOS).
            suffix: what comes behind; the answer is what fills in between, by a model of code.
            **sampling: as `prepare_chat`; `max_tokens` is 256 unless given.

        Raises:
            TokenizerMissing, ContextFull, UsageError. Unsupported: the model cannot fill in.
        """
        prepared = self._requests.text(
            sampling,
            prompt,
            prompt_ids=prompt_ids,
            response_format=response_format,
            parse_special=parse_special,
            add_special=add_special,
            suffix=suffix,
        )
        return self._checked(prepared)

    def check_chat(self) -> None:
        """Raises what `chat` would raise for want of a tokenizer or a template; `notices` then tells of a guess."""
        self._requests.template()

    def tokenize(self, text: str, *, add_special: bool = True, parse_special: bool = False) -> list[int]:
        """Token ids of a text; see `Tokenizer.encode`. Raises TokenizerMissing."""
        return self._requests.tokenizer().encode(text, add_special=add_special, parse_special=parse_special)

    def detokenize(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """The text of token ids; see `Tokenizer.decode`. Raises TokenizerMissing."""
        return self._requests.tokenizer().decode(ids, skip_special=skip_special)

    # -- inside --------------------------------------------------------------------------------------------------

    def _checked(self, prepared: Prepared) -> Prepared:
        """Raises what the engine would raise on taking the request."""
        try:
            self._engine.check(prepared.request)
        except ContextFull as error:
            hint = CONTEXT_HINT if prepared.request.overflow == "stop" else ""
            raise ContextFull(error.what, why=error.why, hint=hint, tokens=error.tokens, limit=error.limit) from error
        return prepared

    def _stream(self, prepared: Prepared) -> AnswerStream:
        return AnswerStream(Generation(self._shared, prepared.request), prepared.answer, on_end=self.stats.add)
