"""How the server says no: `ApiError`, and the form each protocol's clients read.

Whatever goes wrong becomes an `ApiError` first and a body second: OpenAI's form by default, Anthropic's under
`/v1/messages`, the chat page's under `/api`. The page is the owner's; clients are told neither where files are nor
what to type at the server's machine.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from hearth.errors import (
    ContextFull,
    HearthError,
    ModelNotFound,
    NetworkError,
    NotEnoughMemory,
    TemplateError,
    TokenizerMissing,
    Unsupported,
    UsageError,
)
from hearth.server.fields import FAULT
from hearth.server.unopened import NoRoom, Unopened
from hearth.server.warning import told as told_of_request
from hearth.store import NotFound
from hearth.worker import Busy, Closing, ModelBroken

log = logging.getLogger("hearth.server")

_FRAMEWORK: Final = re.compile(
    r"[\\/](?:fastapi|starlette|uvicorn)[\\/]"
)  # whose frames say nothing of a fault of ours
_ANTHROPIC_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
# Route -> the field that holds its prompt.
_PROMPTS: Final = {"/v1/responses": "input", "/v1/embeddings": "input", "/v1/completions": "prompt"}
_PATH: Final = re.compile(r"(?<![\w.:/])(?:[A-Za-z]:)?(?:[\\/][^\s'\"\\/:,;]+)*[\\/](?P<name>[^\s'\"\\/:,;]+)")
# Kinds whose text and advice are made for whoever sends requests; the advice of others is for the command line.
_FOR_CLIENTS: Final = (UsageError, NotFound, ModelNotFound, NoRoom, Closing, ModelBroken)
# Kind of error -> status and OpenAI's `code`; the first that fits.
_KINDS: Final[tuple[tuple[type[HearthError], int, str | None], ...]] = (
    (ContextFull, 400, "context_length_exceeded"),
    (NotFound, 404, "not_found"),
    (UsageError, 400, None),
    (TemplateError, 400, None),
    (TokenizerMissing, 400, None),
    (Unsupported, 400, None),
    (ModelNotFound, 404, "model_not_found"),
    (NotEnoughMemory, 503, "not_enough_memory"),
    (Closing, 503, "stopping"),
    (ModelBroken, 503, "model_broken"),
)


class ApiError(HTTPException):
    """An answer that is an error.

    Args:
        status: of HTTP.
        message: what happened and what to do, for the one who reads the client's exception.
        type: OpenAI's kind; by the status unless given.
        code: OpenAI's machine-readable reason.
        param: the field of the request that is at fault.
        hint: what to do, where it is apart from the message.
        owner: message and hint for whoever runs the server, where these differ.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        hint: str = "",
        owner: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, headers=dict(headers or {}))
        self.status = status
        self.message = message
        self.type = type or ("server_error" if status >= 500 else "invalid_request_error")
        self.code = code
        self.param = param
        self.hint = hint
        self.owner = owner or (message, hint)
        self.kind = ""  # name of the `HearthError` that it was, for the chat page, which has words of its own

    def __str__(self) -> str:
        return self.message

    def told(self, path: str) -> tuple[str, str | None]:
        """Message and field at fault, as clients of this path read them."""
        return f"{self.message} {self.hint}".strip(), self.param


class PromptTooLong(ApiError):
    """A prompt that the context, or this server, has no room for, in the words that each protocol's agents look for:
    they shorten the conversation and go on.

    Args:
        tokens: of the prompt.
        limit: tokens that there is room for.
    """

    def __init__(self, tokens: int, limit: int, *, owner: tuple[str, str] | None = None) -> None:
        super().__init__(
            400, f"The prompt has {tokens} tokens; {limit} fit.", code="context_length_exceeded", owner=owner
        )
        self._tokens = tokens
        self._limit = limit

    def told(self, path: str) -> tuple[str, str | None]:
        if _is_anthropic(path):
            return f"prompt is too long: {self._tokens} tokens > {self._limit} maximum", None
        param = _PROMPTS.get(path, "messages")
        return (
            f"This model's maximum context length is {self._limit} tokens. However, your {param} resulted in"
            f" {self._tokens} tokens. Please reduce the length of the {param}.",
            param,
        )


def as_api_error(error: BaseException) -> ApiError:
    """What a client is told of any exception. One that is no HearthError is a fault of ours: it is told that only."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error.errors())
    if isinstance(error, HTTPException):
        return _http(error)
    if not isinstance(error, HearthError):
        return ApiError(500, "Something went wrong inside the server; its log says what.", code="internal_error")
    told = _told(error)
    told.kind = type(error.cause if isinstance(error, Unopened) else error).__name__
    return told


def _told(error: HearthError) -> ApiError:
    message = " ".join(part for part in (error.what, error.why) if part)
    owner = (message, error.hint)
    if isinstance(error, ContextFull) and error.tokens is not None and error.limit is not None:
        return PromptTooLong(error.tokens, min(error.limit, error.tokens - 1), owner=owner)
    if isinstance(error, Unopened):
        cause = " ".join(part for part in (error.cause.what, error.cause.why) if part)
        owner = (cause, error.cause.hint)
        status = 503 if isinstance(error.cause, NotEnoughMemory | NetworkError) else 500
        return ApiError(status, error.what, code="model_unavailable", owner=owner)
    if isinstance(error, Busy):
        headers = {"retry-after": str(max(1, round(error.retry_after_s)))}
        return ApiError(429, message, type="rate_limit_error", code="queue_full", hint=error.hint, headers=headers)
    hint = error.hint if isinstance(error, _FOR_CLIENTS) else ""
    told = message if isinstance(error, _FOR_CLIENTS) else without_paths(message)
    for kind, status, code in _KINDS:
        if isinstance(error, kind):
            param = getattr(error, "param", None)
            return ApiError(status, told, code=code, hint=hint, param=param, owner=owner)
    return ApiError(500, told, owner=owner)


def without_paths(text: str) -> str:
    """A message with nothing left of absolute paths but the last name."""
    return _PATH.sub(r"\g<name>", text)


def error_body(path: str, error: ApiError) -> dict[str, Any]:
    """The body of an error, in the form that the clients of this path read."""
    if path.startswith("/api/"):
        message, hint = error.owner
        return {"error": {"message": message, "hint": hint, "kind": error.kind}}
    message, param = error.told(path)
    if _is_anthropic(path):
        kind = _ANTHROPIC_TYPES.get(error.status) or ("api_error" if error.status >= 500 else "invalid_request_error")
        return {"type": "error", "error": {"type": kind, "message": message}}
    return {"error": {"message": message, "type": error.type, "param": param, "code": error.code}}


def _is_anthropic(path: str) -> bool:
    return path == "/v1/messages" or path.startswith("/v1/messages/")


def error_response(path: str, error: ApiError) -> JSONResponse:
    """`error_body` with its status. What a second try cannot mend tells the official clients not to try again."""
    headers = dict(error.headers or {})
    if error.status in (500, 504):
        headers["x-should-retry"] = "false"
    return JSONResponse(error_body(path, error), error.status, headers)


async def refuse(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with an error from outside of the application."""
    await error_response(scope["path"], error)(scope, receive, send)


def add_error_handlers(app: FastAPI) -> None:
    """Every error of every route leaves in its protocol's form."""

    async def handle(request: Request, error: Exception) -> JSONResponse:
        told = as_api_error(error)
        if told.status >= 500:
            log_fault(f"{request.method} {request.url.path}", error)
        return error_response(request.url.path, told)

    for kind in (HTTPException, RequestValidationError, HearthError):
        app.add_exception_handler(kind, handle)


def log_fault(where: str, error: BaseException, *, quote: bool = False) -> None:
    """Writes a fault with its place in the code. Its text may quote a request: `quote` says whether that is wanted."""
    if isinstance(error, HearthError) or quote:
        log.error("%s failed: %s: %s", where, type(error).__name__, error)
    else:
        log.error("%s failed: %s", where, type(error).__name__)
    if not isinstance(error, HearthError):
        log.error("%s", places(error.__traceback__))


def places(trace: TracebackType | None) -> str:
    """Where something failed, without the frames of the web framework and without the exception's text."""
    frames = [frame for frame in traceback.extract_tb(trace) if not _FRAMEWORK.search(frame.filename)]
    return "".join(traceback.format_list(frames)).rstrip()


def _http(error: HTTPException) -> ApiError:
    """What the framework itself refuses: an unknown route, a wrong method, a body that is no JSON."""
    messages = {
        404: "There is nothing at this path; /openapi.json lists what there is.",
        405: "This path does not take this method.",
    }
    message = messages.get(error.status_code, str(error.detail))
    return ApiError(error.status_code, message, headers=error.headers)


def _invalid(errors: Sequence[Mapping[str, Any]]) -> ApiError:
    """Validation errors, named by field: the first three; the first is `param`."""
    errors = [one for error in errors for one in _one_by_one(error)]
    told = [_field_error(error) for error in errors[:3]]
    more = f" And {len(errors) - 3} more." if len(errors) > 3 else ""
    unknown = any(error["type"] in ("extra_forbidden", "unsupported", FAULT) for error in errors[:1])
    return ApiError(
        400,
        " ".join(message for _, message in told) + more,
        param=told[0][0] if told else None,
        code="unsupported_parameter" if unknown else None,
    )


def _one_by_one(error: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """An error of an object that names several of its fields, as one for each of them."""
    if error["type"] != FAULT:
        return [error]
    return [{"type": FAULT, "loc": (*error["loc"], name), "msg": why} for name, why in error["ctx"]["refused"]]


def _field_error(error: Mapping[str, Any]) -> tuple[str | None, str]:
    place = [part for part in error["loc"] if not _is_noise(part)]
    if place and place[0] in ("body", "query", "path", "header"):
        place = place[1:]
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")[:200]
    current = told_of_request()
    name = current.renamed.get(name, name) if current is not None else name
    match error["type"]:
        case "json_invalid":
            detail = error.get("ctx", {}).get("error", error["msg"])
            return None, f"The body is not valid JSON: {detail} at character {error['loc'][-1]}."
        case "extra_forbidden":
            return name, f"{name} is not supported."
        case "unsupported":
            return name or None, f"{name} {error['msg']}".strip()
        case str(kind) if kind == FAULT:
            return name, f"{name} is not supported: {error['msg']}" if error["msg"] else f"{name} is not supported."
        case "missing":
            return name or None, f"{name} is missing." if name else "The body is missing."
        case _:
            message = str(error["msg"]).removeprefix("Value error, ")[:500].rstrip(".")
            return name or None, f"{name}: {message}." if name else f"{message}."


def _is_noise(part: object) -> bool:
    """Pydantic names the member of a union it tried, as `function-wrap[...]` or a class: no field of the request."""
    return isinstance(part, str) and ("[" in part or "(" in part or part[:1].isupper())
