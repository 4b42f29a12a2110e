"""The built page of packaged models: made of the sources that are here, for what is written here."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path

from hearth.package.files import SITE_POLICY
from hearth.package.site import BLOBS, FORMAT_VERSION, LATER, MODEL, PAGE

WEB = Path(__file__).resolve().parents[2] / "web"

# As web/build/stamp.ts has them.
SOURCES = [
    "build",
    "package-lock.json",
    "package.json",
    "public",
    "runtime/src",
    "site",
    "src/markdown",
    "src/styles",
    "src/views/Button.tsx",
    "src/views/Dialog.tsx",
    "src/views/Hearth.tsx",
    "src/views/Icon.tsx",
    "tsconfig.json",
]


def source_hash() -> str:
    paths = [path for name in SOURCES for path in [WEB / name, *(WEB / name).rglob("*")] if path.is_file()]
    result = hashlib.sha256()
    for name in sorted(path.relative_to(WEB).as_posix() for path in paths):
        if ".test." not in name:
            content = (WEB / name).read_bytes()
            result.update(f"{name}\n{len(content)}\n".encode() + content)
    return result.hexdigest()


def test_the_built_page_is_made_of_the_sources_that_are_here() -> None:
    built = json.loads((PAGE / "build.json").read_text())["sources_sha256"]
    assert built == source_hash(), "the page is out of date: cd web && npm ci && npm run build:site"


def test_it_reads_what_this_hearth_writes() -> None:
    store = WEB / "runtime" / "src" / "store"
    facts = (store / "facts.ts").read_text()
    assert f"FORMAT_VERSION = {FORMAT_VERSION};" in facts
    assert f'PACKAGE_FILE = "{MODEL}";' in facts
    assert f"`{BLOBS}/${{name}}`" in (store / "package.ts").read_text()


def test_the_service_worker_keeps_every_file_of_the_page() -> None:
    at_once, with_the_model = (
        set(json.loads(names)) for names in re.findall(r'\((\["[^\]]*\])\)', (PAGE / "sw.js").read_text())
    )
    names = {file.relative_to(PAGE).as_posix() for file in PAGE.rglob("*") if file.is_file()}
    later = {name for name in names if name.startswith(f"{LATER}/")}
    assert at_once == {"./", *names} - later - {"build.json", "licenses.txt", "sw.js", "index.html"}
    assert with_the_model == later


def test_it_lies_in_any_folder_and_loads_from_nowhere_else() -> None:
    for path in PAGE.rglob("*"):
        if path.suffix in {".html", ".css", ".webmanifest"}:
            assert not re.search(r"(?:https?:)?//[\w-]+\.", path.read_text()), path.name
    html = (PAGE / "index.html").read_text()
    assert f'content="{SITE_POLICY}"' in html
    assert not re.search(r"(?:src|href)=\"/", html)
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", html), "the policy allows no inline code"


def zipped_bytes(*names: str) -> int:
    return sum(len(gzip.compress((PAGE / name).read_bytes())) for name in names)


def test_it_stays_small() -> None:
    """The runtime, what is loaded to see the page, and what is loaded for answers of a model that chats."""
    assert zipped_bytes("runtime.js", "worker.js") < 70_000
    assert zipped_bytes("index.html", "page.css", "page.js", "runtime.js", "worker.js", "sw.js") < 100_000
    assert zipped_bytes("markdown.js") < 35_000
    assert zipped_bytes("later/languages.js", "later/katex2.js", "later/katex.css") < 130_000
