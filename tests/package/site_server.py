"""A plain web server for a packaged site, and what a visitor does there."""

from __future__ import annotations

import functools
import http.server
import threading
from collections import Counter
from pathlib import Path
from typing import Any

PROMPT = "Once upon a time, there was a little"
TOKENS = 40
PATIENCE_MS = 120_000


class SiteServer:
    """A web server without any headers of its own. Counts what it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: Counter[str] = Counter()
        self.held = threading.Event()
        self.holds_after: int | None = None
        self.damages: str | None = None
        self._released = threading.Event()
        server = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked[self.path] += 1
                blobs = [path for path in server.asked if path.startswith("/blobs/")]
                if self.path == server.damages:
                    content = bytes(len((folder / self.path.lstrip("/")).read_bytes()))
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                elif server.holds_after is not None and len(blobs) > server.holds_after:
                    self._hold()
                else:
                    super().do_GET()

            def _hold(self) -> None:
                """Sends half of a chunk, and no more until whoever asked has gone."""
                content = (folder / self.path.lstrip("/")).read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])
                self.wfile.flush()
                server.held.set()
                server._released.wait()
                self.close_connection = True

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def release(self) -> None:
        self.holds_after = None
        self._released.set()

    def close(self) -> None:
        self.release()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def begin(page: Any) -> None:
    page.get_by_role("button", name="Load the model").click()


def write(field: Any, text: str) -> None:
    """By the keyboard: Firefox tells a page of a changed field only where somebody has typed."""
    field.press("Control+a")
    field.press_sequentially(text)


def answer(page: Any, prompt: str = PROMPT, box_name: str = "The beginning of a text") -> str:
    """What the model writes greedily once it is there."""
    page.get_by_text("Settings").click()
    write(page.get_by_label("Temperature"), "0")
    write(page.get_by_label("Longest answer"), str(TOKENS))
    box = page.get_by_role("textbox", name=box_name)
    box.fill(prompt)
    box.press("Enter")
    page.get_by_role("button", name="Stop").wait_for(state="detached")
    page.wait_for_function("!document.querySelector('main').matches('[aria-busy=true]')")
    text: str = page.locator(".answer-text, .answer .md").evaluate("element => element.textContent")
    return text


def visit(context: Any, url: str) -> Any:
    page = context.new_page()
    page.goto(url)
    return page
