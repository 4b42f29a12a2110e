"""How the server says no: `ApiError`, and the form each protocol's clients read.

Whatever goes wrong becomes an `ApiError` first and a body second: OpenAI's form by default, Anthropic's under
`/v1/messages`, the chat page's under `/api`.
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
    NotEnoughMemory,
    TemplateError,
    TokenizerMissing,
    Unsupported,
    UsageError,
)
from hearth.server.fields import FAULT
from hearth.server.warning import told as told_of_request
from hearth.server.worker import Busy, Closing, ModelBroken
from hearth.store import NotFound

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
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, headers=dict(headers or {}))
        self.status = status
        self.message = message
        self.type = type or ("server_error" if status >= 500 else "invalid_request_error")
        self.code = code
        self.param = param
        self.hint = hint

    def __str__(self) -> str:
        return self.message


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
    message = " ".join(part for part in (error.what, error.why) if part)
    if isinstance(error, Busy):
        headers = {"retry-after": str(max(1, round(error.retry_after_s)))}
        return ApiError(429, message, type="rate_limit_error", code="queue_full", hint=error.hint, headers=headers)
    for kind, status, code in _KINDS:
        if isinstance(error, kind):
            return ApiError(status, message, code=code, hint=error.hint, param=getattr(error, "param", None))
    return ApiError(500, message, hint=error.hint)


def error_body(path: str, error: ApiError) -> dict[str, Any]:
    """The body of an error, in the form that the clients of this path read."""
    if path.startswith("/api/"):
        return {"error": {"message": error.message, "hint": error.hint}}
    message = f"{error.message} {error.hint}".strip()
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        kind = _ANTHROPIC_TYPES.get(error.status) or ("api_error" if error.status >= 500 else "invalid_request_error")
        return {"type": "error", "error": {"type": kind, "message": message}}
    return {"error": {"message": message, "type": error.type, "param": error.param, "code": error.code}}


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
