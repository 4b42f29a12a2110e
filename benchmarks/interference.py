"""What a long prompt does to a stream that is running: times between its tokens before and while the prompt is read.

    python benchmarks/interference.py starter
    python benchmarks/interference.py .cache/shapes/smollm2-135m-q4_0.gguf --streams 4

`--unpaced` shows what it would be like if prompts were read in chunks as large as a forward takes.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from hearth import LLM
from hearth.engine import Engine, Pace, Request, SamplingParams


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--prompt", type=int, default=2000, help="tokens of the prompt that arrives")
    parser.add_argument("--streams", type=int, default=1, help="that are running")
    parser.add_argument("--tokens", type=int, default=100, help="of each stream before the prompt arrives")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--unpaced", action="store_true")
    options = parser.parse_args()
    context = options.prompt + 64
    with LLM(options.model, context=context, threads=options.threads, max_seqs=options.streams + 1) as llm:
        engine = Engine(
            llm.session, context=llm.info.context, prefix_cache=False, pace=None if options.unpaced else Pace()
        )
        measure(engine, llm.info.vocab_size, options)


def measure(engine: Engine, vocab_size: int, options: argparse.Namespace) -> None:
    """Prints each round's times; the first round is a warm-up."""
    rng = np.random.default_rng(0)
    print(
        f"{options.model}: {options.streams} streams, a prompt of {options.prompt} tokens; ms between a stream's tokens"
    )
    for number in range(options.rounds + 1):
        streams = [start(engine, rng, vocab_size, 16, None) for _ in range(options.streams)]
        before = gaps(engine, streams, lambda count: count >= options.tokens)
        arrived = time.perf_counter()
        late = start(engine, rng, vocab_size, options.prompt, 1)
        during = gaps(engine, streams, lambda count, late=late: not is_there(engine, late))
        prompt_s = time.perf_counter() - arrived
        for stream in streams:
            engine.cancel(stream)
        while engine.step():
            pass
        if number:
            report(before, during, prompt_s)


def start(engine: Engine, rng: np.random.Generator, vocab_size: int, length: int, max_tokens: int | None) -> int:
    params = SamplingParams(temperature=0, max_tokens=max_tokens, ignore_eos=True)
    return engine.add(Request(prompt_ids=rng.integers(0, vocab_size, length).tolist(), params=params))


def is_there(engine: Engine, request_id: int) -> bool:
    return request_id in engine._ledger.sequences


def gaps(engine: Engine, streams: list[int], done: object) -> np.ndarray:
    """Seconds between the tokens of each stream, until `done` of the number of tokens of the last one."""
    last: dict[int, float] = {}
    found: list[float] = []
    count = 0
    while not done(count):  # type: ignore[operator]
        events = engine.step()
        now = time.perf_counter()
        for event in events:
            if event.id in streams:
                if event.id in last:
                    found.append(now - last[event.id])
                last[event.id] = now
                count += event.id == streams[-1]
    return np.array(found)


def report(before: np.ndarray, during: np.ndarray, prompt_s: float) -> None:
    def told(values: np.ndarray) -> str:
        median, high, worst = np.percentile(values, [50, 95, 100]) * 1e3
        return f"median {median:6.2f}, 95 % {high:6.2f}, worst {worst:6.2f}"

    median, high = (np.percentile(during, share) / np.median(before) for share in (50, 95))
    print(f"  before: {told(before)}   during: {told(during)}   ratio: {median:.2f}, 95 % {high:.2f}", end="")
    print(f"   prompt read in {prompt_s:.2f} s")


if __name__ == "__main__":
    main()
