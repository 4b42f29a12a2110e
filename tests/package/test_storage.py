"""What a packaged page keeps in the browser, and letting go of it: in the origin's private files, in the Cache API."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hearth.package import Site

from .site_server import PATIENCE_MS, SiteServer, answer, begin, visit

# As a browser without private files has it. Workers are browsers of their own.
WITHOUT_FILES = "delete StorageManager.prototype.getDirectory;"
KEPT = """async () => {
  const names = [];
  if (navigator.storage.getDirectory) {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("hearth-chunks");
    for await (const name of folder.keys()) names.push(name);
  } else {
    const cache = await caches.open("hearth-chunks");
    for (const { url } of await cache.keys()) names.push(url.slice(url.lastIndexOf("/") + 1));
  }
  return names.filter((name) => !name.endsWith(".json"));
}"""


@pytest.fixture(params=["files", "cache"])
def place(request: pytest.FixtureRequest, context: Any, site: Site) -> str:
    """Where chunks are kept."""
    kind: str = request.param
    if kind == "cache":
        context.add_init_script(WITHOUT_FILES)
        script = WITHOUT_FILES + (site.path / "worker.js").read_text()
        context.route("**/worker.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
    return kind


def kept(page: Any) -> set[str]:
    return set(page.evaluate(KEPT))


def chunks(site: Path, *, of: str | None = None) -> set[str]:
    files = json.loads((site / "model.json").read_text())["files"]
    return {chunk for name, file in files.items() if of in (None, name) for chunk in file["chunks"]}


def update(site: Path) -> None:
    """Another version: the weights are what they were, two other files are new."""
    told = json.loads((site / "model.json").read_text())
    first = told["files"]["tokenizer_meta.json"]
    [old] = first["chunks"]
    content = (site / "blobs" / old).read_bytes() + b" "
    new = hashlib.sha256(content).hexdigest()
    (site / "blobs" / new).write_bytes(content)
    first |= {"chunks": [new], "size_bytes": len(content)}
    manifest = told["files"]["manifest.json"]
    text = json.loads((site / "blobs" / manifest["chunks"][0]).read_bytes())
    text["files"]["tokenizer_meta.json"] |= {"size_bytes": len(content), "sha256": new}
    content = json.dumps(text).encode()
    manifest |= {"chunks": [hashlib.sha256(content).hexdigest()], "size_bytes": len(content)}
    (site / "blobs" / manifest["chunks"][0]).write_bytes(content)
    (site / "model.json").write_text(json.dumps(told))


def test_a_model_is_removed_by_keyboard_and_the_page_asks_again(context: Any, server: SiteServer, place: str) -> None:
    page = visit(context, server.url)
    begin(page)
    answer(page)
    assert len(kept(page)) > 10
    page.get_by_role("button", name="Kept in this browser").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Kept in this browser")
    dialog.get_by_role("row", name="stories260K.gguf").wait_for()
    removal = dialog.get_by_role("button", name="Remove this model from this browser")
    removal.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "Cancel"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "Remove this model from this browser"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Load the model").wait_for()
    assert page.get_by_role("status").filter(has_text="Removed").count() == 1
    assert kept(page) == set()
    page.reload()
    page.get_by_role("button", name="Load the model").wait_for()
    begin(page)
    answer(page)


def test_an_update_takes_the_place_of_the_older_version_once_it_is_whole(
    context: Any, site: Site, place: str, tmp_path: Path
) -> None:
    folder = tmp_path / "site"
    shutil.copytree(site.path, folder)
    server = SiteServer(folder)
    try:
        page = visit(context, server.url)
        begin(page)
        before = answer(page)
        update(folder)
        page.reload()
        assert answer(page) == before
        assert kept(page) <= chunks(folder)
        assert chunks(folder, of="weights.bin") <= kept(page)
        page.get_by_role("button", name="Kept in this browser").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("row", name="Together").wait_for()
        assert dialog.get_by_role("row").count() == 2
    finally:
        server.close()


def test_while_an_update_is_cut_off_the_older_version_answers_without_a_network(
    context: Any, site: Site, tmp_path: Path
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing").Axe()
    folder = tmp_path / "site"
    shutil.copytree(site.path, folder)
    server = SiteServer(folder)
    page = visit(context, server.url)
    begin(page)
    before = answer(page)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    older = kept(page)
    update(folder)
    server.asked.clear()
    server.holds_after = 1
    page.reload()
    assert server.held.wait(PATIENCE_MS / 1000)
    page.set_viewport_size({"width": 320, "height": 640})
    page.get_by_role("button", name="Kept in this browser").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("row", name="An older version of it").wait_for()
    assert "not whole yet" in dialog.get_by_role("row").first.inner_text()
    dialog.get_by_role("button", name="Remove what is no longer needed").click()
    assert axe.run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    dialog.get_by_role("button", name="Cancel").click()
    page.keyboard.press("Escape")
    server.close()
    page.reload()
    assert answer(page) == before
    assert older <= kept(page)
