"""`hearth package web --serve`: the site's files over HTTP, as browsers want them, and nothing else."""

from __future__ import annotations

import os
import socket
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hearth.errors import UsageError
from hearth.package import site_server
from hearth.package.files import SITE_POLICY

CHUNK = "ab" * 32


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "site" / "blobs").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "site" / "page.js").write_text("export {};")
    (tmp_path / "site" / "blobs" / CHUNK).write_bytes(b"chunk")
    (tmp_path / "site" / ".hidden.js").write_text("secret")
    (tmp_path / "site" / "blobs" / "notes").write_text("secret")
    with site_server(tmp_path / "site", "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_chunks_may_be_kept_for_ever_and_the_page_is_asked_for_anew(address: str) -> None:
    with urllib.request.urlopen(f"{address}/blobs/{CHUNK}") as answer:
        assert answer.read() == b"chunk"
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    with urllib.request.urlopen(f"{address}/page.js") as answer:
        assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["Content-Security-Policy"] == f"{SITE_POLICY}; frame-ancestors 'none'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        when = answer.headers["Last-Modified"]
    again = urllib.request.Request(f"{address}/page.js", headers={"If-Modified-Since": when})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(again)
    assert caught.value.code == 304


def test_a_site_that_is_older_than_what_the_browser_has_is_sent_too(address: str, tmp_path: Path) -> None:
    """Whoever puts an older version back wants it seen."""
    with urllib.request.urlopen(f"{address}/page.js") as answer:
        when = answer.headers["Last-Modified"]
    file = tmp_path / "site" / "page.js"
    file.write_text("older")
    os.utime(file, (1e9, 1e9))
    again = urllib.request.Request(f"{address}/page.js", headers={"If-Modified-Since": when})
    with urllib.request.urlopen(again) as answer:
        assert answer.read() == b"older"


@pytest.mark.parametrize(
    "path",
    [
        "/blobs/",
        "/../secret",
        "/%2e%2e/secret",
        "/nothing",
        "/blobs/notes",
        "/.hidden.js",
        "/blobs/../page.js",
        f"/{'a' * 300}.js",
    ],
)
def test_there_is_nothing_else(address: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(address + path)
    assert caught.value.code == 404
    assert caught.value.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:1", 200), ("127.0.0.1", 200), ("[::1]:80", 200), ("evil.example", 403), ("a:b:c", 403)],
)
def test_it_answers_to_no_name_that_others_may_have_made_to_point_here(address: str, host: str, status: int) -> None:
    asked = urllib.request.Request(f"{address}/page.js", headers={"Host": host})
    if status == 200:
        assert urllib.request.urlopen(asked).status == 200
        return
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(asked)
    assert caught.value.code == 403
    assert b"export" not in caught.value.read()


def test_a_visitor_who_leaves_in_the_middle_is_not_told_of(
    tmp_path: Path, address: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site" / "blobs" / CHUNK).write_bytes(bytes(8 << 20))
    before = set(threading.enumerate())
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", urlsplit(address).port)) as visitor:
            visitor.sendall(f"GET /blobs/{CHUNK} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            visitor.recv(10)
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, as a kill makes
    for thread in set(threading.enumerate()) - before:
        thread.join()
    assert capfd.readouterr().err == ""


def test_a_port_that_is_taken_is_told(address: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Cannot listen"):
        site_server(tmp_path, "127.0.0.1", int(address.rsplit(":", 1)[1]))
