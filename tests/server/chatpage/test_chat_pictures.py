"""Pictures in the conversations of the page: kept as their files are, shown to a model that sees, else told."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from golden.vlm.pictures import draw_picture
from hearth.server.chatpage import chat_page
from hearth.store import Store

from ..running import running
from ..seeing import seeing_models
from .page import Page

GREEDY: dict[str, Any] = {"temperature": 0.0, "max_tokens": 5}


def encoded(kind: str = "PNG", height: int = 45, width: int = 61, **how: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(draw_picture(height, width)).save(file, kind, **how)
    return file.getvalue()


PICTURE, OTHER = encoded(), encoded("JPEG", 64, 96)


class Seeing(Page):
    """A page with a model that sees, and the starter.

    Attributes:
        seeing: its name.
    """

    def __init__(self, http: httpx.Client) -> None:
        super().__init__(http)
        self.seeing = str(self.get("/models")["models"][0]["name"])


@pytest.fixture(scope="module")
def page(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeing]:
    models = seeing_models(tmp_path_factory.mktemp("served"))
    with (
        Store(tmp_path_factory.mktemp("chats")) as store,
        running(models, load=["seeing"], page=chat_page(store)) as server,
    ):
        yield Seeing(server.http)


def attach(page: Seeing, data: bytes, name: str = "a cat.png") -> dict[str, Any]:
    response = page.http.post("/api/attachments", params={"model": page.seeing}, files={"file": (name, data)})
    assert response.status_code == 200, response.text
    file: dict[str, Any] = response.json()
    return file


def answer(page: Seeing, id: str, asked: str) -> dict[str, Any]:
    *_, done = page.events(id, asked)
    assert done["type"] == "done", done
    message: dict[str, Any] = done["message"]
    return message


def through_protocol(page: Seeing, *contents: Any) -> dict[str, Any]:
    """What another client is told that shows the model the same."""
    messages = [{"role": role, "content": content} for role, content in contents]
    body = {"model": page.seeing, "messages": messages, **GREEDY}
    response = page.http.post("/v1/chat/completions", json=body).json()
    usage, text = response["usage"], response["choices"][0]["message"]["content"]
    return {"tokens": usage["prompt_tokens"], "content": text}


def url(data: bytes, kind: str = "png") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{base64.b64encode(data).decode()}"}}


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def test_the_model_is_shown_the_picture_as_other_clients_show_it(page: Seeing) -> None:
    file = attach(page, PICTURE)
    assert file["kind"] == "picture"
    assert file["picture"] == {"media_type": "image/png", "height": 45, "width": 61, "size_bytes": len(PICTURE)}
    id = page.create(model=page.seeing, settings=GREEDY)
    counted = page.post(f"/conversations/{id}/count", {"content": "what?", "attachments": [file["id"]]})["tokens"]
    without = page.post(f"/conversations/{id}/count", {"content": "what?"})["tokens"]
    assert abs(counted - without - file["tokens"]) <= 1  # a space that the template writes before a text
    asked = page.say(id, "what?", attachments=[file["id"]])
    said = answer(page, id, asked)
    expected = through_protocol(page, ("user", [url(PICTURE), text("what?")]))
    assert (said["content"], said["usage"]["prompt_tokens"]) == (expected["content"], expected["tokens"])
    assert counted == expected["tokens"]
    # Again, edited with another picture beside it, and as a second turn.
    assert answer(page, id, asked)["content"] == expected["content"]
    more = attach(page, OTHER, "other.jpg")
    edited = page.say(id, "both?", attachments=[file["id"], more["id"]])
    both = through_protocol(page, ("user", [url(PICTURE), url(OTHER, "jpeg"), text("both?")]))
    first = answer(page, id, edited)
    assert (first["content"], first["usage"]["prompt_tokens"]) == (both["content"], both["tokens"])
    second = page.say(id, "and now?", first["id"])
    turns = [url(PICTURE), url(OTHER, "jpeg"), text("both?")]
    after = through_protocol(page, ("user", turns), ("assistant", first["content"]), ("user", "and now?"))
    assert answer(page, id, second)["usage"]["prompt_tokens"] == after["tokens"]
    assert [line["attachments"] for line in page.get(f"/conversations/{id}")["messages"]][:2] == [
        [{key: value for key, value in file.items() if key != "preview"}], []
    ]  # fmt: skip


def test_a_picture_alone_is_a_message(page: Seeing) -> None:
    id = page.create(model=page.seeing, settings=GREEDY)
    said = answer(page, id, page.say(id, "", attachments=[attach(page, PICTURE)["id"]]))
    assert said["usage"]["prompt_tokens"] == through_protocol(page, ("user", [url(PICTURE)]))["tokens"]
    assert page.get(f"/conversations/{id}")["title"] == "a cat.png"


def test_the_file_comes_back_as_it_was_and_as_nothing_but_a_picture(page: Seeing) -> None:
    file = attach(page, OTHER, "../../photo.html")
    assert file["name"] == "photo.html"
    response = page.http.get(f"/api/attachments/{file['id']}/picture")
    assert response.content == OTHER
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in response.headers["content-security-policy"]
    assert page.http.get("/api/attachments/none/picture").status_code == 404
    words = page.attach("notes.txt", b"some words").json()
    assert page.http.get(f"/api/attachments/{words['id']}/picture").status_code == 404
    assert page.get(f"/attachments/{file['id']}")["text"] == ""


def test_a_model_that_sees_nothing_is_told_that_there_is_a_picture(page: Seeing) -> None:
    file = attach(page, PICTURE, "my  cat.png")
    id = page.create(model="starter", settings=GREEDY)
    asked = page.say(id, "what?", attachments=[file["id"]])
    told = 'The user has attached the picture "my cat.png", which you cannot see.\n\nwhat?'
    body = {"model": "starter", "messages": [{"role": "user", "content": told}], **GREEDY}
    expected = page.http.post("/v1/chat/completions", json=body).json()["usage"]["prompt_tokens"]
    said = answer(page, id, asked)
    assert said["state"] == "done"
    assert said["usage"]["prompt_tokens"] == expected
    page.http.patch(f"/api/conversations/{id}", json={"model": page.seeing})
    assert answer(page, id, asked)["usage"]["prompt_tokens"] != expected


def test_a_photograph_of_a_phone_is_taken(page: Seeing) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = attach(page, encoded("JPEG", 3000, 4000, exif=exif), "IMG_0001.JPG")
    assert (file["picture"]["height"], file["picture"]["width"]) == (4000, 3000)
    id = page.create(model=page.seeing, settings=GREEDY)
    assert answer(page, id, page.say(id, "what?", attachments=[file["id"]]))["state"] == "done"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


_BOMB = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    + _chunk(b"IEND", b"")
)


@pytest.mark.parametrize(
    ("data", "kind", "says"),
    [
        (PICTURE[:900], "UnreadablePicture", "cut short"),
        (_BOMB, "UnreadablePicture", "larger than any picture"),
        (PICTURE[:8] + bytes(200), "UnknownPicture", "no picture"),
        (b"\xff\xd8\xff" + bytes(100), "UnknownPicture", "no picture"),
        (encoded("TIFF"), "UnknownPicture", "Known: JPEG"),
        (b"\0\0\0\x18ftypheic" + bytes(100), "UnknownPicture", "Known: JPEG"),
        (OTHER + bytes(20_000_000), "UsageError", "too large"),
    ],
    ids=["cut", "bomb", "zeros", "no jpeg", "tiff", "heic", "large"],
)
def test_what_is_no_picture_that_can_be_kept_is_refused_with_what_is_wrong(
    page: Seeing, data: bytes, kind: str, says: str
) -> None:
    refused = page.attach("file.png", data)
    assert refused.status_code == 400, refused.text
    error = refused.json()["error"]
    assert error["kind"] == kind, error
    assert says in f"{error['message']} {error['hint']}"


def test_a_conversation_takes_its_pictures_along(page: Seeing) -> None:
    id = page.create(model=page.seeing)
    page.say(id, "look", attachments=[attach(page, PICTURE)["id"]])
    exported = page.http.get(f"/api/conversations/{id}/export").content
    assert page.http.delete(f"/api/conversations/{id}").status_code == 204
    back = page.http.post(
        "/api/conversations/import", content=exported, headers={"content-type": "application/json"}
    ).json()
    (file,) = back["messages"][0]["attachments"]
    assert page.http.get(f"/api/attachments/{file['id']}/picture").content == PICTURE


def test_the_list_of_models_says_which_take_pictures(page: Seeing) -> None:
    sees = {line["name"]: line["sees"] for line in page.get("/models")["models"]}
    assert sees[page.seeing] is True
    assert not sees["starter"]
