"""`hearth run MODEL [PROMPT]`: the verb of other programs: asks where there is a question, else chats."""

from __future__ import annotations

from typing import Any

import click

from hearth.cli import ask, chat
from hearth.cli.inputs import has_piped_text
from hearth.cli.options import (
    examples,
    image_options,
    lora_options,
    open_options,
    sampling_options,
    speculation_options,
    template_options,
    thinking_options,
)


@click.command(
    "run",
    epilog=examples(
        "hearth run Qwen/Qwen3-0.6B",
        'hearth run ./model.gguf "Why is the sky blue?"',
        "hearth run starter < question.txt",
        'hearth run HuggingFaceTB/SmolVLM-500M-Instruct "What is this?" --image photo.jpg',
    ),
)
@click.argument("model", default="starter")
@click.argument("prompt", nargs=-1)
@click.option("--system", metavar="TEXT", help="Instructions for the whole conversation.")
@click.option("--stats", is_flag=True, help="Tell tokens and speed after every answer.")
@sampling_options
@thinking_options
@image_options
@lora_options
@template_options
@speculation_options
@open_options
@click.pass_context
def command(ctx: click.Context, /, prompt: tuple[str, ...], **options: Any) -> None:
    """Ask MODEL the PROMPT, or what comes through a pipe; without either, talk with it.

    The same as `hearth ask` and `hearth chat`, which have more options.
    """
    if prompt or has_piped_text():
        ctx.invoke(ask.command, prompt=prompt, **options)
    else:
        ctx.invoke(chat.command, **{**options, "system": options["system"] or ""})
