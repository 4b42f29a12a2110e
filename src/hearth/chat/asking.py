"""What can be asked of an open model in text: `Asking`, the half of `LLM` that chats, carries on texts, prepares both.

Knows requests and the engine that runs them, not how either came to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal, Unpack, overload

from hearth.chat.answer import Completion, Totals
from hearth.chat.answer_stream import AnswerStream
from hearth.chat.formats import as_response_format
from hearth.chat.many import Result, all_or_raise, run_many
from hearth.chat.request import CONTEXT_HINT, Prepared, Requests
from hearth.chat.settings import ChatSettings, Messages, ResponseFormat, SamplingSettings, TextSettings
from hearth.engine import Engine, Generation, SharedEngine
from hearth.errors import ContextFull, UsageError


class Asking:
    """Answers in text.

    Attributes:
        stats: what has been done so far.
    """

    stats: Totals
    _requests: Requests
    _engine: Engine
    _shared: SharedEngine
    _showing: Callable[[int], AbstractContextManager[Callable[[], None]]]
    """Shows the progress of so many answers: gives what is to be called when one has ended."""

    @overload
    def chat(
        self, messages: Messages, *, stream: Literal[False] = False, **settings: Unpack[ChatSettings]
    ) -> Completion: ...
    @overload
    def chat(self, messages: Messages, *, stream: Literal[True], **settings: Unpack[ChatSettings]) -> AnswerStream: ...
    def chat(
        self, messages: Messages, *, stream: bool = False, **settings: Unpack[ChatSettings]
    ) -> Completion | AnswerStream:
        """Answers a conversation, in the model's own chat format.

        Control tokens that stand in a message are read as plain text: nobody can end a turn by writing `<|im_end|>`.

        Args:
            messages: `{"role": "system" | "user" | "assistant" | "tool", "content": "..."}` in order, or a text: what
                the user says. A content may be a list of parts: `{"type": "text", "text": "..."}` and, for a model
                that sees, `{"type": "image", "image": a path, bytes, a data URL, pixels u8 (h, w, 3)}` or OpenAI's
                `image_url` with a data URL. Nothing is fetched.
            stream: return an iterator over `Chunk`s instead of the whole answer.
            **settings: as `prepare_chat`.

        Raises:
            TokenizerMissing, TemplateError, ContextFull, UsageError.
        """
        self._shared.check_open()
        answer = self._stream(self.prepare_chat(messages, **settings))
        return answer if stream else answer.read()

    @overload
    def chat_many(
        self,
        conversations: Iterable[Messages],
        *,
        return_exceptions: Literal[False] = False,
        progress: bool = False,
        **settings: Unpack[ChatSettings],
    ) -> list[Completion]: ...
    @overload
    def chat_many(
        self,
        conversations: Iterable[Messages],
        *,
        return_exceptions: Literal[True],
        progress: bool = False,
        **settings: Unpack[ChatSettings],
    ) -> list[Result]: ...
    def chat_many(
        self,
        conversations: Iterable[Messages],
        *,
        return_exceptions: bool = False,
        progress: bool = False,
        **settings: Unpack[ChatSettings],
    ) -> list[Completion] | list[Result]:
        """Answers many conversations, several at the same time, each as `chat` would.

        Args:
            conversations: each as the messages of `chat`.
            return_exceptions: put what a failed one raised in its place, instead of raising when all have ended.
            progress: show a bar on standard error.
            **settings: of all, as `prepare_chat`.

        Returns:
            The answers in the order of the conversations.

        Raises:
            SomeFailed: some have no answer; its `results` have the others'.
            TokenizerMissing, TemplateError, ContextFull, UsageError: none has.
        """
        if isinstance(conversations, str):
            raise UsageError("chat_many takes a list of conversations, not one text.", hint="One is for `chat`.")
        begin = (partial(self._begin_chat, messages, settings) for messages in conversations)
        return self._many(begin, _length(conversations), return_exceptions, progress)

    @overload
    def generate(
        self, prompt: str | None = None, *, stream: Literal[False] = False, **settings: Unpack[TextSettings]
    ) -> Completion: ...
    @overload
    def generate(
        self, prompt: str | None = None, *, stream: Literal[True], **settings: Unpack[TextSettings]
    ) -> AnswerStream: ...
    @overload
    def generate(
        self,
        prompt: list[str] | tuple[str, ...],
        *,
        return_exceptions: Literal[False] = False,
        progress: bool = False,
        **settings: Unpack[TextSettings],
    ) -> list[Completion]: ...
    @overload
    def generate(
        self,
        prompt: list[str] | tuple[str, ...],
        *,
        return_exceptions: Literal[True],
        progress: bool = False,
        **settings: Unpack[TextSettings],
    ) -> list[Result]: ...
    def generate(
        self,
        prompt: str | list[str] | tuple[str, ...] | None = None,
        *,
        stream: bool = False,
        return_exceptions: bool = False,
        progress: bool = False,
        **settings: Unpack[TextSettings],
    ) -> Completion | AnswerStream | list[Completion] | list[Result]:
        """Carries on a text as it is, without a chat format; or many texts, several at the same time.

        Args:
            prompt: the text, or a list of texts, which are answered in their order. Or give `prompt_ids`, which also
                works for a model without a tokenizer.
            stream: return an iterator over `Chunk`s instead of the whole answer. Not for a list.
            return_exceptions, progress: of a list, as `chat_many`.
            **settings: as `prepare_text`.

        Raises:
            TokenizerMissing, ContextFull, UsageError. SomeFailed: as `chat_many`.
        """
        if isinstance(prompt, (list, tuple)):
            if stream or settings.get("prompt_ids") is not None:
                raise UsageError("A list of prompts goes neither with stream nor with prompt_ids.")
            begin = (partial(self._begin_text, one, settings) for one in prompt)
            return self._many(begin, len(prompt), return_exceptions, progress)
        self._shared.check_open()
        answer = self._stream(self.prepare_text(prompt, **settings))
        return answer if stream else answer.read()

    def prepare_chat(
        self,
        messages: Messages,
        *,
        thinking: bool | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        parallel_tool_calls: bool = True,
        response_format: ResponseFormat | None = None,
        template_variables: Mapping[str, Any] | None = None,
        continue_final_message: bool = False,
        **sampling: Unpack[SamplingSettings],
    ) -> Prepared:
        """What `chat` would do, ready for the engine but not begun. May be called from any thread.

        Args:
            messages: as `chat`.
            thinking: switch a reasoning model's thinking on or off, under whatever name its template offers that; where
                it does not, `Completion.notices` says so. None leaves it.
            tools: what the model may call, in OpenAI's form: see docs/tools.md.
            tool_choice: "auto" (as None), "none", "required", or `{"type": "function", "function": {"name": ...}}`.
            parallel_tool_calls: whether one answer may hold several calls.
            response_format: what the answer must keep to: a form of docs/structured.md, a JSON schema, or a Pydantic
                model's class.
            template_variables: whatever else the template knows.
            continue_final_message: the last message is the assistant's and not finished: go on with it. The answer is
                what comes after its text.
            **sampling: `temperature`, `top_k`, `top_p`, `min_p`, `repetition_penalty`, `presence_penalty`,
                `frequency_penalty`, `logit_bias`, `seed`, `max_tokens`, `stop` (strings), `stop_token_ids`, `logprobs`,
                `ignore_eos`; and `adapter`, the name of the adapter that answers. None, or leaving one out, means the
                model's default (`info.sampling`).

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
            response_format=as_response_format(response_format),
            template_variables=template_variables,
            continue_final_message=continue_final_message,
        )
        return self._checked(prepared)

    def prompt_ids(self, messages: Messages, **settings: Unpack[ChatSettings]) -> tuple[int, ...]:
        """The prompt that `prepare_chat` makes, also one longer than the context. May be called from any thread.

        Raises:
            TokenizerMissing, TemplateError, UsageError.
        """
        given: dict[str, Any] = {**settings}
        names = ChatSettings.__annotations__.keys() - SamplingSettings.__annotations__.keys()
        shaping = {name: given.pop(name) for name in names if name in given}
        if "response_format" in shaping:
            shaping["response_format"] = as_response_format(shaping["response_format"])
        return self._requests.chat(messages, given, any_length=True, **shaping).request.prompt_ids

    def prepare_text(
        self,
        prompt: str | None = None,
        *,
        prompt_ids: Sequence[int] | None = None,
        response_format: ResponseFormat | None = None,
        parse_special: bool = False,
        add_special: bool = True,
        suffix: str | None = None,
        images: Sequence[Any] = (),
        **sampling: Unpack[SamplingSettings],
    ) -> Prepared:
        """What `generate` would do, ready for the engine but not begun. May be called from any thread.

        Args:
            prompt, prompt_ids: as `generate`.
            response_format: what the text must keep to: see docs/structured.md.
            parse_special: let the text write control tokens. Only for text you trust as you trust your program.
            add_special: begin the text as the model expects it (BOS).
            suffix: what comes behind; the answer is what fills in between, by a model of code.
            images: pictures, each as in `chat`, for a model that sees. Each stands where the prompt has its
                `picture_marker`; where that is nowhere, they come first.
            **sampling: as `prepare_chat`; `max_tokens` is 256 unless given.

        Raises:
            TokenizerMissing, ContextFull, UsageError. Unsupported: the model cannot fill in.
        """
        prepared = self._requests.text(
            sampling,
            prompt,
            prompt_ids=prompt_ids,
            response_format=as_response_format(response_format),
            parse_special=parse_special,
            add_special=add_special,
            suffix=suffix,
            images=images,
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

    def _begin_chat(self, messages: Messages, settings: ChatSettings) -> AnswerStream:
        return self._stream(self.prepare_chat(messages, **settings))

    def _begin_text(self, prompt: str, settings: TextSettings) -> AnswerStream:
        return self._stream(self.prepare_text(prompt, **settings))

    def _many(
        self, begin: Iterable[Callable[[], AnswerStream]], total: int, return_exceptions: bool, progress: bool
    ) -> list[Completion] | list[Result]:
        self._shared.check_open()
        with self._showing(total) if progress else nullcontext(lambda: None) as on_done:
            results = run_many(begin, at_once=2 * self._engine.max_running, on_done=on_done)
        return results if return_exceptions else all_or_raise(results)

    def _stream(self, prepared: Prepared) -> AnswerStream:
        return AnswerStream(Generation(self._shared, prepared.request), prepared.answer, on_end=self.stats.add)


def _length(items: Iterable[object]) -> int:
    """How many there are; 0 where nobody knows."""
    return len(items) if isinstance(items, Sized) else 0
