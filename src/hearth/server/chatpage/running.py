"""Answers that are being written: each step's text goes to the store first and to the page then.

So whatever the page has shown is on disk when the process is killed. An answer is written whether or not a page
follows it; one that is opened later is told it from its beginning. It ends in one of these ways, and the store knows
which: the model ended it, the user stopped it or Hearth, something failed, or the process was killed (the store finds
out at its next start).
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any, Protocol

from anyio.to_thread import run_sync
from fastapi.encoders import jsonable_encoder

from hearth.chat.answer import Chunk, Completion
from hearth.chat.request import Prepared
from hearth.errors import ContextFull, StorageError
from hearth.llm import LLM
from hearth.server.chatpage.names import known_name
from hearth.server.chatpage.prompt import chat_messages
from hearth.server.errors import as_api_error, log_fault
from hearth.server.metrics import Followed, Metrics
from hearth.server.models import Models
from hearth.store import Conversation, Message, NotFound, Store, Timings, Usage
from hearth.store.records import State
from hearth.worker import Closing

log = logging.getLogger("hearth.server")

_CONTEXT_HINT = (
    "Begin a new conversation, go on from an earlier message, leave a file out, or start Hearth with a larger --context"
    " if the model takes it."
)


class AppState(Protocol):
    """What is needed of the application's state."""

    models: Models
    metrics: Metrics


class RunningAnswers:
    """The answers that are being written now, by their conversations: one each."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._answers: dict[str, _Answer] = {}

    async def stop(self, conversation: str) -> None:
        """Stops the conversation's answer, if there is one, and waits until it is stored."""
        answer = self._answers.get(conversation)
        if answer is not None:
            await answer.stop()

    async def begin(self, state: AppState, conversation: str, parent: str) -> AsyncGenerator[dict[str, Any]]:
        """Begins an answer to a message, in place of the one that is being written; yields what `follow` does.

        Raises:
            NotFound, UsageError: before the first event.
        """
        await self.stop(conversation)
        talk = await run_sync(self._store.conversation, conversation)
        model = talk.model or state.models.default or ""
        message = await run_sync(self._store.begin_answer, conversation, parent, model)
        answer = _Answer(self._store, state, talk, message)
        self._answers[conversation] = answer
        answer.task.add_done_callback(lambda _: self._forget(conversation, answer))
        async for event in answer.events():
            yield event

    async def follow(self, conversation: str) -> AsyncGenerator[dict[str, Any]]:
        """What the page is told of the answer that is being written, from its beginning.

        Raises:
            NotFound: none is being written, before the first event.
        """
        answer = self._answers.get(conversation)
        if answer is None:
            raise NotFound("No answer is being written in this conversation.")
        async for event in answer.events():
            yield event

    def _forget(self, conversation: str, answer: _Answer) -> None:
        if self._answers.get(conversation) is answer:
            del self._answers[conversation]


class _Answer:
    """One answer on its way, written by a task of its own."""

    def __init__(self, store: Store, state: AppState, talk: Conversation, message: Message) -> None:
        self._store = store
        self._state = state
        self._talk = talk
        self._message = message
        self._opening: asyncio.Future[Followed] | None = None
        self._stream: Followed | None = None
        self._prompt: dict[str, int] = {}
        self._stopped = False
        self._ending = False
        self._ended = asyncio.Event()
        self._writing = asyncio.Lock()
        self._written = {"answer": 0, "thinking": 0}  # characters
        self._thinking_from = self._thinking_s = 0.0
        self._told: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self._tell({"type": "start", "message": jsonable_encoder(message)})
        self.task = asyncio.create_task(self._write_all())
        self.task.add_done_callback(lambda _: self._wake())

    async def stop(self) -> None:
        """From another request: what has come is kept."""
        self._stopped = True
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
        await self.end("stopped")

    async def events(self) -> AsyncGenerator[dict[str, Any]]:
        """All that has been told, and what will be, until its end."""
        position = 0
        while True:
            over, news = self.task.done(), self._news
            new, position = self._told[position:], len(self._told)
            for event in _joined(new):
                yield event
            if over:
                return
            await news.wait()

    def _tell(self, event: dict[str, Any]) -> None:
        self._told.append(event)
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _write_all(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                self._opening = asyncio.ensure_future(self._begin(stack))
                self._stream = await self._opening
                self._tell({"type": "progress", "stage": "read", **self._prompt})
                async for chunks in self._stream:
                    await self._write(chunks)
            self._tell({"type": "done", "message": jsonable_encoder(await self.end("done"))})
        except (asyncio.CancelledError, Closing) as error:
            # Stopped by the user, or by whoever ends Hearth.
            stored = await asyncio.shield(self.end("stopped"))
            self._tell({"type": "done", "message": jsonable_encoder(stored)})
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
        except Exception as error:
            told = as_api_error(error)
            if told.status >= 500:
                log_fault("an answer", error)
            message, hint = told.owner
            if isinstance(error, ContextFull):
                hint = _CONTEXT_HINT
            stored = await self.end("error", error=message, hint=hint, error_kind=told.kind)
            event = {"type": "error", "message": message, "hint": hint, "kind": told.kind}
            self._tell(event | {"answer": jsonable_encoder(stored)})

    async def _begin(self, stack: AsyncExitStack) -> Followed:
        """Opens the model, makes the prompt and queues it."""
        state = self._state
        branch = self._talk.branch(self._message.parent)
        contents = await run_sync(self._store.contents, branch)
        name = await run_sync(known_name, state.models, self._message.model)
        if not any(card.loaded for card in state.models.cards() if card.id == name):
            self._tell({"type": "progress", "stage": "load"})
        opened = await stack.enter_async_context(state.models.use(name or None))
        messages = chat_messages(self._talk.system, branch, contents, sees=opened.llm.sees)
        prepared = await run_sync(prepare, opened.llm, messages, self._talk.settings)
        self._prompt = {"prompt_tokens": len(prepared.request.prompt_ids), "context": opened.llm.info.context}
        stream: Followed = state.metrics.follow(await opened.worker.submit(prepared), opened.name)
        stack.push_async_callback(stream.aclose)
        return stream

    async def _write(self, chunks: Sequence[Chunk]) -> None:
        """Stores a step's text, then tells it."""
        pieces = [(chunk.kind, chunk.text) for chunk in chunks if chunk.text and chunk.kind in self._written]
        async with self._writing:
            if not pieces or self._ending:
                return
            await self._append(pieces)
        for kind, text in pieces:
            self._tell({"type": "delta", "text": text, "kind": kind})

    async def _append(self, pieces: Sequence[tuple[str, str]]) -> None:
        await run_sync(self._store.append, self._message.id, pieces)
        now = time.perf_counter()
        for kind, text in pieces:
            self._written[kind] += len(text)
            if kind == "thinking":
                self._thinking_from = self._thinking_from or now
            elif self._thinking_from and not self._thinking_s:
                self._thinking_s = now - self._thinking_from

    async def end(self, state: State, *, error: str = "", hint: str = "", error_kind: str = "") -> Message:
        """Tells the store how it ended; the first one to say so counts.

        Raises:
            StorageError: the disk is full.
        """
        if self._ending:
            await self._ended.wait()
            return self._message
        self._ending = True
        try:
            done = await self._close()
            if done is not None and state != "error":
                state = "stopped" if done.finish_reason == "cancelled" else "done"
            async with self._writing:
                await self._store_end(state, done, error, hint, error_kind)
        finally:
            self._ended.set()
        return self._message

    async def _close(self) -> Completion | None:
        """Ends the stream if it has not ended; all that was said, as far as a stream had begun."""
        if self._stream is None:
            return None
        if self._stream.completion is None:
            with suppress(Exception):  # it has been told, or nobody listens
                await self._stream.aclose()
        return self._stream.completion

    async def _store_end(self, state: State, done: Completion | None, error: str, hint: str, error_kind: str) -> None:
        try:
            if done is not None:  # what was settled with the last step, after which nobody read
                texts = {"thinking": done.thinking, "answer": done.text}
                rest = [(kind, text[self._written[kind] :]) for kind, text in texts.items()]
                if any(text for _, text in rest):
                    await self._append([(kind, text) for kind, text in rest if text])
            self._message = await run_sync(
                lambda: self._store.end_answer(
                    self._message.id,
                    state,
                    usage=_usage(done),
                    timings=self._timings(done),
                    finish_reason=done.finish_reason if done is not None else "",
                    error=error,
                    hint=hint,
                    error_kind=error_kind,
                )
            )
        except NotFound:
            pass  # the conversation was deleted meanwhile
        except StorageError as failure:
            log.error("an answer could not be stored to its end: %s", failure)
            self._store.abandon_answer(self._message.id)
            self._message = replace(
                self._message, state="error", error=error or failure.what, hint=hint or failure.hint
            )
            if state != "error":
                raise

    def _timings(self, done: Completion | None) -> Timings:
        if done is None:
            return Timings()
        return Timings(done.timings.first_token_s, done.timings.total_s, done.decode_tok_s or 0.0, self._thinking_s)


def _usage(done: Completion | None) -> Usage:
    if done is None:
        return Usage()
    return Usage(done.usage.prompt_tokens, done.usage.cached_tokens, done.usage.completion_tokens)


def prepare(llm: LLM, messages: Sequence[dict[str, Any]], settings: dict[str, Any]) -> Prepared:
    """The request that a conversation's settings ask for."""
    return llm.prepare_chat(messages, **settings)


def count_tokens(llm: LLM, messages: Sequence[dict[str, Any]], settings: dict[str, Any]) -> int:
    """Tokens of the prompt, also of one that is longer than the context."""
    return len(llm.prompt_ids(messages, **settings))


def _joined(events: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Pieces of text that follow each other as one: who comes late is not told each word by itself."""
    for (type, kind), group in itertools.groupby(events, lambda event: (event["type"], event.get("kind"))):
        if type == "delta":
            yield {"type": type, "text": "".join(event["text"] for event in group), "kind": kind}
        else:
            yield from group


def _is_cancelled() -> bool:
    """Whether this task itself has been cancelled, and not just what it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
