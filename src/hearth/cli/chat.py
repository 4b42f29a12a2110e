"""`hearth chat [MODEL]`: a conversation in the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from hearth.cli.inputs import read_pictures, readable
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


@click.command(
    "chat",
    epilog=examples(
        "hearth chat",
        'hearth chat Qwen/Qwen3-0.6B --system "You are a patient teacher."',
        "hearth chat ./model.gguf --template chatml --context-overflow slide",
    ),
)
@click.argument("model", default="starter")
@click.option("--system", default="", metavar="TEXT", help="Instructions for the whole conversation.")
@click.option("--load", type=click.Path(path_type=Path), metavar="FILE", help="Go on with a saved conversation.")
@click.option("--stats", is_flag=True, help="Tell tokens and speed after every answer.")
@sampling_options
@thinking_options
@image_options
@lora_options
@template_options
@speculation_options
@open_options
def command(
    model: str, system: str, load: Path | None, stats: bool, images: tuple[str, ...] = (), **options: Any
) -> None:
    """Talk with MODEL; the starter model if none is named.

    /help inside lists the commands. Ctrl-C stops an answer, Ctrl-D leaves. Nothing leaves this machine. Chat formats
    for --template: alpaca, chatml, command-r, deepseek2, deepseek3, gemma, granite, llama2, llama3, mistral-v1,
    mistral-v11-tekken, mistral-v13-tekken, mistral-v3, mistral-v3-tekken, mistral-v7, mistral-v7-tekken, olmo2, phi3,
    phi4, rwkv-world, vicuna, zephyr.
    """
    from hearth.cli.keyboard import lines
    from hearth.cli.printer import STARTER_BANNER, AnswerPrinter
    from hearth.cli.talk import Talk

    read_pictures(images)  # what is none is told before the model is opened
    with open_llm(model, options, to_chat=True) as llm:
        talk = Talk(
            llm,
            AnswerPrinter(options["thinking"]),
            system=readable(system, "--system"),
            sampling=sampling(options),
            thinking=False if options["no_thinking"] else None,
            show_stats=stats,
        )
        if load is not None:
            from hearth.chat.conversation import Conversation

            talk.conversation = Conversation.load(load)
        for image in images:
            talk.attach(image)
        info = llm.info
        click.echo(f"{info.name} ({info.manifest.quant}), context {info.context} tokens. /help for help.", err=True)
        if model == "starter":
            tell(STARTER_BANNER, dim=True)
        for line in lines(talk.commands):
            if not talk.handle(readable(line, "Your message")):
                break
        if sys.stdin.isatty():
            click.echo("Good-bye.", err=True)
