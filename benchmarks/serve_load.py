#!/usr/bin/env python3
"""Many clients at once for minutes: errors, memory, fairness and times of `hearth serve`.

    python benchmarks/serve_load.py
    python benchmarks/serve_load.py --model MODEL --clients 64 --seconds 120 --max-seqs 16

Each client holds conversations of several turns, streamed, of random lengths, and asks again as soon as it is answered.
Answers are drawn at temperature 1.5, so that they hardly repeat anything: guessed tokens make a stream several times as
fast, for what it says and not for its share (`--temperature 0.7` shows that).
Memory is the server's resident set, once a second; its growth is told from a quarter of the time on, when all is warm.
Fairness is the slowest client's tokens against the median client's, and the slowest stream's speed against the median
stream's. Exit code 1: there was an error, memory grew, or the slowest got less than half of the median.
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

_TOPICS = ("rivers", "bread", "the moon", "trains", "winter", "glass", "honey", "maps", "music", "stones")


def main() -> None:
    arguments = parsed()
    command = [
        sys.executable, "-c", "from hearth.cli.main import main; main()", "serve", arguments.model, "--port", "PORT",
        "--max-seqs", str(arguments.max_seqs), "--max-waiting", str(arguments.clients), "--log-level", "warning",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "serve.log"
        server = Served("hearth", command, log)
        try:
            server.wait()
            replies, memory, seconds = asyncio.run(load(server, arguments))
        finally:
            server.close()
        log_lines = log.read_text().splitlines()
    faults = [line for line in log_lines if " ERROR " in line or " WARNING " in line]
    result = summary(replies, memory, seconds) | {"log_faults": faults[:10]}
    print(json.dumps(result, indent=1) if arguments.json else text(result, arguments))
    sys.exit(0 if passed(result, arguments) else 1)


async def load(server: Served, arguments: argparse.Namespace) -> tuple[list[list[Reply]], list[float], float]:
    """Replies of each client, megabytes once a second, seconds it took."""
    begin = time.perf_counter()
    end = begin + arguments.seconds
    memory: list[float] = []

    async def watch() -> None:
        while True:
            memory.append(server.memory_mb)
            await asyncio.sleep(1)

    async def work(index: int) -> list[Reply]:
        draw, replies = random.Random(index), []
        messages: list[dict[str, str]] = []
        while time.perf_counter() < end:
            if len(messages) > 6:
                messages = []
            topic = f"{draw.choice(_TOPICS)}, number {draw.randrange(10**6)}"
            messages.append({"role": "user", "content": f"Tell me something about {topic}."})
            length = draw.randint(arguments.gen // 2, arguments.gen * 3 // 2)
            asked = {"messages": messages, "max_tokens": length, "seed": draw.randrange(2**31)}
            drawn = {"temperature": arguments.temperature, "top_p": 1.0, "ignore_eos": True}
            body = {"model": arguments.model, **asked, **drawn}
            reply = await ask(server.port, "/v1/chat/completions", body)
            replies.append(reply)
            messages.append({"role": "assistant", "content": f"I know a lot about {topic}."})
        return replies

    watching = asyncio.create_task(watch())
    replies = await clients(arguments.clients, work)
    watching.cancel()
    return replies, memory, time.perf_counter() - begin


def summary(replies: list[list[Reply]], memory: list[float], seconds: float) -> dict[str, Any]:
    every = [reply for one in replies for reply in one]
    good = [reply for reply in every if not reply.error]
    totals = [sum(reply.tokens for reply in one if not reply.error) for one in replies]
    speeds = [reply.tok_s for reply in good]
    warm = memory[len(memory) // 4 :]
    third = max(1, len(warm) // 3)
    return {
        "requests": len(every),
        "errors": len(every) - len(good),
        "first_errors": [reply.error for reply in every if reply.error][:5],
        "tok_s": sum(totals) / seconds,
        "first_s": percentiles([reply.first_s for reply in good]),
        "between_s": percentiles([gap for reply in good for gap in reply.between_s]),
        "client_tokens": {"min": min(totals), "median": statistics.median(totals), "max": max(totals)},
        "client_fairness": min(totals) / statistics.median(totals),
        "stream_tok_s": {"min": min(speeds), "median": statistics.median(speeds), "max": max(speeds)},
        "stream_fairness": min(speeds) / statistics.median(speeds),
        "memory_mb": {"warm": warm[0], "end": warm[-1], "max": max(warm)},
        "memory_growth": statistics.fmean(warm[-third:]) / statistics.fmean(warm[:third]) - 1,
    }


def passed(result: dict[str, Any], arguments: argparse.Namespace) -> bool:
    fair = min(result["client_fairness"], result["stream_fairness"]) >= 0.5
    return not result["errors"] and fair and result["memory_growth"] < arguments.max_growth


def text(result: dict[str, Any], arguments: argparse.Namespace) -> str:
    ms = {name: {key: 1e3 * value for key, value in result[name].items()} for name in ("first_s", "between_s")}
    lines = [
        f"{arguments.model}: {arguments.clients} clients, {arguments.max_seqs} at once, {arguments.seconds:.0f} s",
        f"requests {result['requests']}, errors {result['errors']} {result['first_errors'] or ''}",
        f"tokens/s {result['tok_s']:.0f}",
        "first token ms: " + ", ".join(f"{key} {value:.0f}" for key, value in ms["first_s"].items()),
        "between tokens ms: " + ", ".join(f"{key} {value:.1f}" for key, value in ms["between_s"].items()),
        "tokens of a client: {min}, median {median:.0f}, most {max}".format(**result["client_tokens"])
        + f"; least to median {result['client_fairness']:.2f}",
        "tokens/s of a stream: {min:.1f}, median {median:.1f}, most {max:.1f}".format(**result["stream_tok_s"])
        + f"; least to median {result['stream_fairness']:.2f}",
        "memory MB: warm {warm:.0f}, end {end:.0f}, most {max:.0f}".format(**result["memory_mb"])
        + f"; growth {100 * result['memory_growth']:+.2f} %",
        *(f"log: {line}" for line in result["log_faults"]),
    ]
    return "\n".join(lines)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Many clients at once for minutes.")
    parser.add_argument("--model", default="starter")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--gen", type=int, default=64, help="tokens of an answer: half to one and a half of it")
    parser.add_argument("--temperature", type=float, default=1.5)
    parser.add_argument("--max-seqs", type=int, default=16)
    parser.add_argument("--max-growth", type=float, default=0.02, help="of the memory")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
