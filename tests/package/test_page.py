"""The built page of packaged models: made of the sources that are here, for what is written here."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path

from hearth.package.site import BLOBS, FORMAT_VERSION, MODEL, PAGE

WEB = Path(__file__).resolve().parents[2] / "web"

# As web/build/stamp.ts has them.
SOURCES = [
    "build",
    "package-lock.json",
    "package.json",
    "public",
    "runtime/src",
    "site",
    "src/styles",
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
    package = (WEB / "runtime" / "src" / "store" / "package.ts").read_text()
    assert f"FORMAT_VERSION = {FORMAT_VERSION};" in package
    assert f'PACKAGE_FILE = "{MODEL}";' in package
    assert f'new URL("{BLOBS}/", url)' in package


def test_the_service_worker_keeps_every_file_of_the_page() -> None:
    (listed,) = re.findall(r"addAll\((\[.*?\])\.map", (PAGE / "sw.js").read_text())
    files = {file.name for file in PAGE.iterdir()} - {"build.json", "licenses.txt", "sw.js", "index.html"}
    assert set(json.loads(listed)) == {"./", MODEL, *files}


def test_it_lies_in_any_folder_and_loads_from_nowhere_else() -> None:
    for path in PAGE.rglob("*"):
        if path.suffix in {".html", ".css", ".webmanifest"}:
            assert not re.search(r"(?:https?:)?//[\w-]+\.", path.read_text()), path.name
    html = (PAGE / "index.html").read_text()
    assert not re.search(r"(?:src|href)=\"/", html)
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", html), "the policy allows no inline code"


def test_it_stays_small() -> None:
    loaded = [path for path in PAGE.iterdir() if path.suffix in {".html", ".css", ".js"}]
    assert sum(len(gzip.compress(path.read_bytes())) for path in loaded) < 100_000
