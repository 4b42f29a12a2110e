"""`hearth batch IN.jsonl OUT.jsonl`: many requests from a file, their answers to a file."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hearth.cli.cluster import ray_options
from hearth.cli.options import device_options, examples, format_options, lora_options, source_options
from hearth.cli.serving import Size, check_installed
from hearth.units import counted

if TYPE_CHECKING:
    from hearth.batch import Answerer, BatchInput, BatchOutput, BatchProgress
    from hearth.server.models import ModelSettings

EXIT_SOME_FAILED = 1
EXIT_INTERRUPTED = 130
_LINE_EVERY_S = 10.0
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(
    "batch",
    epilog=examples(
        "hearth batch questions.jsonl answers.jsonl",
        "hearth batch questions.jsonl answers.jsonl --model Qwen/Qwen3-0.6B --max-seqs 32",
        "hearth batch questions.jsonl answers.jsonl --model MODEL --ray --replicas 4",
    ),
)
@click.argument("source", type=_FILE, metavar="IN.jsonl")
@click.argument("target", type=_FILE, metavar="OUT.jsonl")
@click.option("--model", metavar="MODEL", help="Answers all of it, whatever the lines name [the one that they name].")
@click.option("--max-seqs", type=int, default=16, show_default=True, help="Answers computed at once.")
@click.option("--context", type=int, help="Tokens of prompt and answer together [the model's, up to 8192].")
@click.option("--threads", type=int, help="Threads that compute [physical cores this process may use].")
@device_options
@click.option("--memory", type=Size(), help="What the model may take [what is free].")
@click.option("--restart", is_flag=True, help="Drop what OUT.jsonl holds, and begin anew.")
@lora_options
@format_options
@source_options
@ray_options
def command(source: Path, target: Path, model: str | None, restart: bool, **options: Any) -> int:
    """Answer a batch of requests in OpenAI's batch format.

    Each line of IN.jsonl is {"custom_id": ..., "method": "POST", "url": "/v1/chat/completions", "body": {...}}; urls
    may also be /v1/completions, /v1/embeddings and /v1/responses. Answers are appended to OUT.jsonl as they are
    finished. A run that was stopped or killed goes on where it ended when the same command is given again. A request
    that fails has its error as its answer; the exit code is then 1.
    """
    check_installed()
    from hearth.adapters import given_adapters
    from hearth.batch import BatchOutput, RunRecord, read_batch
    from hearth.errors import UsageError
    from hearth.server.models import ModelSettings, model_id

    if target.exists() and source.exists() and target.samefile(source):
        raise UsageError("IN.jsonl and OUT.jsonl are the same file.")
    batch = read_batch(source)
    # A file's content never has anything downloaded: what the lines name must be here already.
    options["offline"] |= model is None
    name = model or _named(batch)
    adapters = given_adapters(options["lora"])
    formats = {key: options[key] for key in ("context", "quant", "head", "precision", "kv")}
    settings = ModelSettings(
        memory_bytes=options["memory"],
        max_seqs=options["max_seqs"],
        threads=options["threads"],
        device=options["device"],
        gpu_layers=options["gpu_layers"],
        offline=options["offline"],
        trust_bundle=options["trust_bundle"],
        adapters=tuple((adapter, place, scale) for adapter, (place, scale) in adapters.items()),
        **formats,
    )
    asked = ":".join([model_id(name), *list(adapters)[:1]])
    answering = next(iter(adapters.values()), None)
    lora = {"lora": f"{answering[0]}:{answering[1]:g}"} if answering else {}
    record = RunRecord(batch.sha256, asked, formats | lora)
    custom_ids = {entry.custom_id for entry in batch.entries}
    with BatchOutput(target, record, custom_ids, restart=restart) as output:
        before = len(output.finished)
        if before < len(batch.entries):
            if before:
                click.echo(f"{before} of {counted(len(batch.entries), 'request')} answered already.", err=True)
            stopped = asyncio.run(_run(batch, output, (name, asked), settings, options))
            if stopped:
                left = len(batch.entries) - len(output.finished)
                click.echo(
                    f"Stopped; {left} of {counted(len(batch.entries), 'request')} left. The same command goes on.",
                    err=True,
                )
                return EXIT_INTERRUPTED
        return _summary(output, before)


def _named(batch: BatchInput) -> str:
    """The model that the lines name.

    Raises:
        UsageError: they name several.
    """
    from hearth.errors import UsageError

    if len(batch.models) > 1:
        named = ", ".join(batch.models[:5]) + (", ..." if len(batch.models) > 5 else "")
        raise UsageError(f"The lines of {batch.path} name several models: {named}.", hint="Say which: --model MODEL.")
    return batch.model or "starter"


async def _run(
    batch: BatchInput, output: BatchOutput, names: tuple[str, str], settings: ModelSettings, options: dict[str, Any]
) -> bool:
    """Answers what is left; whether it was stopped by a signal. `names`: of the model, and as requests name it."""
    from hearth.batch import run_batch

    name, asked = names
    with _stopping_signals() as stopped:
        try:
            async with _answerer(name, settings, options) as answerer:
                output.set_fingerprint(answerer.fingerprint)
                with _showing() as told:
                    await run_batch(batch, output, answerer, model=asked, told=told)
        except asyncio.CancelledError:
            if not stopped():
                raise
    return stopped()


@asynccontextmanager
async def _answerer(name: str, settings: ModelSettings, options: dict[str, Any]) -> AsyncIterator[Answerer]:
    from hearth.batch.local import local_answerer
    from hearth.cli.progress import showing_progress

    if options["ray"]:
        from hearth.server.ray.cluster import compile_first, prepare_ray

        prepare_ray(options["ray_address"])
        from hearth.batch.ray import ray_answerer

        count, address = options["replicas"] or 2, options["ray_address"]
        if address is None:
            with showing_progress() as progress:
                compile_first([name], settings, progress)
        click.echo(f"Starting {count} engines ...", err=True)
        async with ray_answerer(name, settings, count, address) as spread:
            yield spread
        return
    with showing_progress() as progress:
        opening = local_answerer(name, settings, progress)
        answerer = await opening.__aenter__()
    try:
        yield answerer
    finally:
        await opening.__aexit__(None, None, None)


@contextmanager
def _stopping_signals() -> Iterator[Callable[[], bool]]:
    """While it lasts, SIGINT and SIGTERM cancel the task; a second one ends the process. Gives whether one came."""
    task, came = asyncio.current_task(), []
    loop = asyncio.get_running_loop()
    before = {}

    def stop(number: int, _: object) -> None:
        came.append(number)
        if len(came) > 1:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        assert task is not None
        loop.call_soon_threadsafe(task.cancel)

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError):  # not in the main thread
            before[number] = signal.signal(number, stop)
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _summary(output: BatchOutput, before: int) -> int:
    failed = sum(not ok for ok in output.finished.values())
    count = len(output.finished)
    if failed:
        click.echo(
            f"{count - failed} of {counted(count, 'request')} answered, {failed} failed: {output.path} says why.",
            err=True,
        )
        return EXIT_SOME_FAILED
    click.echo(f"{counted(count, 'request')} answered{' already' if before == count else ''}: {output.path}", err=True)
    return 0


@contextmanager
def _showing() -> Iterator[Callable[[BatchProgress], None]]:
    """Progress on standard error: a bar on a terminal, a line every ten seconds elsewhere."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("Answering"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rest]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=None, rest="")
        yield lambda now: bars.update(task, completed=now.done, total=now.total, rest=_rest(now))


class _Lines:
    def __init__(self) -> None:
        self._next = time.monotonic() + _LINE_EVERY_S

    def __call__(self, now: BatchProgress) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_EVERY_S
            click.echo(f"{now.done}/{now.total} {_rest(now)}", err=True)


def _rest(now: BatchProgress) -> str:
    parts = [f"{now.tokens_per_s:.0f} tokens/s"]
    if now.failed:
        parts.append(f"{now.failed} failed")
    if now.left_s is not None:
        seconds = round(now.left_s)
        hours, minutes = seconds // 3600, seconds // 60 % 60
        parts.append(f"{hours}:{minutes:02}:{seconds % 60:02} left")
    return ", ".join(parts)
