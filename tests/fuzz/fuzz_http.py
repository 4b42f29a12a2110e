"""Every route of a server that takes a body, with bodies that are nearly right, and requests that are hardly HTTP.

A client is answered with its result or with an error that is its own: no 5xx but of a limit, and always in the form
that its protocol reads.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.server.running import Running, read_all, running

from hearth.server.models import Models, ModelSettings

from .harness import Target, main
from .mutation import Mutator

_TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
_FORMAT = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object", "properties": {}}}}
_CHAT = {
    "model": "starter",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
    ],
    "max_tokens": 2,
    "temperature": 0.5,
    "top_p": 0.9,
    "seed": 1,
    "stop": ["x"],
    "logprobs": True,
    "top_logprobs": 2,
    "logit_bias": {"5": 1.0},
    "n": 1,
    "stream": False,
}
_MESSAGES = {
    "model": "starter",
    "max_tokens": 2,
    "system": "Be brief.",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    "stop_sequences": ["x"],
    "metadata": {"user_id": "a"},
}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": _CHAT,
    "/v1/completions": {"model": "starter", "prompt": "One", "max_tokens": 2, "echo": False, "logprobs": 1},
    "/v1/embeddings": {"model": "starter", "input": ["one", "two"], "encoding_format": "float"},
    "/v1/messages": _MESSAGES,
    "/v1/messages/count_tokens": {key: _MESSAGES[key] for key in ("model", "system", "messages")},
    "/v1/responses": {"model": "starter", "input": [{"role": "user", "content": "Hello"}], "max_output_tokens": 2},
    "/tokenize": {"content": "Hello", "with_pieces": True},
    "/detokenize": {"tokens": [1, 2, 3]},
}
_EXTRA = ({"response_format": _FORMAT}, {"tools": [_TOOL]}, {"stream": True}, {"user": "me"}, {"metadata": {"a": "b"}})
_EXPECTED = {200, 400, 404, 405, 408, 413, 415, 422, 429, 431, 503}
_HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
)


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[Mutator], None]]:
    models = Models(["starter"], ModelSettings(threads=1, offline=True))
    with running(models, load=["starter"]) as server:
        yield lambda mutator: run(server, mutator)


def run(server: Running, mutator: Mutator) -> None:
    """One request."""
    if mutator.one_in(8):
        _raw(server, mutator)
        return
    path = mutator.choice(list(BODIES))
    sound = {**BODIES[path], **(mutator.choice(_EXTRA) if mutator.one_in(3) else {})}
    body = mutator.written(mutator.json(sound))
    answer = server.http.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in _EXPECTED, (path, answer.status_code, answer.text[:300])
    if answer.status_code != 200:
        assert answer.json()["error"]["message"], (path, answer.text[:300])


def _raw(server: Running, mutator: Mutator) -> None:
    body = json.dumps(_CHAT).encode()
    if mutator.one_in(2):
        data = _HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    else:
        data = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=0.3) as connection:
        connection.sendall(mutator.bytes(data))
        answer = read_all(connection)
    status = answer[:12].removeprefix(b"HTTP/1.1 ")
    assert not answer or int(status) in _EXPECTED | {401, 403}, answer[:300]


TARGET = Target("routes", lambda mutator: mutator, opened)

if __name__ == "__main__":
    main(TARGET)
