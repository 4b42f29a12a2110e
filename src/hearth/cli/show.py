"""`hearth show MODEL`: what a model is and what memory it needs, without compiling it."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from hearth.cli.options import FORMATS, examples


@click.command("show", epilog=examples("hearth show starter", "hearth show Qwen/Qwen3-0.6B --context 32768 --quant q8"))
@click.argument("model")
@click.option("--context", type=int, help="Tokens to compute the memory for [the model's, up to 8192].")
@click.option("--quant", type=click.Choice(FORMATS), help="Number format to compute the memory for.")
@click.option("--head", type=click.Choice(FORMATS), help="The same for embedding and head.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(model: str, context: int | None, quant: str | None, head: str | None, as_json: bool) -> None:
    """Show what MODEL is: family, parameters, formats, context, and the memory that it needs.

    The model must be on this disk; nothing is downloaded.
    """
    from hearth.cli.table import print_facts
    from hearth.errors import UsageError
    from hearth.hub import resolve
    from hearth.measure import describe
    from hearth.runtime.memory import available_bytes
    from hearth.units import format_bytes

    if context is not None and context < 1:
        raise UsageError(f"A context of {context} tokens is not possible.")
    about = describe(resolve(model, offline=True), context=context, quant=quant, head=head)
    if as_json:
        data = asdict(about) | {"path": str(about.path), "memory_bytes": about.memory_bytes}
        click.echo(json.dumps(data, ensure_ascii=False))
        return
    source = ", ".join(f"{name} {100 * share:.0f}%" for name, share in about.source_formats.items())
    template = {True: "its own", False: "none: a known format is guessed", None: "no tokenizer"}[about.chat_template]
    free = available_bytes()
    facts = [
        ("model", about.name),
        ("path", str(about.path)),
        ("kind", about.kind),
        ("family", about.family),
        ("parameters", f"{_count(about.parameters)} in {about.layers} layers, vocabulary {about.vocab_size}"),
        ("published as", f"{source} ({format_bytes(about.source_bytes)})" if source else ""),
        ("compiled as", about.formats),
        ("chat template", template),
        ("context", f"{about.context_max} tokens at most"),
        (
            "memory",
            f"{format_bytes(about.memory_bytes)} with {about.context} tokens of context: weights"
            f" {format_bytes(about.weights_bytes)}, keys and values {format_bytes(about.kv_bytes)}",
        ),
        ("free memory", format_bytes(free) if free is not None else ""),
    ]
    print_facts([fact for fact in facts if fact[1]])


def _count(number: int) -> str:
    for size, unit in ((10**9, "billion"), (10**6, "million")):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return str(number)
