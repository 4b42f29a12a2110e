"""Nobody opens the page's conversations without its token: not another user of the machine, not with an old link."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hearth.server.chatpage import Entry, chat_page
from hearth.server.chatpage.entry import is_own_user, kept_token
from hearth.server.chatpage.static import FOLDER
from hearth.store import Store

from ..running import Running, running

posix = pytest.mark.skipif(os.name != "posix", reason="file modes and owners")


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    return Entry(tmp_path)


@pytest.fixture
def server(entry: Entry, tmp_path: Path) -> Iterator[Running]:
    with Store(tmp_path) as store, running(page=chat_page(store, entry), keys=entry.keys) as server:
        yield server


def token_of(entry: Entry) -> str:
    return entry.link("http://127.0.0.1:1").removeprefix("http://127.0.0.1:1/#token=")


def ticket_of(entry: Entry) -> str:
    return entry.ticket_link("").removeprefix("/#ticket=")


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_without_the_token_nothing_but_the_page_itself_is_answered(server: Running) -> None:
    paths = server.http.get("/openapi.json", headers=bearer("x" * 43))
    assert paths.status_code == 401
    routes = [(method, path) for path, methods in server.app.openapi()["paths"].items() for method in methods]
    assert ("get", "/api/conversations") in routes
    assert ("post", "/v1/chat/completions") in routes
    for method, path in routes:
        if path not in ("/health", "/api/entry"):
            for headers in ({}, bearer("x" * 43), {"cookie": f"token={'x' * 43}"}):
                assert server.http.request(method, path, headers=headers).status_code == 401, path
    refused = server.http.get("/api/conversations").json()["error"]
    assert refused["hint"] == "Open the link that `hearth app` printed."
    assert "models" not in server.http.get("/health").json()


def test_the_page_itself_is_answered_and_the_same_for_everybody(server: Running) -> None:
    for path in FOLDER.rglob("*"):
        if path.is_file():
            name = path.relative_to(FOLDER).as_posix()
            answer = server.http.get("/" if name == "index.html" else f"/{name}")
            assert answer.content == path.read_bytes(), name
            assert "set-cookie" not in answer.headers


def test_the_token_opens_the_page_and_is_the_api_key_of_programs(server: Running, entry: Entry) -> None:
    token = token_of(entry)
    assert server.http.get("/api/conversations", headers=bearer(token)).json() == {"conversations": [], "more": False}
    assert server.http.get("/v1/models", headers={"x-api-key": token}).status_code == 200


def test_a_ticket_is_good_once(server: Running, entry: Entry) -> None:
    ticket = ticket_of(entry)
    assert server.http.post("/api/entry", json={"ticket": ticket}).json() == {"token": token_of(entry)}
    assert server.http.post("/api/entry", json={"ticket": ticket}).status_code == 401
    assert server.http.post("/api/entry", json={"ticket": token_of(entry)}).status_code == 401


def test_a_ticket_is_good_for_a_short_time(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = ticket_of(entry)
    later = time.monotonic() + 150
    monkeypatch.setattr("hearth.server.chatpage.entry.time.monotonic", lambda: later)
    assert entry.redeem(ticket) is None


@pytest.mark.skipif(not Path("/proc/net/tcp").exists() or os.getuid() != 0, reason="becomes another user")
def test_a_ticket_that_another_user_has_read_lets_him_not_in(
    server: Running, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"""
import encodings.idna, os, socket
os.setuid(65534)
body = b'{{"ticket": "{ticket_of(entry)}"}}'
connection = socket.create_connection(("127.0.0.1", {server.port}))
connection.sendall(b"POST /api/entry HTTP/1.1\\r\\nhost: localhost\\r\\ncontent-type: application/json\\r\\n")
connection.sendall(b"content-length: %d\\r\\n\\r\\n%s" % (len(body), body))
print(connection.recv(1000).split()[1].decode())
"""
    # The tests run as root, who may: here it is an ordinary user who runs Hearth.
    monkeypatch.setattr("hearth.server.chatpage.entry.os.getuid", lambda: 1000)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "401\n", done.stderr
    assert server.http.post("/api/entry", json={"ticket": ticket_of(entry)}).status_code == 200


@posix
def test_connections_are_told_apart_by_their_users(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        assert is_own_user(client.getsockname(), listener.getsockname())
    own, root, other = os.getuid(), 0, os.getuid() + 1
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    rows = [
        f"   0: {local} {remote} 01 00000000:00000000 00:00000000 00000000 {uid:5} 0 1 1 0 20 4 30 10 -1\n"
        for local, remote, uid in [
            ("0100007F:1F90", "0100007F:2124", own),
            ("0100007F:1F91", "0100007F:2124", other),
            ("0200007F:1F90", "0100007F:2124", other),
            ("0100007F:1F92", "0100007F:2124", root),
        ]
    ]
    if sys.byteorder == "big":
        pytest.skip("the rows are those of a little-endian machine")
    sockets = tmp_path / "tcp"
    sockets.write_text(head + "".join(rows))
    server = ("127.0.0.1", 0x2124)
    assert is_own_user(("127.0.0.1", 0x1F90), server, sockets)
    assert not is_own_user(("127.0.0.1", 0x1F91), server, sockets)
    assert not is_own_user(("127.0.0.2", 0x1F90), server, sockets)
    assert is_own_user(("127.0.0.1", 0x1F92), server, sockets)


def test_links_go_on_working_until_a_new_token_is_wanted(tmp_path: Path) -> None:
    first = kept_token(tmp_path)
    assert kept_token(tmp_path) == first
    second = kept_token(tmp_path, new=True)
    assert second != first
    assert kept_token(tmp_path) == second


@posix
def test_only_the_user_can_read_the_token(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        kept_token(tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600


@posix
@pytest.mark.parametrize("spoil", ["readable", "link", "short", "binary", "folder"])
def test_a_token_that_others_may_know_is_not_used(tmp_path: Path, spoil: str) -> None:
    token = kept_token(tmp_path)
    path = tmp_path / "token"
    if spoil == "readable":
        path.chmod(0o644)
    elif spoil == "link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    elif spoil == "short":
        path.write_text("a")
    elif spoil == "binary":
        path.write_bytes(b"\xff" * 43)
    else:
        path.unlink()
        path.mkdir()
        (path / "file").touch()
    fresh = kept_token(tmp_path)
    assert len(fresh) == 43
    assert fresh != token


def test_the_token_is_nowhere_in_the_log(server: Running, entry: Entry, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    token, ticket = token_of(entry), ticket_of(entry)
    server.http.get(f"/?token={token}")
    server.http.get(f"/api/conversations?query={token}", headers=bearer(token))
    server.http.post("/api/entry", json={"ticket": ticket})
    httpx.get(f"{server.url}/api/nothing?token={token}", headers=bearer(token), trust_env=False)
    text = " ".join(record.getMessage() for record in caplog.records if record.name.startswith(("hearth", "uvicorn")))
    assert "/api/conversations 200" in text
    assert token not in text
    assert ticket not in text
