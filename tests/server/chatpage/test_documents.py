"""Documents on the page: what was added is found by what is asked, goes into the prompt with its source, and is gone
when it is deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.conftest import Encoders
from tests.encoding.lettered import lettered

from hearth.server.chatpage import chat_page
from hearth.server.chatpage.prompt import chat_messages
from hearth.server.models import Models, ModelSettings
from hearth.store import NotFound, Store

from ..running import running

OAK = "the treasure lies under the old oak"
SHIP = "a ship sails to the north at dawn"
BREAD = "bread rises by yeast and warmth"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(tmp_path_factory.mktemp("chats")) as store:
        yield store


@pytest.fixture(scope="module")
def http(store: Store, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("models")
    names = [str(lettered(name, folder / name)) for name in ("bert", "distilbert")]
    other = lettered("bert", folder / "second")
    settings = ModelSettings(quant="f32", precision="high", threads=2, offline=True)
    models = Models(["starter", *names, str(other)], settings)
    with running(models, page=chat_page(store), max_attachment_bytes=1 << 20) as server:
        yield server.http


def add(http: httpx.Client, name: str, text: str, model: str = "bert") -> httpx.Response:
    return http.post("/api/documents", params={"model": model}, files={"file": (name, text.encode())})


def find(http: httpx.Client, query: str, encoder: str = "bert", model: str = "") -> httpx.Response:
    return http.post("/api/documents/found", json={"query": query, "encoder": encoder, "model": model})


def text_of(http: httpx.Client, found: dict[str, Any]) -> str:
    return str(http.get(f"/api/attachments/{found['id']}").json()["text"])


def test_what_was_added_is_found_and_goes_into_the_prompt_with_its_source(http: httpx.Client, store: Store) -> None:
    assert find(http, "anything").json() is None
    notes = add(http, "notes.md", f"{OAK}\n\n{BREAD}").json()
    assert (notes["name"], notes["kind"], notes["model"]) == ("notes.md", "text", "bert")
    ships = add(http, "ships.txt", SHIP).json()
    assert [one["id"] for one in http.get("/api/documents").json()] == [ships["id"], notes["id"]]

    # Of a model with random weights only the same words are near for sure.
    found = find(http, SHIP).json()
    assert found["name"].startswith("ships.txt")
    assert f'From "ships.txt":\n{SHIP}' in text_of(http, found)
    found = find(http, OAK).json()
    assert found["name"].startswith("notes.md")
    assert OAK in text_of(http, found)

    talk = store.create(model="starter")
    said = store.add_user_message(talk.id, None, "where is it", [found["id"]])
    (message,) = chat_messages("", [said], {found["id"]: text_of(http, found)}, sees=False)
    assert 'From "notes.md":' in message["content"]
    assert message["content"].endswith("where is it")

    for one in (notes, ships):
        assert http.delete(f"/api/documents/{one['id']}").status_code == 204
    assert http.get("/api/documents").json() == []
    assert find(http, OAK).json() is None
    assert OAK in text_of(http, found)  # a conversation keeps what it was told


def test_vectors_are_those_of_the_model_and_made_anew_for_another(
    http: httpx.Client, store: Store, encoders: Encoders
) -> None:
    made = add(http, "a.txt", f"{OAK}\n\n{SHIP}").json()
    kept = store.documents.passages("bert")
    assert [made["id"]] * 2 == [one.document for one in kept]
    expected = encoders("bert").embed([OAK, SHIP])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose([np.frombuffer(one.vector, "<f4") for one in kept], expected, atol=1e-5)
    assert find(http, SHIP, encoder="second").json()["name"] == "a.txt"
    assert store.documents.passages("bert") == []
    assert len(store.documents.passages("second")) == 2
    store.documents.delete(made["id"])
    assert store.documents.passages("second") == []


def test_a_small_context_gets_less(http: httpx.Client) -> None:
    paragraphs = [f"{OAK} {word}" for word in ("one", "two", "three", "four", "five", "six", "seven")]
    made = add(http, "long.txt", "\n\n".join(paragraphs)).json()
    assert len(text_of(http, find(http, OAK).json()).split("[...]")) == 6
    http.post("/v1/models/starter/load").raise_for_status()
    context = next(c for c in http.get("/v1/models").json()["data"] if c["id"] == "starter")["context"]
    found = find(http, OAK, model="starter").json()
    assert found["chars"] < context + 200
    assert found["tokens"] > 0
    http.delete(f"/api/documents/{made['id']}")


def test_what_cannot_be_added_leaves_nothing(http: httpx.Client, store: Store) -> None:
    for response in (
        add(http, "a.txt", OAK, model="starter"),
        add(http, "a.txt", OAK, model="distilbert"),
        add(http, "a.txt", OAK, model="none"),
        http.post("/api/documents", params={"model": "bert"}, files={"file": ("a.png", b"\x89PNG\0\0")}),
        http.post("/api/documents", params={"model": "bert"}, files={"file": ("a.bin", b"\0\1\2\3" * 50)}),
        http.post("/api/documents", params={"model": "bert"}, files={"file": ("a.txt", b"x" * (2 << 20))}),
        http.post("/api/documents", files={"file": ("a.txt", b"x")}),
    ):
        assert 400 <= response.status_code < 500, response.text
        assert response.json()["error"]["message"]
    assert store.documents.all() == []
    assert find(http, "").status_code == 400
    assert http.delete("/api/documents/none").status_code == 404


def test_a_file_without_words_is_refused(http: httpx.Client, store: Store) -> None:
    assert add(http, "blank.txt", " \n ").status_code == 400
    assert store.documents.all() == []
    with pytest.raises(NotFound):
        store.documents.text("none")


def test_a_deleted_document_is_in_no_file(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        made = store.documents.add("secret.txt", "text", "xyzzy plugh " * 200)
        store.documents.set_passages(made.id, "m", [(0, 5, b"vector-of-xyzzy")])
        store.documents.delete(made.id)
        for path in tmp_path.iterdir():
            assert b"xyzzy" not in path.read_bytes(), path.name
    with Store(tmp_path) as store:
        assert store.documents.all() == []
