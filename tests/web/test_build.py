"""The built page that is shipped: made of the sources that are here, and of nothing that it should not hold."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web"
PAGE = ROOT / "src" / "hearth" / "server" / "page"

# As web/build/stamp.ts has them.
SOURCES = [
    "build",
    "index.html",
    "package-lock.json",
    "package.json",
    "public",
    "src",
    "tsconfig.json",
    "vite.config.ts",
]


def source_hash() -> str:
    paths = [path for name in SOURCES for path in [WEB / name, *sorted((WEB / name).rglob("*"))] if path.is_file()]
    names = sorted(path.relative_to(WEB).as_posix() for path in paths)
    result = hashlib.sha256()
    for name in names:
        if ".test." in name:
            continue
        content = (WEB / name).read_bytes()
        result.update(f"{name}\n{len(content)}\n".encode() + content)
    return result.hexdigest()


def test_the_built_page_is_made_of_the_sources_that_are_here() -> None:
    built = json.loads((PAGE / "build.json").read_text())["sources_sha256"]
    assert built == source_hash(), "the page is out of date: cd web && npm ci && npm run build"


def test_the_page_names_no_address_to_load_from() -> None:
    for path in PAGE.rglob("*"):
        if path.suffix in {".html", ".css"}:
            assert not re.search(r"(?:https?:)?//[\w-]+\.", path.read_text()), path.name
    html = (PAGE / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", html), "the policy allows no inline code"


def test_every_file_that_the_page_names_is_there() -> None:
    for path in PAGE.rglob("*"):
        if path.suffix in {".html", ".css", ".js"}:
            for name in re.findall(r"[\w-]+-[\w-]{8}\.(?:js|css|woff2)\b", path.read_text()):
                assert (PAGE / "assets" / name).is_file(), f"{path.name} names {name}"


def test_the_lock_file_names_no_registry() -> None:
    packages = json.loads((WEB / "package-lock.json").read_text())["packages"]
    workspaces = {package["resolved"] for package in packages.values() if package.get("link")}
    others = {name: package for name, package in packages.items() if name not in workspaces and not package.get("link")}
    assert not [name for name, package in others.items() if "resolved" in package]
    assert all("integrity" in package for name, package in others.items() if name)


def test_the_page_stays_small() -> None:
    sizes = {path.name: path.stat().st_size for path in PAGE.rglob("*") if path.is_file()}
    assert sum(sizes.values()) < 1_200_000
    first = sum(size for name, size in sizes.items() if name.startswith("index"))
    assert first < 300_000, "what loads before anything is asked"
