"""The page's files: all of them from here, none of them able to ask elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from hearth.errors import StorageError
from hearth.server.chatpage.static import FOLDER, routes


def test_the_page_and_all_it_names_come_from_here(http: httpx.Client) -> None:
    index = http.get("/")
    assert index.status_code == 200
    assert index.headers["content-type"] == "text/html; charset=utf-8"
    named = re.findall(r'(?:src|href)="([^"]+)"', index.text)
    assert named
    for address in named:
        assert address.startswith("/"), address
        assert http.get(address).status_code == 200, address
    assert "<script>" not in index.text
    assert "style=" not in index.text


def test_headers_keep_the_page_to_itself(http: httpx.Client) -> None:
    headers = http.get("/").headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["object-src"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"


def test_hashed_files_are_kept_and_others_asked_for_again(http: httpx.Client) -> None:
    index = http.get("/")
    assert index.headers["cache-control"] == "no-cache"
    assert http.get("/", headers={"if-none-match": index.headers["etag"]}).status_code == 304
    script = re.search(r'src="(/assets/[^"]+\.js)"', index.text)
    assert script
    asset = http.get(script[1])
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert asset.headers["content-type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize(
    "path", ["/index.html.bak", "/../app.py", "/assets/../../app.py", "/assets/%2e%2e/%2e%2e/app.py", "/assets/", "/x"]
)
def test_nothing_else_is_served(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 404


def test_every_file_of_the_build_is_served(http: httpx.Client) -> None:
    for path in FOLDER.rglob("*"):
        if path.is_file() and path.name != "index.html":
            response = http.get(f"/{path.relative_to(FOLDER).as_posix()}")
            assert response.content == path.read_bytes(), path


def test_a_page_that_was_not_built_says_how(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="npm"):
        routes(tmp_path)


def test_a_phone_can_install_the_page(http: httpx.Client) -> None:
    manifest = http.get("/manifest.webmanifest")
    assert manifest.headers["content-type"] == "application/manifest+json"
    for icon in manifest.json()["icons"]:
        assert http.get(icon["src"]).headers["content-type"] == icon["type"]
