"""What the page does, in Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx

LONG = {"temperature": 8.0, "top_p": 1.0, "seed": 1}
"""Settings with which the starter talks nonsense for a long time."""


class Page:
    """A client that knows the routes of the page."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def get(self, path: str, **query: Any) -> Any:
        response = self.http.get(f"/api{path}", params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, path: str, body: Any = None) -> Any:
        response = self.http.post(f"/api{path}", json=body if body is not None else {})
        assert response.status_code in (200, 204), response.text
        return response.json() if response.content else None

    def create(self, **fields: Any) -> str:
        return str(self.post("/conversations", fields)["id"])

    def say(self, id: str, content: str, parent: str | None = None, attachments: list[str] | None = None) -> str:
        body = {"parent": parent, "content": content, "attachments": attachments or []}
        return str(self.post(f"/conversations/{id}/messages", body)["id"])

    def events(self, id: str, parent: str, path: str = "answer") -> Iterator[dict[str, Any]]:
        """The answer's events as they come; leaving the loop closes the connection."""
        with self.http.stream("POST", f"/api/conversations/{id}/{path}", json={"parent": parent}) as response:
            if response.status_code != 200:
                response.read()
            assert response.status_code == 200, response.text
            yield from events_of(response)

    def follow(self, id: str) -> Iterator[dict[str, Any]]:
        """The events of the answer that is being written, from its beginning."""
        with self.http.stream("GET", f"/api/conversations/{id}/answer") as response:
            assert response.status_code == 200
            yield from events_of(response)

    def ask(self, content: str, **fields: Any) -> tuple[str, dict[str, Any]]:
        """A conversation's id, and the answer to its first message."""
        id = self.create(**fields)
        *_, last = self.events(id, self.say(id, content))
        assert last["type"] == "done", last
        return id, last["message"]

    def attach(self, name: str, data: bytes, kind: str = "application/octet-stream") -> httpx.Response:
        return self.http.post("/api/attachments", files={"file": (name, data, kind)})


def events_of(response: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in response.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))
