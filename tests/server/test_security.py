"""Who may use the server: other machines, other web pages, and those without a key are kept out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hearth.errors import UsageError
from hearth.server.keys import ApiKeys
from hearth.server.security import host_name
from hearth.server.settings import ServerSettings

from .running import Running, running

KEY = "sk-test-0123456789abcdef"


@pytest.fixture(scope="module")
def open_server() -> Iterator[Running]:
    with running(allow_hosts=("Box.lan",), cors_origins=("http://localhost:3000",)) as server:
        yield server


@pytest.fixture(scope="module")
def keyed() -> Iterator[Running]:
    with running(keys=ApiKeys([KEY, "sk-other-0123456789"]), cors_origins=("http://localhost:3000",)) as server:
        yield server


# -- where it listens --------------------------------------------------------------------------------------------


def test_by_default_only_this_machine_can_connect() -> None:
    assert ServerSettings().host == "127.0.0.1"
    assert ServerSettings().is_local


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "box.lan"])
def test_listening_beyond_this_machine_needs_a_key(host: str) -> None:
    with pytest.raises(UsageError, match="no API key is set") as refused:
        ServerSettings(host=host)
    assert refused.value.exit_code == 2
    assert not ServerSettings(host=host, keys=ApiKeys([KEY])).is_local
    ServerSettings(host=host, insecure=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    assert ServerSettings(host=host).is_local


# -- names: DNS rebinding ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:80", "LOCALHOST.", "box.lan:1234"])
def test_the_servers_own_names_are_answered(open_server: Running, host: str) -> None:
    assert open_server.http.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "0.0.0.0",
        "192.168.1.5",
        "127.0.0.1.nip.io",
        "",
        "a b",
        "127.0.0.1@evil",
    ],
)
@pytest.mark.parametrize("path", ["/health", "/v1/models", "/nothing"])
def test_a_name_that_somebody_else_made_point_here_is_refused(open_server: Running, host: str, path: str) -> None:
    refused = open_server.http.get(path, headers={"host": host})
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "host_not_allowed"
    assert "--allow-host" in refused.json()["error"]["message"]


def test_a_request_without_a_host_is_refused(open_server: Running) -> None:
    assert b" 403 " in open_server.raw(b"GET /health HTTP/1.0\r\n\r\n").split(b"\r\n")[0]


def test_two_host_headers_are_refused(open_server: Running) -> None:
    answer = open_server.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
    assert b" 400 " in answer.split(b"\r\n")[0]


def test_a_server_for_others_is_reached_by_any_address_of_its_machine_but_by_no_foreign_name() -> None:
    with running(host="0.0.0.0", keys=ApiKeys([KEY])) as server:
        for host, status in (("10.1.2.3:8000", 200), ("[fe80::1]", 200), ("evil.example", 403), ("0.0.0.0", 403)):
            assert server.http.get("/health", headers={"host": host}).status_code == status, host


@pytest.mark.parametrize(
    ("value", "name"),
    [("A.b:80", "a.b"), ("[::1]:8", "::1"), ("a:b", None), ("a/b", None), ("[::1", None), ("", None), ("é", "é")],
)
def test_host_names(value: str, name: str | None) -> None:
    assert host_name(value) == name


# -- other web pages ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:5173"},
        {"origin": "https://localhost:3000"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
def test_a_page_of_another_site_is_refused_whatever_it_tries(
    open_server: Running, headers: dict[str, str], method: str
) -> None:
    body = {"content": "{}", "headers": {"content-type": "text/plain", **headers}} if method == "POST" else {}
    refused = open_server.http.request(method, "/health", **{"headers": headers, **body})
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "cross_site"
    assert "access-control-allow-origin" not in refused.headers


def test_the_servers_own_page_and_the_address_bar_are_answered(open_server: Running) -> None:
    own = {"origin": open_server.url, "sec-fetch-site": "same-origin"}
    for headers in (own, {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, {}):
        answer = open_server.http.get("/health", headers=headers)
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers


def test_a_page_that_was_allowed_may_ask_and_read(keyed: Running) -> None:
    origin = {"origin": "http://localhost:3000", "sec-fetch-site": "same-site"}
    wants = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    preflight = keyed.http.options("/v1/chat/completions", headers={**origin, **wants})
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    refused = keyed.http.get("/metrics", headers=origin)
    assert refused.status_code == 401, "a page needs a key like everybody"
    assert refused.headers["access-control-allow-origin"] == "http://localhost:3000", "and can read why"
    allowed = keyed.http.get("/metrics", headers={**origin, "authorization": f"Bearer {KEY}"})
    assert allowed.status_code == 200


@pytest.mark.parametrize(
    "origin", ["*", "localhost:3000", "http://", "http://a/b", "http://*.a", "https://*", "a b://c"]
)
def test_an_origin_that_is_none_is_refused_at_the_start(origin: str) -> None:
    with pytest.raises(UsageError, match="origin"):
        ServerSettings(cors_origins=(origin,))


def test_extensions_and_apps_may_be_allowed_by_their_own_schemes() -> None:
    allowed = ("chrome-extension://abcdef", "app://obsidian.md", "vscode-webview://*")
    with running(cors_origins=allowed) as server:
        for origin, status in (
            ("chrome-extension://abcdef", 200),
            ("app://obsidian.md", 200),
            ("vscode-webview://1f2e-3d", 200),
            ("chrome-extension://other", 403),
            ("vscode-webview://a/b", 403),
            ("http://localhost:3000", 403),
            ("null", 403),
        ):
            answer = server.http.get("/health", headers={"origin": origin})
            assert answer.status_code == status, origin
            assert (answer.headers.get("access-control-allow-origin") == origin) is (status == 200)


def test_no_answer_can_be_framed_sniffed_or_kept(open_server: Running) -> None:
    for path in ("/health", "/nothing", "/metrics"):
        headers = open_server.http.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers


# -- keys --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [{"authorization": f"Bearer {KEY}"}, {"authorization": f"bearer   {KEY}"}, {"x-api-key": "sk-other-0123456789"}],
)
def test_a_key_opens_by_either_header(keyed: Running, headers: dict[str, str]) -> None:
    assert keyed.http.get("/metrics", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": f"Basic {KEY}"},
        {"authorization": f"Bearer {KEY}x"},
        {"authorization": f"Bearer {KEY[:-1]}"},
        {"x-api-key": "wrong"},
        {"x-api-key": "\u00ff"},
    ],
)
@pytest.mark.parametrize("path", ["/metrics", "/v1/models", "/openapi.json", "/v1/messages", "/nothing"])
def test_without_a_right_key_nothing_is_answered(keyed: Running, headers: dict[str, str], path: str) -> None:
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    refused = keyed.http.get(path, headers=encoded)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    error = refused.json()["error"]
    assert error["type"] == "authentication_error" if path == "/v1/messages" else error["code"] == "invalid_api_key"


def test_health_needs_no_key_and_then_names_no_model(keyed: Running, open_server: Running) -> None:
    assert keyed.http.get("/health").json() == {"status": "ready", "live": True, "ready": True}
    assert open_server.http.get("/health").json()["models"] == []


def test_keys_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# for the laptop\n{KEY}\n\n  sk-second \n")
    keys = ApiKeys.read(["sk-third"], file)
    assert len(keys) == 3
    assert all(keys.accepts(key) for key in (KEY, "sk-second", "sk-third"))
    assert not any(keys.accepts(key) for key in ("", "# for the laptop", "sk-fourth"))


def test_keys_are_not_shown() -> None:
    settings = ServerSettings(keys=ApiKeys([KEY]))
    assert KEY not in repr(settings)
    assert KEY not in repr(vars(settings.keys))


@pytest.mark.parametrize("key", ["", "two words", "tab\t", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match="API key"):
        ApiKeys([key])


def test_a_missing_or_empty_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        ApiKeys.read([], tmp_path / "none")
    (tmp_path / "empty").write_text("# nothing\n")
    with pytest.raises(UsageError, match="holds no API key"):
        ApiKeys.read([], tmp_path / "empty")


# -- nothing from elsewhere --------------------------------------------------------------------------------------


def test_the_document_is_served_and_no_page_that_loads_scripts_from_elsewhere(open_server: Running) -> None:
    document = open_server.http.get("/openapi.json")
    assert document.status_code == 200
    assert "/health" in document.json()["paths"]
    for path in ("/docs", "/redoc"):
        assert open_server.http.get(path).status_code == 404


@pytest.mark.parametrize("key", ["a", "secret", "0123456789abcde", "aaaaaaaaaaaaaaaaaaaaaaaa"])
def test_a_key_that_can_be_guessed_is_not_enough_beyond_this_machine(key: str) -> None:
    keys = ApiKeys(["a-long-secret-key-for-this-test", key])
    with pytest.raises(UsageError, match="can be guessed"):
        ServerSettings(host="0.0.0.0", keys=keys)
    assert ServerSettings(keys=keys).is_local
    assert ServerSettings(host="0.0.0.0", keys=keys, insecure=True).insecure
