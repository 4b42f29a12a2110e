"""The packaged page in a server (`--page`): whoever has its link gets its files, and nothing else by it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hearth.cli.main import run
from hearth.package.files import SITE_POLICY
from hearth.server.app import create_app
from hearth.server.chatpage import Entry, chat_page
from hearth.server.keys import ApiKeys
from hearth.server.settings import ServerSettings
from hearth.server.visitors import VisitorsPage
from hearth.store import Store

from .running import NoModels, Running, running

KEY = "sk-test-0123456789abcdef"
CHUNK = "ab" * 32
ELSEWHERE = ("192.0.2.7", 50000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "blobs").mkdir(parents=True)
    (site / "index.html").write_text("<!doctype html>")
    (site / "worker.js").write_text("export {};")
    (site / "blobs" / CHUNK).write_bytes(bytes(range(100)))
    (tmp_path / "secret.json").write_text("{}")
    return site


@pytest.fixture
def keyed(folder: Path) -> Iterator[tuple[Running, str]]:
    """A server that wants a key, and where its page is."""
    keys = ApiKeys([KEY])
    visitors = VisitorsPage(folder, keys)
    with running(visitors=visitors, keys=keys) as server:
        yield server, visitors.path


def test_without_keys_the_page_is_where_everybody_looks(folder: Path) -> None:
    with running(visitors=VisitorsPage(folder, ApiKeys())) as server:
        assert server.http.get("/page/").text == "<!doctype html>"
        assert server.http.get("/page", follow_redirects=True).text == "<!doctype html>"


def test_the_link_opens_the_page_and_no_other_door(keyed: tuple[Running, str]) -> None:
    server, path = keyed
    assert re.fullmatch(r"/page/[a-z2-9]{10}/", path)
    answer = server.http.get(path)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == f"{SITE_POLICY}; frame-ancestors 'none'"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert server.http.get(path.rstrip("/"), follow_redirects=True).text == answer.text
    secret = path.split("/")[2]
    for other in ("/page/", "/page/aaaaaaaaaa/", f"/page/{secret}x/", f"/{secret}/"):
        refused = server.http.get(other)
        assert refused.status_code == 401, other
    assert "link" in server.http.get("/page/").json()["error"]["message"]
    for token in (secret, f"{secret}/"):
        assert server.http.get("/v1/models", headers={"authorization": f"Bearer {token}"}).status_code == 401


def test_chunks_may_be_kept_for_ever_and_are_given_in_parts(keyed: tuple[Running, str]) -> None:
    server, path = keyed
    chunk = server.http.get(f"{path}blobs/{CHUNK}")
    assert "immutable" in chunk.headers["cache-control"]
    assert server.http.get(f"{path}blobs/{CHUNK}", headers={"range": "bytes=10-19"}).content == bytes(range(10, 20))
    script = server.http.get(f"{path}worker.js")
    assert script.headers["cache-control"] == "no-cache"
    again = server.http.get(f"{path}worker.js", headers={"if-none-match": script.headers["etag"]})
    assert again.status_code == 304
    assert server.http.head(path).headers["content-length"] == "15"
    assert server.http.post(path).status_code == 405


@pytest.mark.parametrize("name", ["nothing.js", "blobs/", "../secret.json", "%2e%2e/secret.json", "blobs/../worker.js"])
def test_there_is_nothing_else(keyed: tuple[Running, str], name: str) -> None:
    server, path = keyed
    status = server.raw(f"GET {path}{name} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode())
    assert status.startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize(
    "headers", [{"host": "rebound.example"}, {"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}]
)
def test_other_web_pages_are_refused_as_everywhere(keyed: tuple[Running, str], headers: dict[str, str]) -> None:
    server, path = keyed
    assert server.http.get(f"{path}blobs/{CHUNK}", headers=headers).status_code == 403


def test_the_link_stays_as_long_as_the_key_does_and_is_in_no_log(
    folder: Path, keyed: tuple[Running, str], caplog: pytest.LogCaptureFixture
) -> None:
    server, path = keyed
    assert VisitorsPage(folder, ApiKeys([KEY])).path == path
    assert VisitorsPage(folder, ApiKeys([KEY + "x"])).path != path
    with caplog.at_level("INFO", logger="hearth.server.access"):
        server.http.get(f"{path}worker.js")
        server.http.get(path)
    assert "/page/.../worker.js 200" in caplog.text
    assert path.split("/")[2] not in caplog.text


def test_beside_the_private_chat_other_machines_get_the_page_alone(folder: Path, tmp_path: Path) -> None:
    with Store(tmp_path / "chats") as store:
        entry = Entry(tmp_path / "chats")
        visitors = VisitorsPage(folder, entry.keys)
        settings = ServerSettings(host="0.0.0.0", keys=entry.keys)
        app = create_app(NoModels(), settings, page=chat_page(store, entry), visitors=visitors)  # type: ignore[arg-type]
        token = {"authorization": f"Bearer {entry.link('').rpartition('=')[2]}"}

        async def asked(path: str, client: tuple[str, int]) -> int:
            transport = httpx.ASGITransport(app, client=client)
            async with httpx.AsyncClient(transport=transport, base_url="http://192.0.2.2:8484", headers=token) as http:
                return (await http.get(path)).status_code

        async def check() -> None:
            assert await asked(visitors.path, ELSEWHERE) == 200
            for path in ("/", "/health", "/v1/models", "/api/conversations", "/openapi.json", "/page/"):
                assert await asked(path, ELSEWHERE) == 403, path
            for here in ("127.0.0.1", "192.0.2.2"):
                assert await asked("/", (here, 50000)) == 200
                assert await asked("/api/conversations", (here, 50000)) == 200

        asyncio.run(check())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["app", "--host", "0.0.0.0"], "goes with --page"),
        (["app", "--page", "--host", "::"], "no IPv4 address"),
        (["serve", "starter", "--page", "--host", "0.0.0.0"], "no API key is set"),
        (["serve", "starter", "--page", "--ray"], "does not go with --ray"),
    ],
)
def test_what_does_not_go_together_is_told(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEARTH_API_KEY", raising=False)
    assert run(arguments) == 2
    assert told in " ".join(capsys.readouterr().err.split())
