#!/usr/bin/env python3
"""Hearth in a page against wllama (llama.cpp as WebAssembly): one GGUF, as many threads, the same Chromium, in turns.

    npm install --prefix .cache/wllama @wllama/wllama
    python benchmarks/web.py .cache/shapes/smollm2-135m-q4_0.gguf --wllama .cache/wllama/node_modules/@wllama/wllama

Each side has a tab of its own, which waits while the other is timed. Prints medians, their range, Hearth's ratio, the
time to the first token, how many bytes of program a page loads before the model (gzipped), and what memory the tab and
its workers have in the end, as the browser counts it.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gzip
import http.server
import json
import random
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _turns import spread, spread_text, take_turns, text_table

from hearth.bundle import WASM_LIBRARY
from hearth.compiler import compile_model

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "web" / "runtime" / "dist"
WORDS = ("the", "cat", "sat", "on", "a", "mat", "and", "said", "that", "it", "was", "warm", "there", "today")


class Handler(http.server.SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        # Without them there is one thread alone.
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_arguments: Any) -> None:
        pass


@contextlib.contextmanager
def site(bundle: Path, model: Path, wllama: Path | None) -> Iterator[str]:
    """A web server with both programs and the model for each."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "index.html").write_text("<!doctype html><link rel=icon href=data:,><title>Benchmark</title>")
        links = {"page.js": HERE / "_web_page.js", "hearth": PACKAGE, "bundle": bundle, "model.gguf": model}
        for name, path in (links | ({"wllama": wllama} if wllama else {})).items():
            (root / name).symlink_to(path.resolve())
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        server.server_close()


def prompt_of(side: str, turn: int, count: int) -> list[int] | str:
    """About so many tokens, new each turn: for Hearth ids, for wllama, which takes text, as many short words."""
    draw = random.Random(turn)
    if side == "hearth":
        return draw.choices(range(100, 5000), k=count)
    return " ".join(draw.choices(WORDS, k=count))


def code_bytes(paths: list[Path]) -> int:
    return sum(len(gzip.compress(path.read_bytes())) for path in paths)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    bundle = compile_model(arguments.model, name=arguments.model.name, quant=arguments.quant, target="wasm32")
    with site(bundle, arguments.model, arguments.wllama) as origin, sync_playwright() as driver:
        chromium = arguments.chromium or shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        measured = [measure_on(threads, browser, origin, arguments) for threads in arguments.threads]
        version = browser.version
        browser.close()
    module = bundle / WASM_LIBRARY.format(isa=measured[0]["sides"]["hearth"]["isa"])
    code = {"hearth": code_bytes([*PACKAGE.glob("*.js"), module, bundle / "plan.bin"])}
    if arguments.wllama:
        esm = arguments.wllama / "esm"
        code["wllama"] = code_bytes([esm / "index.min.js", esm / "wasm" / "wllama.wasm"])
    return {"browser": f"Chromium {version}", "measured": measured, "code_bytes": code}


def measure_on(threads: int, browser: Any, origin: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """All sides in turns, on so many threads each."""
    sides = ["hearth", *(["wllama"] if arguments.wllama else [])]
    options = {"isa": arguments.isa, "context": 2 * (arguments.prompt + arguments.gen), "threads": threads}
    pages, about = {}, {}
    for side in sides:
        pages[side] = browser.new_page()
        pages[side].set_default_timeout(600_000)
        pages[side].goto(origin)
        pages[side].evaluate("async () => { globalThis.side = await import('/page.js') }")
        about[side] = pages[side].evaluate("([name, options]) => side.open(name, options)", [side, options])
    speeds: dict[str, dict[str, list[float]]] = {"prefill": {}, "decode": {}}
    first: dict[str, list[float]] = {}

    def turn(index: int, side: str) -> float:
        prompt = prompt_of(side, index, arguments.prompt)
        pages[side].bring_to_front()  # tabs behind others run with less priority
        took = pages[side].evaluate("(args) => side.run(...args)", [prompt, arguments.gen])
        if index:
            speeds["prefill"].setdefault(side, []).append(took["prompt_tokens"] / took["prompt_s"])
            first.setdefault(side, []).append(took["prompt_s"])
        return (took["count"] - 1) / took["generate_s"]

    speeds["decode"] = take_turns(sides, arguments.repeat, turn)
    for side, page in pages.items():
        page.bring_to_front()
        about[side]["memory_bytes"] = page.evaluate("() => side.memory()")
        about[side]["first_token_s"] = spread(first[side])
        page.close()
    rows = [{"what": what, "tok_s": {s: spread(v) for s, v in each.items()}} for what, each in speeds.items()]
    return {"threads": threads, "sides": about, "rows": rows}


def table_of(result: dict[str, Any], measured: dict[str, Any]) -> str:
    sides = list(measured["sides"])
    head = ["tok/s", *(measured["sides"][side]["description"] for side in sides), *["ratio"][: len(sides) - 1]]
    lines = []
    for row in measured["rows"]:
        cells = [row["tok_s"][side] for side in sides]
        ratio = [f"{cells[0]['median'] / cells[1]['median']:.2f}x"] if len(cells) > 1 else []
        lines.append([row["what"], *map(spread_text, cells), *ratio])
    blank = [""] * (len(sides) - 1)
    lines.append(["program, kB", *(f"{result['code_bytes'][side] / 1000:.0f}" for side in sides), *blank])
    lines.append(["first token, s", *(spread_text(measured["sides"][side]["first_token_s"]) for side in sides), *blank])
    lines.append(["memory, MB", *(f"{measured['sides'][side]['memory_bytes'] / 1e6:.0f}" for side in sides), *blank])
    lines.append(["open, s", *(f"{measured['sides'][side]['open_s']:.1f}" for side in sides), *blank])
    return text_table(head, lines)


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare Hearth with wllama in a browser.")
    parser.add_argument("model", type=Path, help="a GGUF file")
    parser.add_argument("--wllama", type=Path, help="folder of the npm package @wllama/wllama; left out: Hearth alone")
    parser.add_argument("--isa", help="Hearth's instruction set: simd128, relaxed; default: the best that runs")
    parser.add_argument("--quant", help="Hearth's number format; default: that of the file")
    parser.add_argument("--prompt", type=int, default=128, help="tokens of the prompt; default: %(default)s")
    parser.add_argument("--gen", type=int, default=64, help="tokens decoded a turn; default: %(default)s")
    parser.add_argument("--threads", default="1", help="of both, one number or several (1,2); default: %(default)s")
    parser.add_argument("--repeat", type=int, default=5, help="turns; default: %(default)s")
    parser.add_argument("--chromium", help="the browser's program; default: the chromium on the path")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    arguments = parser.parse_args(words)
    try:
        arguments.threads = [int(number) for number in arguments.threads.split(",")]
    except ValueError:
        parser.error("--threads takes numbers, such as 1,2")
    if min(arguments.prompt, arguments.gen, arguments.repeat, *arguments.threads) < 1:
        parser.error("numbers of tokens, threads and turns must be at least 1")
    return arguments


def main() -> int:
    arguments = parse()
    result = measure(arguments)
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        for measured in result["measured"]:
            threads = f"{measured['threads']} thread{'s' if measured['threads'] > 1 else ''}"
            print(f"{arguments.model.name}, {threads}, {result['browser']}, median of {arguments.repeat}")
            print(table_of(result, measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
