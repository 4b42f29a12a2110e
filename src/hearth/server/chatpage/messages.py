"""What is said in a conversation: the user's turns, answers as they come, stopping them, and counting tokens."""

from __future__ import annotations

from typing import Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from hearth.server.chatpage.names import known_name
from hearth.server.chatpage.prompt import chat_messages
from hearth.server.chatpage.running import RunningAnswers, count_tokens
from hearth.server.chatpage.schema import ERRORS, Asked, Counted, Said
from hearth.server.streaming import sse
from hearth.store import Message, Store


def routes(store: Store, running: RunningAnswers) -> APIRouter:
    router = APIRouter(prefix="/api/conversations/{id}", tags=["chat page"], responses=ERRORS)

    @router.post("/messages")
    async def say(id: str, body: Said) -> Message:
        """Appends a turn of the user. Another one after the same parent stays as another branch."""
        return await run_sync(store.add_user_message, id, body.parent, body.content, body.attachments)

    @router.post("/answer", response_class=StreamingResponse)
    async def answer(id: str, body: Asked, request: Request) -> Response:
        """Answers a turn, as server-sent events: start, progress, delta ..., done or error. Again: another branch."""
        return sse(running.begin(request.app.state, id, body.parent), limited=False)

    @router.get("/answer", response_class=StreamingResponse)
    async def follow(id: str) -> Response:
        """The answer that is being written, from its beginning, as `answer` tells it. Leaving does not end it."""
        return sse(running.follow(id), limited=False)

    @router.post("/stop", status_code=204)
    async def stop(id: str) -> None:
        """Stops the answer that is being written, if there is one; what has come is kept."""
        await running.stop(id)

    @router.post("/count", response_model=Counted)
    async def count(id: str, body: Said, request: Request) -> Any:
        """How many tokens the prompt would have if the user said this."""

        def branch() -> list[Message]:
            files = tuple(store.attachment(file)[0] for file in body.attachments)
            return [*talk.branch(body.parent), Message("", body.parent, "user", body.content, attachments=files)]

        talk = await run_sync(store.conversation, id)
        turns = await run_sync(branch)
        contents = await run_sync(store.contents, turns)
        name = await run_sync(known_name, request.app.state.models, talk.model)
        async with request.app.state.models.use(name or None) as opened:
            prompt = chat_messages(talk.system, turns, contents, sees=opened.llm.sees)
            tokens = await run_sync(count_tokens, opened.llm, prompt, talk.settings)
            return Counted(tokens=tokens, context=opened.llm.info.context)

    return router
