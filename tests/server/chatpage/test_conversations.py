"""What a user does on the page: begin, rename, search, branch, delete, take out and bring in."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest

from hearth import Conversation as CliConversation

from .conftest import App
from .page import Page


@pytest.mark.usefixtures("slow")
def test_an_answer_comes_piece_by_piece_and_is_kept(page: Page) -> None:
    id = page.create()
    asked = page.say(id, "What is the capital of France?")
    start, progress, *deltas, done = page.events(id, asked)
    assert start["type"] == "start"
    assert (start["message"]["state"], start["message"]["parent"]) == ("running", asked)
    assert progress["type"] == "progress"
    assert 0 < progress["prompt_tokens"] < progress["context"]
    assert len(deltas) > 1
    assert {(delta["type"], delta["kind"]) for delta in deltas} == {("delta", "answer")}
    message = done["message"]
    assert done["type"] == "done"
    assert "".join(delta["text"] for delta in deltas) == message["content"]
    assert "Paris" in message["content"]
    assert (message["state"], message["finish_reason"], message["model"]) == ("done", "stop", "starter")
    assert message["usage"]["prompt_tokens"] == progress["prompt_tokens"]
    assert message["usage"]["completion_tokens"] > 1
    assert message["timings"]["total_s"] >= message["timings"]["first_token_s"] > 0
    whole = page.get(f"/conversations/{id}")
    assert whole["messages"][-1] == message
    assert whole["leaf"] == message["id"]
    assert whole["title"] == "What is the capital of France?"


def test_a_later_turn_knows_the_earlier_ones(page: Page) -> None:
    id, first = page.ask("What is the capital of Spain?")
    *_, done = page.events(id, page.say(id, "And of Italy?", first["id"]))
    usage = done["message"]["usage"]
    assert usage["prompt_tokens"] > first["usage"]["prompt_tokens"]
    assert usage["cached_tokens"] >= first["usage"]["prompt_tokens"]


def test_a_regenerated_answer_and_an_edited_question_are_branches(page: Page) -> None:
    id, first = page.ask("What is the capital of France?", settings={"temperature": 0.0})
    *_, again = page.events(id, first["parent"])
    assert again["message"]["parent"] == first["parent"]
    assert again["message"]["content"] == first["content"]
    *_, edited = page.events(id, page.say(id, "What is the capital of Japan?"))
    assert "Tokyo" in edited["message"]["content"]
    whole = page.get(f"/conversations/{id}")
    assert len(whole["messages"]) == 5
    assert whole["leaf"] == edited["message"]["id"]
    changed = page.http.patch(f"/api/conversations/{id}", json={"leaf": first["id"]}).json()
    assert changed["leaf"] == first["id"]


def test_settings_and_system_of_a_conversation_count(page: Page) -> None:
    id, message = page.ask("Tell me a story.", settings={"max_tokens": 3}, system="You are a pirate.")
    assert message["usage"]["completion_tokens"] == 3
    assert message["finish_reason"] == "length"
    body = {"parent": message["id"], "content": "more"}
    with_system = page.post(f"/conversations/{id}/count", body)["tokens"]
    page.http.patch(f"/api/conversations/{id}", json={"system": "", "settings": {"seed": 5}})
    assert page.post(f"/conversations/{id}/count", body)["tokens"] < with_system
    assert page.get(f"/conversations/{id}")["settings"] == {"seed": 5}


def test_tokens_are_counted_exactly(page: Page) -> None:
    id, message = page.ask("What is the capital of France?")
    counted = page.post(f"/conversations/{id}/count", {"parent": message["id"], "content": "And of Spain?"})
    *_, done = page.events(id, page.say(id, "And of Spain?", message["id"]))
    assert counted["tokens"] == done["message"]["usage"]["prompt_tokens"]
    assert counted["context"] > counted["tokens"]


def test_search_list_rename_and_delete(page: Page, app: App) -> None:
    id, _ = page.ask("What is a zygomorphic flower?")
    found = page.get("/conversations", query="zygomorph")["conversations"]
    assert [line["id"] for line in found] == [id]
    (start, end), *_ = found[0]["hits"]
    assert found[0]["snippet"][start:end].startswith("zygomorphic")
    assert page.http.patch(f"/api/conversations/{id}", json={"title": "Blumen 花"}).json()["title"] == "Blumen 花"
    assert page.get("/conversations", query="花", limit=1)["conversations"][0]["title_hits"] == [[7, 8]]
    assert page.http.delete(f"/api/conversations/{id}").status_code == 204
    assert page.get("/conversations", query="zygomorph") == {"conversations": [], "more": False}
    gone = page.http.get(f"/api/conversations/{id}")
    assert gone.status_code == 404
    assert gone.json()["error"]["message"] == f"There is no conversation '{id}'."
    files = app.store.path.parent.iterdir()
    assert not any(b"zygomorphic" in path.read_bytes() for path in files)


def test_out_as_a_file_and_in_again(page: Page) -> None:
    id, message = page.ask("What is the capital of France?")
    page.http.patch(f"/api/conversations/{id}", json={"title": 'France: "Paris" / 巴黎\r\nX'})
    exported = page.http.get(f"/api/conversations/{id}/export")
    name = exported.headers["content-disposition"].split("''")[1]
    assert unquote(name) == "France Paris 巴黎 X.json"
    back = page.http.post("/api/conversations/import", content=exported.content, headers=_JSON).json()
    assert back["id"] != id
    assert [m["content"] for m in back["messages"]] == ["What is the capital of France?", message["content"]]
    shown = page.http.get(f"/api/conversations/{id}/export", params={"format": "markdown"})
    assert shown.headers["content-type"] == "text/markdown; charset=utf-8"
    assert f"## starter\n\n{message['content'].strip()}\n" in shown.text
    *_, done = page.events(back["id"], page.say(back["id"], "And of Spain?", back["leaf"]))
    assert done["type"] == "done"


def test_a_conversation_of_the_command_line_comes_in(page: Page, tmp_path: Any) -> None:
    talk = CliConversation(system="Be brief.")
    talk.add("user", "Hello")
    talk.add("assistant", "Hi.")
    talk.save(tmp_path / "talk.json", model="starter")
    back = page.http.post("/api/conversations/import", content=(tmp_path / "talk.json").read_bytes(), headers=_JSON)
    assert back.json()["system"] == "Be brief."


_JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", "/conversations", {"titel": "x"}, 400, "titel is not supported"),
        ("POST", "/conversations", {"settings": {"tempreature": 1}}, 400, "no setting 'tempreature'"),
        ("POST", "/conversations", {"settings": {"seed": "1"}}, 400, "seed"),
        ("POST", "/conversations", [], 400, ""),
        ("GET", "/conversations?limit=0", None, 400, "limit"),
        ("GET", "/conversations/nope", None, 404, "no conversation"),
        ("PATCH", "/conversations/nope", {}, 404, "no conversation"),
        ("DELETE", "/conversations/nope", None, 404, "no conversation"),
        ("POST", "/conversations/nope/messages", {"content": "x"}, 404, "no conversation"),
        ("POST", "/conversations/nope/answer", {"parent": "x"}, 404, "no conversation"),
        ("POST", "/conversations/nope/count", {"content": "x"}, 404, "no conversation"),
        ("GET", "/conversations/nope/export", None, 404, "no conversation"),
        ("POST", "/conversations/import", {"format": "evil"}, 400, "its format"),
        ("POST", "/conversations/import", "[" * 60 + "]" * 60, 400, "its format"),
        ("GET", "/attachments/nope", None, 404, "no attachment"),
        ("DELETE", "/attachments/nope", None, 404, "no attachment"),
        ("GET", "/nothing", None, 404, ""),
    ],
)
def test_what_is_wrong_is_said(page: Page, method: str, path: str, body: Any, status: int, says: str) -> None:
    content = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
    response = page.http.request(method, f"/api{path}", content=content, headers=_JSON if content else {})
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "hint", "kind"}
    assert says in error["message"]


def test_messages_and_answers_of_other_places_are_refused(page: Page) -> None:
    id, message = page.ask("Hello")
    other = page.create()
    for path, body in (("messages", {"parent": message["id"], "content": "x"}), ("answer", {"parent": message["id"]})):
        assert page.http.post(f"/api/conversations/{other}/{path}", json=body).status_code == 404
    assert page.http.post(f"/api/conversations/{other}/count", json={"parent": message["id"]}).status_code == 404
    refused = page.http.post(f"/api/conversations/{id}/answer", json={"parent": message["id"]})
    assert refused.status_code == 400
    assert len(page.get(f"/conversations/{id}")["messages"]) == 2


def test_other_web_pages_are_refused(page: Page) -> None:
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"host": "evil.example"}):
        assert page.http.get("/api/conversations", headers=headers).status_code == 403
        assert page.http.get("/", headers=headers).status_code == 403
        assert page.http.post("/api/conversations", json={}, headers=headers).status_code == 403
    # A form of another page cannot send JSON without asking first.
    form = page.http.post("/api/conversations/import", content=b"{}", headers={"content-type": "text/plain"})
    assert form.status_code == 415


def test_status_and_models(page: Page) -> None:
    status = page.get("/status")
    assert (status["default_model"], status["read_only"]) == ("starter", False)
    (model,) = page.get("/models")["models"]
    assert (model["name"], model["loaded"]) == ("starter", True)
    assert model["context"] > 0


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../models", "http://evil.example/x", "starter", ".", "a/b/c", "hf:/etc/x", "~/x", "x.gguf"]
)
def test_only_names_of_the_hub_can_be_pulled(page: Page, name: str) -> None:
    refused = page.http.post("/api/models/pulls", json={"name": name})
    assert refused.status_code == 404
    assert refused.json()["error"]["hint"]
