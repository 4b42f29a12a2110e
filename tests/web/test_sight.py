"""A picture on the page: dropped, looked at, drawn and told; and nothing of it is kept."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from golden.preprocess import draw_picture
from golden.vision.published import folder_of
from hearth.server.chatpage import Entry, chat_page
from hearth.server.models import Models, ModelSettings
from hearth.store import Store
from server.running import running

from .conftest import OpenWindow
from .steps import expect

NAMES = ("vit", "detr", "clip", "segformer", "depth-anything", "dinov2", "detr-masks")


def png(pixels: np.ndarray[Any, Any] | None = None) -> bytes:
    file = io.BytesIO()
    Image.fromarray(draw_picture(240, 320) if pixels is None else pixels).save(file, "PNG")
    return file.getvalue()


def noise(height: int, width: int, seed: int) -> bytes:
    return png(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.int64).astype(np.uint8))


PICTURE = {"name": "a cat.png", "mimeType": "image/png", "buffer": png()}
# In these the models find several regions; the second one several objects of one label.
SEVERAL = {"segformer": noise(73, 92, 3), "detr-masks": noise(105, 76, 4)}


@pytest.fixture(scope="module")
def link(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("seeing")
    for name in NAMES:
        (folder / name).mkdir()
        folder_of(name, folder / name)
    # Labels as long and as odd as models have them.
    config = json.loads((folder / "vit" / "config.json").read_text())
    config["id2label"] = {str(i): f"label {i} <b>of</b> a long, long name" for i in range(7)}
    (folder / "vit" / "config.json").write_text(json.dumps(config))
    models = Models(["starter", *(str(folder / name) for name in NAMES)], ModelSettings(threads=2, offline=True))
    with Store(tmp_path_factory.mktemp("chats")) as store:
        entry = Entry(store.path.parent)
        with running(models, load=NAMES, page=chat_page(store, entry), keys=entry.keys) as server:
            yield entry.link(server.url)


def choose(page: Any, name: str) -> None:
    page.locator(".model-button").click()
    page.get_by_role("dialog", name="Choose a model").locator(".model-item", has_text=name).first.click()


def show(page: Any, data: bytes = PICTURE["buffer"]) -> None:
    page.locator(".sight input[type=file]").set_input_files({**PICTURE, "buffer": data})


def test_a_picture_is_labelled(open_window: OpenWindow, link: str) -> None:
    page = open_window(link=link).page
    choose(page, "vit")
    expect(page.get_by_role("heading", name="What does it show?")).to_be_visible()
    expect(page.get_by_label("Message", exact=True)).to_have_count(0)
    show(page)
    rows = page.locator(".sight-table tbody tr")
    expect(rows).to_have_count(5)
    expect(rows.first).to_contain_text("<b>of</b>")
    expect(rows.first).to_contain_text("%")
    expect(page.get_by_role("img", name="a cat.png")).to_be_visible()
    assert page.get_by_role("img", name="a cat.png").evaluate("e => e.naturalWidth") == 320
    expect(page.locator("[role=status]").first).to_contain_text("It shows: label")
    # A picture is no conversation, and the next chat chats.
    expect(page.locator(".conversation-item")).to_have_count(0)
    page.get_by_role("button", name="New chat").first.click()
    expect(page.get_by_label("Message", exact=True)).to_be_visible()
    expect(page.locator(".model-button")).to_contain_text("starter")


def test_objects_are_boxed_as_far_as_the_slider_says(open_window: OpenWindow, link: str) -> None:
    page = open_window(link=link).page
    choose(page, "detr")
    show(page)
    slider = page.get_by_label("At least this sure")
    expect(slider).to_be_visible()
    counts = []
    for value in (0.1, 0.95):
        slider.evaluate(
            "(e, v) => { Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(e, v);"
            " e.dispatchEvent(new Event('input', {bubbles: true})); }",
            str(value),
        )
        expect(page.get_by_label("At least this sure")).to_have_attribute("aria-valuetext", f"{value:.0%}")
        rows = page.locator(".sight-table tbody tr").count()
        assert page.locator(".sight-box").count() == rows
        counts.append(rows)
    assert counts[0] > counts[1]
    slider.focus()
    page.keyboard.press("Home")
    expect(page.locator(".sight-box")).to_have_count(counts[0])
    inside = """() => { const f = document.querySelector('.sight-frame').getBoundingClientRect();
      return [...document.querySelectorAll('.sight-box')].every((b) => { const r = b.getBoundingClientRect();
        return r.left >= f.left - 1 && r.right <= f.right + 1 && r.top >= f.top - 1 && r.bottom <= f.bottom + 1;
      }); }"""
    assert page.evaluate(inside)


def test_labels_are_chosen_among_by_pressing_enter(open_window: OpenWindow, link: str) -> None:
    window = open_window(link=link)
    window.forgive.append("400")
    page = window.page
    choose(page, "clip")
    show(page)
    field = page.get_by_label("Choose among")
    look = page.get_by_role("button", name="Look", exact=True)
    expect(look).to_be_disabled()
    field.fill("a, b, a, c")
    field.press("Enter")
    # The model reads eleven letters, and the sentence around a label has more.
    expect(page.get_by_role("alert")).to_contain_text("tokens")
    expect(page.locator(".sight-table")).to_have_count(0)


@pytest.mark.parametrize(("name", "says"), [("segformer", "Region"), ("depth-anything", "Nearness")])
def test_regions_and_depths_lie_over_the_picture_and_can_be_taken_off(
    open_window: OpenWindow, link: str, name: str, says: str
) -> None:
    page = open_window(link=link).page
    choose(page, name)
    show(page)
    expect(page.locator(".sight-table")).to_contain_text(says)
    picture = page.get_by_role("img", name="a cat.png")
    overlay = page.get_by_role("button", name="What was found")
    expect(overlay).to_have_attribute("aria-pressed", "true")
    drawn = picture.get_attribute("src")
    overlay.click()
    expect(picture).not_to_have_attribute("src", str(drawn))
    expect(overlay).to_have_attribute("aria-pressed", "false")
    overlay.click()
    expect(picture).to_have_attribute("src", str(drawn))


COLOURS = "all => all.map((e) => e.style.backgroundColor)"


@pytest.mark.parametrize("name", ["segformer", "detr-masks"])
def test_each_region_stands_apart_and_out_where_it_is_pointed_at(open_window: OpenWindow, link: str, name: str) -> None:
    page = open_window(link=link).page
    choose(page, name)
    show(page, SEVERAL[name])
    rows, spotlight = page.locator(".sight-table tbody tr"), page.locator(".sight-spotlight")
    expect(rows.first).to_be_visible()
    swatches = page.locator(".sight-table .sight-swatch").evaluate_all(COLOURS)
    assert len(set(swatches)) == len(swatches) == rows.count() > 1
    if name == "detr-masks":
        assert len(set(rows.locator("th").all_inner_texts())) == 1
    page.get_by_role("heading").first.hover()  # a row may have come to be where the mouse was
    expect(spotlight).to_have_count(0)
    rows.last.hover()
    expect(spotlight).to_be_visible()
    expect(page.locator("tr.pointed")).to_have_count(1)
    page.get_by_role("heading").first.hover()
    expect(spotlight).to_have_count(0)
    rows.first.locator("th span[tabindex]").focus()
    expect(rows.first).to_have_class("pointed")
    rows.last.locator("th span[tabindex]").focus()
    expect(rows.last).to_have_class("pointed")
    page.get_by_role("img", name="a cat.png").hover()
    expect(page.locator("tr.pointed")).to_have_count(1)


def test_there_are_no_settings_where_there_is_no_conversation(open_window: OpenWindow, link: str) -> None:
    page = open_window(link=link).page
    settings = page.get_by_role("button", name="Settings of this conversation")
    settings.click()
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    choose(page, "vit")
    expect(page.get_by_role("heading", name="What does it show?")).to_be_visible()
    expect(settings).to_have_count(0)
    page.keyboard.press("Control+,")
    expect(page.get_by_role("heading", name="Settings")).to_have_count(0)
    page.get_by_role("button", name="New chat").first.click()
    expect(settings).to_be_visible()


def test_a_vector_is_told_by_its_size_and_copied(open_window: OpenWindow, link: str) -> None:
    page = open_window(link=link, permissions=["clipboard-read", "clipboard-write"]).page
    choose(page, "dinov2")
    show(page)
    expect(page.locator(".sight-vector", has_text="A vector of")).to_be_visible()
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert len(json.loads(page.evaluate("navigator.clipboard.readText()"))) > 8


def test_a_picture_can_be_dropped_and_what_is_none_is_told(open_window: OpenWindow, link: str) -> None:
    window = open_window(link=link)
    window.forgive += ["400", "ERR_UNKNOWN", "Failed to load"]
    page = window.page
    choose(page, "vit")
    drop = """(text) => { const data = new DataTransfer();
      const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      data.items.add(new File([bytes], 'dropped.png', {type: 'image/png'}));
      document.dispatchEvent(new DragEvent('dragover', {dataTransfer: data, bubbles: true, cancelable: true}));
      document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})); }"""
    page.evaluate(drop, base64.b64encode(png()).decode())
    expect(page.get_by_role("img", name="dropped.png")).to_be_visible()
    expect(page.locator(".sight-table tbody tr")).to_have_count(5)
    page.locator(".sight input[type=file]").set_input_files(
        {"name": "broken.png", "mimeType": "image/png", "buffer": png()[:500]}
    )
    expect(page.get_by_role("alert")).to_contain_text("This picture cannot be read.")
    expect(page.locator(".sight-table")).to_have_count(0)
    show(page)
    expect(page.locator(".sight-table tbody tr")).to_have_count(5)
    # Another model looks at the same picture.
    choose(page, "segformer")
    expect(page.locator(".sight-table")).to_contain_text("Region")
    expect(page.get_by_role("img", name="a cat.png")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_assistive_technology_finds_nothing_to_complain_about(open_window: OpenWindow, link: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing").Axe()

    def violations(page: Any) -> list[Any]:
        found = axe.run(page).response["violations"]
        return [(v["id"], [node["html"][:200] for node in v["nodes"]]) for v in found]

    page = open_window(link=link, color_scheme=scheme).page
    choose(page, "clip")
    expect(page.get_by_label("Choose among")).to_be_visible()
    assert violations(page) == []
    choose(page, "detr")
    show(page)
    page.get_by_label("At least this sure").press("Home")
    expect(page.locator(".sight-box").first).to_be_visible()
    assert violations(page) == []
    choose(page, "segformer")
    expect(page.locator(".sight-table")).to_contain_text("Region")
    assert violations(page) == []


def test_on_a_phone_nothing_is_wider_than_the_screen(open_window: OpenWindow, link: str) -> None:
    phone = {"viewport": {"width": 360, "height": 700}, "has_touch": True, "is_mobile": True}
    page = open_window(link=link, **phone).page
    for name in ("vit", "detr", "segformer", "dinov2"):
        choose(page, name)
        if page.locator(".sight-drop").count():
            show(page)
        expect(page.locator(".sight-table, .sight-vector").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.locator(".sight").evaluate("e => e.scrollWidth <= e.clientWidth")
