"""Pictures in a conversation on the page: attached in every way, shown and kept; and models that see nothing."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from golden.vlm.pictures import draw_picture
from hearth.server.chatpage import Entry, chat_page
from hearth.store import Store
from server.running import Running, running
from server.seeing import seeing_models

from .conftest import OpenWindow, token_of
from .steps import choose, conversation_id, expect, questions, wait_for_end


def encoded(kind: str = "PNG", height: int = 60, width: int = 90) -> bytes:
    file = io.BytesIO()
    Image.fromarray(draw_picture(height, width)).save(file, kind)
    return file.getvalue()


def file_of(name: str, data: bytes, kind: str = "image/png") -> dict[str, Any]:
    return {"name": name, "mimeType": kind, "buffer": data}


CAT, DOG = file_of("cat.png", encoded()), file_of("dog.jpg", encoded("JPEG", 64, 48), "image/jpeg")

# What a browser does when files are pasted or dropped.
PASTE = """(text) => { const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], 'pasted.png', {type: 'image/png'}));
  document.activeElement.dispatchEvent(
    new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true})); }"""
DROP = """([names, text]) => { const data = new DataTransfer();
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  for (const name of names) data.items.add(new File([bytes], name, {type: 'image/png'}));
  const told = {dataTransfer: data, bubbles: true, cancelable: true};
  document.querySelector('.thread').dispatchEvent(new DragEvent('dragover', told)); }"""
DROPPED = DROP.replace("dragover", "drop")


SIZES = """async (all) => { await Promise.all(all.map((e) => e.decode()));
  return all.map((e) => [e.naturalWidth, e.naturalHeight]); }"""


@dataclass
class Seeing:
    """A server whose first model sees."""

    link: str
    server: Running


@pytest.fixture(scope="module")
def seeing(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeing]:
    models = seeing_models(tmp_path_factory.mktemp("served"))
    with Store(tmp_path_factory.mktemp("chats")) as store:
        entry = Entry(store.path.parent)
        with running(models, load=["seeing"], page=chat_page(store, entry), keys=entry.keys) as server:
            server.http.headers["authorization"] = f"Bearer {token_of(entry)}"
            yield Seeing(entry.link(server.url), server)


@pytest.fixture
def page(open_window: OpenWindow, seeing: Seeing) -> Any:
    return open_window(link=seeing.link).page


def attach(page: Any, *files: dict[str, Any]) -> None:
    page.locator(".composer input[type=file]").set_input_files(list(files))


def chips(page: Any) -> Any:
    return page.locator(".composer .chip")


def send(page: Any, words: str = "") -> None:
    """Once everything that was attached has been read."""
    page.get_by_label("Message", exact=True).fill(words)
    page.get_by_role("button", name="Send", exact=True).click()
    wait_for_end(page)


def tiles(page: Any) -> Any:
    return page.locator(".picture-tile img")


def stored(seeing: Seeing, page: Any) -> list[list[str]]:
    """Names of the files of each message of the user."""
    talk = seeing.server.http.get(f"/api/conversations/{conversation_id(page)}").json()
    return [[file["name"] for file in m["attachments"]] for m in talk["messages"] if m["role"] == "user"]


def test_pictures_are_attached_with_the_button_and_kept_with_the_conversation(page: Any, seeing: Seeing) -> None:
    expect(page.get_by_role("button", name="Attach pictures, text or PDF files")).to_be_visible()
    attach(page, CAT, DOG, file_of("notes.txt", b"some notes", "text/plain"), file_of("other.png", encoded()))
    expect(chips(page)).to_have_count(4)
    expect(page.locator(".composer .chip-picture")).to_have_count(3)
    expect(chips(page).first).to_contain_text("tokens")
    page.get_by_role("button", name="Remove other.png").click()
    expect(chips(page)).to_have_count(3)
    send(page, "What is this?")
    expect(chips(page)).to_have_count(0)
    for _ in range(2):
        expect(tiles(page)).to_have_count(2)
        expect(page.get_by_role("img", name="cat.png")).to_be_visible()
        sizes = tiles(page).evaluate_all(SIZES)
        assert sizes == [[90, 60], [48, 64]]
        expect(questions(page)).to_contain_text("notes.txt")
        page.reload()
    assert stored(seeing, page) == [["cat.png", "dog.jpg", "notes.txt"]]


def test_pictures_are_pasted_and_dropped_onto_the_conversation(page: Any, seeing: Seeing) -> None:
    data = base64.b64encode(encoded()).decode()
    page.get_by_label("Message", exact=True).focus()
    page.evaluate(PASTE, data)
    expect(chips(page)).to_contain_text("pasted.png")
    page.evaluate(DROP, [["a.png", "b.png"], data])
    expect(page.get_by_text("Drop pictures, text or PDF files to attach them")).to_be_visible()
    page.evaluate(DROPPED, [["a.png", "b.png"], data])
    expect(page.locator(".drop-hint")).to_have_count(0)
    expect(chips(page)).to_have_count(3)
    send(page)  # without a word
    expect(tiles(page)).to_have_count(3)
    assert [sorted(names) for names in stored(seeing, page)] == [["a.png", "b.png", "pasted.png"]]


def test_a_picture_opens_large_and_its_neighbour_is_a_key_away(page: Any) -> None:
    attach(page, CAT, DOG)
    send(page, "Both?")
    tile = page.get_by_role("button", name="cat.png")
    tile.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="cat.png")
    expect(dialog.get_by_role("img", name="cat.png")).to_be_visible()
    expect(dialog).to_contain_text("Picture 1 of 2 · 90 × 60 pixels")
    page.keyboard.press("ArrowRight")
    dialog = page.get_by_role("dialog", name="dog.jpg")
    expect(dialog.get_by_role("img", name="dog.jpg")).to_be_visible()
    expect(dialog.get_by_role("button", name="Next picture")).to_be_disabled()
    dialog.get_by_role("button", name="Previous picture").click()
    expect(page.get_by_role("dialog", name="cat.png")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(tile).to_be_focused()


def test_what_cannot_be_sent_says_why_and_the_rest_is_sent(open_window: OpenWindow, seeing: Seeing) -> None:
    window = open_window(link=seeing.link)
    window.forgive.append("400")  # a browser shows the half of a picture; Hearth refuses it
    page = window.page
    attach(
        page,
        file_of("phone.heic", b"\0\0\0\x18ftypheic" + bytes(100)),
        file_of("half.png", encoded(height=200)[:-3000]),
        file_of("zeros.png", encoded()[:8] + bytes(100)),
        file_of("huge.png", encoded() + bytes(20_000_001)),
        CAT,
    )
    expect(page.locator(".composer .chip.failed")).to_have_count(4)
    for name, says in {
        "phone.heic": "Save HEIC and TIFF as JPEG first.",
        "half.png": "This picture cannot be read.",
        "zeros.png": "This picture cannot be read.",
        "huge.png": "This file is larger than 20 MB.",
    }.items():
        expect(chips(page).filter(has_text=name)).to_contain_text(says)
    send(page, "Only one")
    assert stored(seeing, page) == [["cat.png"]]


def test_a_message_takes_so_many_files_and_says_so(page: Any) -> None:
    attach(page, *(file_of(f"{i}.txt", b"words", "text/plain") for i in range(22)))
    expect(page.get_by_text("A message takes 20 files at most.")).to_be_visible()
    expect(chips(page)).to_have_count(20)


def test_pictures_stay_when_a_message_is_answered_again_or_edited(page: Any, seeing: Seeing) -> None:
    attach(page, CAT, DOG)
    send(page, "First")
    page.get_by_role("button", name="Answer again").click()
    expect(page.get_by_text("2 / 2")).to_be_visible()
    wait_for_end(page)
    questions(page).hover()
    questions(page).get_by_role("button", name="Edit").click()
    expect(page.locator(".editing .chip-picture")).to_have_count(2)
    page.locator(".editing").get_by_role("button", name="Remove dog.jpg").click()
    page.get_by_label("Edit your message").fill("")
    page.locator(".editing").get_by_role("button", name="Send").click()
    wait_for_end(page)
    expect(tiles(page)).to_have_count(1)
    questions(page).get_by_role("button", name="Previous version").click()
    expect(tiles(page)).to_have_count(2)
    assert stored(seeing, page) == [["cat.png", "dog.jpg"], ["cat.png"]]


def test_a_model_that_sees_nothing_says_so(page: Any, seeing: Seeing) -> None:
    attach(page, CAT)
    send(page, "What is this?")
    expect(page.locator(".blind-note")).to_have_count(0)
    page.locator(".model-button").click()
    picker = page.get_by_role("dialog", name="Choose a model")
    expect(picker.locator(".model-item", has_text="seeing")).to_contain_text("takes pictures")
    picker.locator(".model-item", has_text="starter").click()
    note = page.locator(".blind-note")
    # Whether it sees is known as soon as it has been looked at, or has answered.
    send(page, "And now?")
    expect(note).to_contain_text("starter takes no pictures: it knows that they are there, not what they show.")
    expect(page.locator(".answer-failure")).to_have_count(0)
    expect(page.get_by_role("button", name="Attach a text or PDF file")).to_be_visible()
    attach(page, DOG)
    expect(chips(page)).to_contain_text("starter takes no pictures. Choose a model that does, or remove the picture.")
    page.get_by_label("Message", exact=True).fill("Look")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    note.get_by_role("button", name="Choose another model").click()
    picker.locator(".model-item", has_text="seeing").click()
    expect(note).to_have_count(0)
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled()
    send(page, "Look")
    assert stored(seeing, page) == [["cat.png"], [], ["dog.jpg"]]


def test_a_deleted_conversation_takes_its_pictures_along(page: Any, seeing: Seeing) -> None:
    attach(page, CAT)
    send(page, "Quickly forgotten")
    talk = seeing.server.http.get(f"/api/conversations/{conversation_id(page)}").json()
    address = f"/api/attachments/{talk['messages'][0]['attachments'][0]['id']}/picture"
    assert seeing.server.http.get(address).content == CAT["buffer"]
    with page.expect_download() as download:
        choose(page, "Quickly forgotten", "Export as JSON")
    exported = Path(download.value.path()).read_bytes()
    choose(page, "Quickly forgotten", "Delete")
    page.get_by_role("button", name="Delete for good").click()
    expect(tiles(page)).to_have_count(0)
    assert seeing.server.http.get(address).status_code == 404
    page.locator("input[type=file][accept*=json]").set_input_files(file_of("talk.json", exported, "application/json"))
    expect(page.get_by_role("img", name="cat.png")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_assistive_technology_finds_nothing_to_complain_about(
    open_window: OpenWindow, seeing: Seeing, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing").Axe()

    def violations(page: Any) -> list[Any]:
        found = axe.run(page).response["violations"]
        return [(v["id"], [node["html"][:200] for node in v["nodes"]]) for v in found]

    page = open_window(link=seeing.link, color_scheme=scheme).page
    attach(page, CAT, DOG, file_of("phone.heic", b"\0\0\0\x18ftypheic" + bytes(100)))
    expect(page.locator(".composer .chip.failed")).to_have_count(1)
    expect(page.locator(".composer .chip-picture")).to_have_count(2)
    assert violations(page) == []
    send(page, "Both?")
    expect(tiles(page)).to_have_count(2)
    assert violations(page) == []
    tiles(page).first.click()
    expect(page.get_by_role("dialog").get_by_role("img")).to_be_visible()
    assert violations(page) == []


def test_on_a_phone_nothing_is_wider_than_the_screen(open_window: OpenWindow, seeing: Seeing) -> None:
    phone = {"viewport": {"width": 360, "height": 700}, "has_touch": True, "is_mobile": True}
    page = open_window(link=seeing.link, **phone).page
    attach(page, file_of("a panorama of all the hills.png", encoded(height=30, width=900)), CAT, DOG)
    send(page, "All?")
    expect(tiles(page)).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.locator(".thread").evaluate("e => e.scrollWidth <= e.clientWidth")
    tiles(page).first.click()
    expect(page.get_by_role("dialog").get_by_role("img")).to_be_visible()
    assert page.get_by_role("dialog").evaluate("e => e.scrollWidth <= e.clientWidth && e.offsetWidth <= 360")
