"""Answers that are being written: each step's text goes to the store first and to the page then.

So whatever the page has shown is on disk when the process is killed. An answer ends in one of these ways, and the
store knows which: the model ended it, the user stopped it, closed the page or ended Hearth, something failed, or the
process was killed (the store finds out at its next start).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import replace
from typing import Any

from anyio.to_thread import run_sync
from fastapi import Request
from fastapi.encoders import jsonable_encoder

from hearth.chat.answer import Chunk, Completion
from hearth.chat.request import Prepared
from hearth.errors import ContextFull, StorageError
from hearth.llm import LLM
from hearth.server.chatpage.prompt import chat_messages
from hearth.server.errors import as_api_error, log_fault
from hearth.server.metrics import Followed
from hearth.store import Conversation, Message, NotFound, Store, Timings, Usage
from hearth.store.records import State
from hearth.worker import Closing

log = logging.getLogger("hearth.server")

_CONTEXT_HINT = (
    "Begin a new conversation, go on from an earlier message, leave a file out, or start Hearth with a larger --context"
    " if the model takes it."
)


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

    async def events(self, request: Request, conversation: str, parent: str) -> AsyncGenerator[dict[str, Any]]:
        """Writes an answer to a message; yields what the page is told of it.

        Raises:
            NotFound, UsageError: before the first event.
        """
        await self.stop(conversation)
        talk = await run_sync(self._store.conversation, conversation)
        model = talk.model or request.app.state.models.default or ""
        message = await run_sync(self._store.begin_answer, conversation, parent, model)
        answer = _Answer(self._store, request, talk, message)
        self._answers[conversation] = answer
        try:
            yield {"type": "start", "message": jsonable_encoder(message)}
            async with aclosing(answer.events()) as events:
                async for event in events:
                    yield event
        finally:
            # Here, too, when nobody listens any more: what has come is kept.
            try:
                await asyncio.shield(answer.end("stopped"))
            finally:
                if self._answers.get(conversation) is answer:
                    del self._answers[conversation]


class _Answer:
    """One answer on its way."""

    def __init__(self, store: Store, request: Request, talk: Conversation, message: Message) -> None:
        self._store = store
        self._request = request
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

    async def stop(self) -> None:
        """From another request: what has come is kept."""
        self._stopped = True
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
        await self.end("stopped")

    async def events(self) -> AsyncGenerator[dict[str, Any]]:
        """What the page is told after the beginning."""
        try:
            async with AsyncExitStack() as stack:
                self._opening = asyncio.ensure_future(self._begin(stack))
                self._stream = await self._opening
                yield {"type": "progress", **self._prompt}
                async for chunks in self._stream:
                    for delta in await self._write(chunks):
                        yield delta
            yield {"type": "done", "message": jsonable_encoder(await self.end("done"))}
        except asyncio.CancelledError:
            if not self._stopped or _is_cancelled():
                raise
            yield {"type": "done", "message": jsonable_encoder(await self.end("stopped"))}
        except Closing:  # the server ends, and this answer with it, however far it had come
            yield {"type": "done", "message": jsonable_encoder(await self.end("stopped"))}
        except Exception as error:
            told = as_api_error(error)
            if told.status >= 500:
                log_fault(f"POST {self._request.url.path} (answering)", error)
            message, hint = told.owner
            if isinstance(error, ContextFull):
                hint = _CONTEXT_HINT
            stored = await self.end("error", error=message, hint=hint)
            yield {"type": "error", "message": message, "hint": hint, "answer": jsonable_encoder(stored)}

    async def _begin(self, stack: AsyncExitStack) -> Followed:
        """Opens the model, makes the prompt and queues it."""
        state = self._request.app.state
        texts = await run_sync(self._store.texts, self._talk)
        branch = self._talk.branch(self._message.parent)
        messages = chat_messages(self._talk.system, branch, texts)
        opened = await stack.enter_async_context(state.models.use(self._message.model or None))
        prepared = await run_sync(prepare, opened.llm, messages, self._talk.settings)
        self._prompt = {"prompt_tokens": len(prepared.request.prompt_ids), "context": opened.llm.info.context}
        stream: Followed = state.metrics.follow(await opened.worker.submit(prepared), opened.name)
        stack.push_async_callback(stream.aclose)
        return stream

    async def _write(self, chunks: Sequence[Chunk]) -> list[dict[str, Any]]:
        """Stores a step's text, then tells it."""
        pieces = [(chunk.kind, chunk.text) for chunk in chunks if chunk.text and chunk.kind in self._written]
        async with self._writing:
            if not pieces or self._ending:
                return []
            await self._append(pieces)
        return [{"type": "delta", "text": text, "kind": kind} for kind, text in pieces]

    async def _append(self, pieces: Sequence[tuple[str, str]]) -> None:
        await run_sync(self._store.append, self._message.id, pieces)
        now = time.perf_counter()
        for kind, text in pieces:
            self._written[kind] += len(text)
            if kind == "thinking":
                self._thinking_from = self._thinking_from or now
            elif self._thinking_from and not self._thinking_s:
                self._thinking_s = now - self._thinking_from

    async def end(self, state: State, *, error: str = "", hint: str = "") -> Message:
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
                await self._store_end(state, done, error, hint)
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

    async def _store_end(self, state: State, done: Completion | None, error: str, hint: str) -> None:
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


def _is_cancelled() -> bool:
    """Whether this task itself has been cancelled, and not just what it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
