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

        def messages() -> list[dict[str, Any]]:
            files = [store.attachment(file) for file in body.attachments]
            texts = store.texts(talk) | {file.id: text for file, text in files}
            said = Message("", body.parent, "user", body.content, attachments=tuple(file for file, _ in files))
            return chat_messages(talk.system, [*talk.branch(body.parent), said], texts)

        talk = await run_sync(store.conversation, id)
        prompt = await run_sync(messages)
        name = await run_sync(known_name, request.app.state.models, talk.model)
        async with request.app.state.models.use(name or None) as opened:
            tokens = await run_sync(count_tokens, opened.llm, prompt, talk.settings)
            return Counted(tokens=tokens, context=opened.llm.info.context)

    return router
