#!/usr/bin/env python3
"""Hearth's server against llama.cpp's: the same GGUF file, the same threads, the same clients, one run, in turns.

    python benchmarks/serve.py .cache/shapes/smollm2-135m-q4_0.gguf --llama-server PATH/llama-server
    python benchmarks/serve.py FILE --llama-server PATH --clients 1 4 16 --prompt 128 --gen 128 --threads 2

Each client asks again as soon as it is answered; prompts are random token ids, never the same twice; answers are drawn
(temperature 1, top-k 40: what random weights say in greedy answers goes round in loops, which guessing would win), they
are streamed and of fixed length. What counts is tokens of answers a second, all clients together, prompts included in
the time. Both servers stay open; one is idle while the other is timed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _load import Reply, Served, ask, clients, percentiles
from _turns import spread, spread_text, take_turns, text_table

HEARTH = "hearth"
LLAMA = "llama-server"


def main() -> None:
    arguments = parsed()
    with tempfile.TemporaryDirectory() as folder:
        servers = {name: Served(name, command, Path(folder) / f"{name}.log") for name, command in sides(arguments)}
        try:
            for server in servers.values():
                server.wait()
            cells = [measure(servers, count, arguments) for count in arguments.clients]
        finally:
            for server in servers.values():
                server.close()
    if arguments.json:
        print(json.dumps(cells))
    else:
        show(cells, arguments)


def sides(arguments: argparse.Namespace) -> list[tuple[str, list[str]]]:
    """Name and command of each server."""
    threads, most = str(arguments.threads), max(arguments.clients)
    context = arguments.prompt + arguments.gen + 8
    hearth = [
        sys.executable, "-c", "from hearth.cli.main import main; main()", "serve", str(arguments.gguf),
        "--port", "PORT", "--threads", threads, "--max-seqs", str(most),
        "--context", str(context), "--log-level", "warning",
    ]  # fmt: skip
    llama = [
        str(arguments.llama_server), "-m", str(arguments.gguf), "--port", "PORT", "-t", threads, "-tb", threads,
        "-np", str(most), "-c", str(context * most), "--no-webui",
    ]  # fmt: skip
    return [(HEARTH, hearth), (LLAMA, llama)]


def measure(servers: dict[str, Served], count: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Turns of so many clients."""
    seen: dict[str, list[Reply]] = {name: [] for name in servers}

    def turn(index: int, name: str) -> float:
        time.sleep(arguments.pause)
        begin = time.perf_counter()
        replies = asyncio.run(load(servers[name], count, f"{count} {index} {name}", arguments))
        seconds = time.perf_counter() - begin
        if index:
            seen[name] += replies
        return sum(reply.tokens for reply in replies) / seconds

    speeds = take_turns(list(servers), arguments.repeat, turn)
    sides = {
        name: {
            "tok_s": spread(speeds[name]),
            "first_s": percentiles([reply.first_s for reply in seen[name]]),
            "between_s": percentiles([gap for reply in seen[name] for gap in reply.between_s]),
        }
        for name in servers
    }
    ratio = statistics.median(speeds[HEARTH]) / statistics.median(speeds[LLAMA])
    return {"clients": count, "sides": sides, "ratio": ratio}


async def load(server: Served, count: int, seed: str, arguments: argparse.Namespace) -> list[Reply]:
    async def work(index: int) -> list[Reply]:
        replies = []
        for number in range(arguments.requests):
            ids = random.Random(f"{seed} {index} {number}").choices(range(1000, arguments.vocab), k=arguments.prompt)
            asked = {"prompt": ids, "max_tokens": arguments.gen, "temperature": 1.0, "top_k": 40, "ignore_eos": True}
            body = {"model": arguments.gguf.stem, **asked}
            reply = await ask(server.port, "/v1/completions", body)
            if reply.error or reply.tokens != arguments.gen:
                raise SystemExit(f"{server.name}: {reply.error or f'{reply.tokens} tokens, not {arguments.gen}'}")
            replies.append(reply)
        return replies

    return [reply for replies in await clients(count, work) for reply in replies]


def show(cells: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    rows = []
    for cell in cells:
        for name, side in cell["sides"].items():
            rows.append(
                [
                    f"{cell['clients']} x {name}",
                    spread_text(side["tok_s"]),
                    f"{1e3 * side['first_s']['p50']:.0f}",
                    f"{1e3 * side['between_s']['p50']:.1f}",
                    f"{1e3 * side['between_s']['p99']:.1f}",
                    f"{cell['ratio']:.2f}" if name == HEARTH else "",
                ]
            )
    print(f"{arguments.gguf.name}, {arguments.threads} threads, {arguments.prompt} tokens in, {arguments.gen} out")
    print(text_table(["clients", "tokens/s", "first ms", "between ms", "p99 ms", "ratio"], rows))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Hearth's server against llama.cpp's, in turns.")
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--llama-server", type=Path, required=True, help="the program")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=128, help="tokens in")
    parser.add_argument("--gen", type=int, default=128, help="tokens out")
    parser.add_argument("--requests", type=int, default=1, help="of each client in a turn")
    parser.add_argument("--repeat", type=int, default=5, help="turns, after one that warms up")
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between turns")
    parser.add_argument("--vocab", type=int, default=40000, help="prompts are drawn of ids below it")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
