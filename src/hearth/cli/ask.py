"""`hearth ask MODEL "..."`: one question, one answer; the question may come from a pipe."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from hearth.cli.inputs import piped_text, read_file, read_pictures, readable
from hearth.cli.options import (
    examples,
    image_options,
    lora_options,
    open_llm,
    open_options,
    sampling,
    sampling_options,
    speculation_options,
    template_options,
    thinking_options,
)
from hearth.cli.terminal import tell
from hearth.errors import ContextFull, HearthError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hearth.chat.answer import Completion
    from hearth.llm import LLM

MAX_FORMAT_CHARS = 1 << 20  # what is longer is refused anyway


@click.command(
    "ask",
    epilog=examples(
        'hearth ask starter "What is the capital of France?" --stats',
        'cat notes.txt | hearth ask Qwen/Qwen3-0.6B "Summarise these notes:"',
        'hearth ask ./model.gguf "Name three rivers." --json --temperature 0',
        'hearth ask Qwen/Qwen3-0.6B "Ada, 36, London" --json-schema person.json',
        'hearth ask HuggingFaceTB/SmolVLM-500M-Instruct "What is this?" --image photo.jpg',
    ),
)
@click.argument("model")
@click.argument("prompt", nargs=-1)
@click.option("--system", metavar="TEXT", help="Instructions that stand before the question.")
@click.option("--raw", is_flag=True, help="Carry the text on as it is, without a chat format.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end instead of streaming text.")
@click.option("--json-schema", metavar="FILE", help="Keep the answer to the JSON schema in FILE.")
@click.option("--grammar", metavar="FILE", help="Keep the answer to the grammar (Lark) in FILE.")
@click.option("--stats", is_flag=True, help="Say on standard error how many tokens it took and how fast.")
@sampling_options
@thinking_options
@image_options
@lora_options
@template_options
@speculation_options
@open_options
def command(
    model: str,
    prompt: tuple[str, ...],
    system: str | None,
    raw: bool,
    as_json: bool,
    json_schema: str | None,
    grammar: str | None,
    stats: bool,
    images: tuple[str, ...],
    **options: Any,
) -> None:
    """Ask MODEL one question and print its answer.

    What comes through a pipe is added after PROMPT, or is the question if there is none. Only the answer goes to
    standard output.
    """
    text = _question(prompt)
    if raw and system:
        raise UsageError("--raw carries a text on as it is: there is no place for --system.")
    wanted = response_format(json_schema, grammar)
    pictures = read_pictures(images)
    with open_llm(model, options, to_chat=not raw) as llm:
        if model == "starter" and (stats or sys.stderr.isatty()):
            _banner()
        with _named_by(json_schema or grammar):
            done = _answer(llm, text, pictures, system, raw, as_json, wanted, options)
    if stats:
        from hearth.cli.printer import stats_line

        tell(stats_line(done))
    if done.finish_reason == "context":
        raise ContextFull(
            "The answer was cut: prompt and answer fill the context.",
            hint="Use a larger --context, a shorter prompt, or --context-overflow slide.",
        )


def response_format(json_schema: str | None, grammar: str | None) -> dict[str, Any] | None:
    """What the files say that the answer must keep to; checked without a model.

    Raises:
        UsageError: both are given, or one cannot be read or used.
    """
    if json_schema is None and grammar is None:
        return None
    if json_schema is not None and grammar is not None:
        raise UsageError("--json-schema and --grammar are both given.", hint="Leave one of them out.")
    wanted: dict[str, Any]
    if json_schema is not None:
        try:
            schema = json.loads(read_file(json_schema, limit=MAX_FORMAT_CHARS))
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{json_schema} is not JSON.", why=f"{error}.") from error
        wanted = {"type": "json_schema", "json_schema": {"schema": schema}}
    else:
        wanted = {"type": "grammar", "grammar": read_file(grammar or "", limit=MAX_FORMAT_CHARS)}
    from hearth.chat.structured import checked_format

    with _named_by(json_schema or grammar):
        checked_format(wanted)
    return wanted


@contextlib.contextmanager
def _named_by(file: str | None) -> Iterator[None]:
    """What is wrong with a form is told of the file that it came from: nobody typed the fields of a request."""
    try:
        yield
    except HearthError as error:
        if file is None or not error.what.startswith("response_format."):
            raise
        _, _, what = error.what.partition("response_format.")
        inside = what.removeprefix("json_schema.schema").removeprefix("json_schema").removeprefix("grammar")
        told = f"{file}: {inside[1:]}" if inside.startswith((".", ":")) else f"{file}{inside}"
        raise type(error)(told, why=error.why, hint=error.hint) from error


def _answer(
    llm: LLM,
    text: str,
    pictures: Sequence[NDArray[np.uint8]],
    system: str | None,
    raw: bool,
    as_json: bool,
    wanted: dict[str, Any] | None,
    options: dict[str, Any],
) -> Completion:
    from hearth.cli.printer import AnswerPrinter, tell_ending

    settings = {**sampling(options), "response_format": wanted}
    if raw:
        given = {k: v for k, v in settings.items() if v is not None}
        stream = llm.generate(text, stream=True, images=pictures, **given)
    else:
        messages: list[dict[str, Any]] = []
        if system:
            messages.append({"role": "system", "content": readable(system, "--system")})
        parts = [{"type": "image", "image": picture} for picture in pictures]
        messages.append({"role": "user", "content": [*parts, {"type": "text", "text": text}] if parts else text})
        thinking = False if options["no_thinking"] else None
        stream = llm.chat(messages, stream=True, thinking=thinking, **settings)
    if as_json:
        done = stream.read()
        click.echo(json.dumps(_as_json(llm, done), ensure_ascii=False))
    else:
        AnswerPrinter(options["thinking"]).print(stream)
        assert stream.completion is not None
        done = stream.completion
    tell_ending(done)
    return done


def _as_json(llm: LLM, done: Completion) -> dict[str, Any]:
    return {
        "model": llm.info.name,
        "text": done.text,
        "thinking": done.thinking,
        "finish_reason": done.finish_reason,
        "usage": asdict(done.usage),
        "first_token_ms": round(done.timings.first_token_s * 1e3, 3),
        "prefill_tok_s": _rounded(done.prefill_tok_s),
        "decode_tok_s": _rounded(done.decode_tok_s),
        "notices": list(done.notices),
    }


def _rounded(speed: float | None) -> float | None:
    return None if speed is None else round(speed, 3)


def _banner() -> None:
    from hearth.cli.printer import STARTER_BANNER

    tell(STARTER_BANNER, dim=True)


def _question(words: tuple[str, ...]) -> str:
    parts = [readable(" ".join(words), "The question"), piped_text(wait=not words)]
    text = "\n\n".join(part for part in parts if part.strip())
    if not text:
        raise UsageError("There is no question.", hint='Give one: hearth ask starter "What is the capital of France?"')
    return text
