"""A small hub on this machine: speaks the part of the Hugging Face protocol that downloads use, and fails on demand."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LFS_SUFFIXES = (".safetensors", ".gguf", ".bin", ".pth", ".onnx")
SEND_BYTES = 1 << 16


@dataclass
class Fault:
    """What goes wrong with requests for the contents of `file`, or with `api` requests.

    Attributes:
        file: path in the repository, or "api".
        times: how many requests it strikes.
        cut_after: bytes that are sent before the connection breaks.
        flip: send as many bytes as asked, but other ones.
        status: answer with this HTTP status; `error_code` and `headers` go with it.
        ignore_range: answer a Range request with the whole file.
        pause_s: wait so long after every 64 KiB.
    """

    file: str
    times: int = 10**9
    cut_after: int | None = None
    flip: bool = False
    status: int | None = None
    error_code: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    ignore_range: bool = False
    pause_s: float = 0.0


@dataclass(frozen=True)
class Request:
    """One line of the server's log."""

    method: str
    path: str
    range: str | None
    token: str | None
    host: str


class FakeHub:
    """Holds repositories (`about`: what else is told of them) and a log of requests. Serves inside a `with` block."""

    def __init__(self) -> None:
        self.revisions: dict[tuple[str, str], str] = {}
        self.files: dict[tuple[str, str], dict[str, bytes]] = {}
        self.faults: list[Fault] = []
        self.about: dict[str, dict[str, Any]] = {}
        self.log: list[Request] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> FakeHub:
        # The default poll interval would add half a second to the end of every test.
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def publish(self, repo_id: str, files: dict[str, bytes], revision: str = "main") -> str:
        """A new commit of a repository, to which `revision` points from now on."""
        digest = hashlib.sha1(repo_id.encode())
        for path, content in sorted(files.items()):
            digest.update(path.encode() + content)
        commit = digest.hexdigest()
        self.files[repo_id, commit] = dict(files)
        self.revisions[repo_id, revision] = self.revisions[repo_id, commit] = commit
        return commit

    def gets(self, file: str) -> list[Request]:
        """Requests for the content of a file, redirects to the storage not counted twice."""
        return [r for r in self.log if r.method == "GET" and f"/{file}" in r.path and "/resolve/" in r.path]

    def take_fault(self, file: str) -> Fault | None:
        """The fault that strikes this request, if any."""
        with self._lock:
            for fault in self.faults:
                if fault.file == file and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None


def is_lfs(path: str) -> bool:
    return path.endswith(LFS_SUFFIXES)


def oid(path: str, content: bytes) -> str:
    """The hash by which the hub names a content."""
    if is_lfs(path):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _sibling(path: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": oid("", content)}
    if is_lfs(path):
        entry["lfs"] = {"sha256": oid(path, content), "size": len(content), "pointerSize": 134}
    return entry


def _tree_entry(path: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": oid("", content)}
    if is_lfs(path):
        entry["lfs"] = {"oid": oid(path, content), "size": len(content), "pointerSize": 134}
    return entry


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            path = unquote(urlsplit(self.path).path)
            headers = self.headers
            hub.log.append(
                Request(self.command, path, headers["Range"], headers["Authorization"], headers["Host"] or "")
            )
            if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/(.+?))?", path):
                self._api(match[1], match[2], match[3] or "main")
            elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
                self._resolve(match[1], match[2], match[3])
            elif match := re.fullmatch(r"/storage/([^/]+/[^/]+)/([0-9a-f]{40})/(.+)", path):
                self._content(hub.files[match[1], match[2]][match[3]], match[3], hub.take_fault(match[3]))
            else:
                self._error(404, "")

        def _api(self, repo_id: str, what: str | None, revision: str) -> None:
            fault = hub.take_fault("api")
            if fault is not None and fault.status is not None:
                return self._error(fault.status, fault.error_code, fault.headers)
            commit = self._commit(repo_id, revision)
            if commit is None:
                return None
            files = hub.files[repo_id, commit]
            if what == "tree":
                return self._json([_tree_entry(path, content) for path, content in files.items()])
            siblings = [_sibling(path, content) for path, content in files.items()]
            return self._json(
                {"id": repo_id, "modelId": repo_id, "sha": commit, "siblings": siblings} | hub.about.get(repo_id, {})
            )

        def _commit(self, repo_id: str, revision: str) -> str | None:
            commit = hub.revisions.get((repo_id, revision))
            if commit is None:
                known = any(repo == repo_id for repo, _ in hub.revisions)
                # The hub answers 401 for what does not exist when nobody is signed in.
                self._error(404 if known else 401, "RevisionNotFound" if known else "RepoNotFound")
            return commit

        def _resolve(self, repo_id: str, revision: str, file: str) -> None:
            commit = self._commit(repo_id, revision)
            if commit is None:
                return None
            content = hub.files[repo_id, commit].get(file)
            if content is None:
                return self._error(404, "EntryNotFound")
            extra = {"X-Repo-Commit": commit}
            if is_lfs(file):
                # Contents lie on another host, as at the hub: the token must not follow there.
                extra |= {"X-Linked-Etag": f'"{oid(file, content)}"', "X-Linked-Size": str(len(content))}
                extra["Location"] = f"http://localhost:{hub.port}/storage/{repo_id}/{commit}/{file}"
                return self._head(302, 0, extra)
            extra["ETag"] = f'"{oid(file, content)}"'
            fault = hub.take_fault(file) if self.command == "GET" else None
            return self._content(content, file, fault, extra)

        def _content(self, content: bytes, file: str, fault: Fault | None, extra: dict[str, str] | None = None) -> None:
            fault = fault or Fault(file)
            if fault.status is not None:
                return self._error(fault.status, fault.error_code, fault.headers)
            extra = dict(extra or {})
            start, status = 0, 200
            stop_at = len(content)
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "")
            if match and not fault.ignore_range:
                start, status = int(match[1]), 206
                stop_at = min(int(match[2]) + 1, stop_at) if match[2] else stop_at
                if start >= len(content):
                    return self._error(416, "")
                extra["Content-Range"] = f"bytes {start}-{stop_at - 1}/{len(content)}"
            body = content[start:stop_at]
            body = bytes(b ^ 0x55 for b in body) if fault.flip else body
            self._head(status, len(body), extra)
            if self.command == "HEAD":
                return None
            stop = len(body) if fault.cut_after is None else fault.cut_after
            try:
                for at in range(0, stop, SEND_BYTES):
                    self.wfile.write(body[at : min(at + SEND_BYTES, stop)])
                    time.sleep(fault.pause_s)
            except (BrokenPipeError, ConnectionResetError):  # the client went away, as some tests want it to
                self.close_connection = True
            if stop < len(body):
                self.close_connection = True
            return None

        def _json(self, value: Any) -> None:
            body = json.dumps(value).encode()
            self._head(200, len(body), {"Content-Type": "application/json"})
            self.wfile.write(body)

        def _error(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
            self._head(status, 0, {**(headers or {}), **({"X-Error-Code": code} if code else {})})

        def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(length))
            self.end_headers()

    return Handler
