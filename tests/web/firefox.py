#!/usr/bin/env python3
"""Firefox as one more browser of Playwright, over WebDriver BiDi.

Playwright speaks a command of colour schemes that Firefox 153 does not know, and takes a refusal for a failure. Run as
a program, in the browser's place, this file starts Firefox and stands between the two: that command becomes one without
an effect. It goes once Debian's Firefox knows it.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
from typing import Any

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")

_UNKNOWN = "emulation.setMediaFeaturesOverride"
_HARMLESS = "session.status"


def launch_firefox(browser_type: Any, preferences: dict[str, Any] | None = None) -> Any:
    """Playwright's browser, with some of what about:config has.

    Args:
        browser_type: Playwright's, of Firefox.
    """
    preferences = preferences or {}
    return browser_type.launch(executable_path=__file__, channel="moz-firefox", firefox_user_prefs=preferences)


def _main() -> int:
    assert FIREFOX is not None
    browser = subprocess.Popen([FIREFOX, *sys.argv[1:]], stderr=subprocess.PIPE, text=True)
    assert browser.stderr is not None
    for line in browser.stderr:
        told = re.search(r"WebDriver BiDi listening on ws://127\.0\.0\.1:(\d+)", line)
        if told:
            line = line.replace(told[1], str(_stand_before(int(told[1]))))
        sys.stderr.write(line)
        sys.stderr.flush()
    return browser.wait()


def _stand_before(port: int) -> int:
    """Answers the port at which Firefox is to be spoken to."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            client, _ = server.accept()
            browser = socket.create_connection(("127.0.0.1", port))
            threading.Thread(target=_answers, args=(browser, client), daemon=True).start()
            threading.Thread(target=_commands, args=(client, browser), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return int(server.getsockname()[1])


def _answers(source: socket.socket, target: socket.socket) -> None:
    while content := source.recv(1 << 16):
        target.sendall(content)
    target.close()


def _commands(source: socket.socket, target: socket.socket) -> None:
    """The client's frames (RFC 6455): each a whole message, masked."""
    with source.makefile("rb") as stream:
        while (line := stream.readline()) not in (b"\r\n", b""):
            # Firefox looks whether it was meant.
            is_host = line.lower().startswith(b"host:")
            target.sendall(b"Host: 127.0.0.1:%d\r\n" % target.getpeername()[1] if is_host else line)
        target.sendall(b"\r\n")
        while head := stream.read(2):
            length = head[1] & 0x7F
            if length > 125:
                length = int.from_bytes(stream.read(2 if length == 126 else 8), "big")
            mask, payload = stream.read(4), stream.read(length)
            target.sendall(_frame(head[0], mask, _harmless(_masked(payload, mask))))
    target.close()


def _masked(payload: bytes, mask: bytes) -> bytes:
    key = int.from_bytes(mask * (len(payload) // 4 + 1), "big") >> 8 * (4 - len(payload) % 4)
    return (int.from_bytes(payload, "big") ^ key).to_bytes(len(payload), "big")


def _frame(first: int, mask: bytes, payload: bytes) -> bytes:
    size = len(payload)
    length = (
        bytes([0x80 | size])
        if size < 126
        else b"\xfe" + struct.pack(">H", size)
        if size < 1 << 16
        else b"\xff" + struct.pack(">Q", size)
    )
    return bytes([first]) + length + mask + _masked(payload, mask)


def _harmless(message: bytes) -> bytes:
    if _UNKNOWN.encode() not in message:
        return message
    command = json.loads(message)
    if command.get("method") != _UNKNOWN:
        return message
    return json.dumps(command | {"method": _HARMLESS, "params": {}}).encode()


if __name__ == "__main__":
    sys.exit(_main())
