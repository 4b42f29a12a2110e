"""`hearth show MODEL`: what a model is and what memory it needs, without compiling it."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from hearth.cli.options import FORMATS, examples
from hearth.cli.terminal import note


@click.command("show", epilog=examples("hearth show starter", "hearth show Qwen/Qwen3-0.6B --context 32768 --quant q8"))
@click.argument("model")
@click.option("--context", type=int, help="Tokens to compute the memory for [the model's, up to 8192].")
@click.option("--quant", type=click.Choice(FORMATS), help="Number format to compute the memory for.")
@click.option("--head", type=click.Choice(FORMATS), help="The same for embedding and head.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(model: str, context: int | None, quant: str | None, head: str | None, as_json: bool) -> None:
    """Show what MODEL is: family, parameters, formats, context, the memory that it needs, and whether it fits.

    A model that is not on this disk is looked at on the hub: how much would have to be downloaded, under which licence,
    which files there are. Nothing is downloaded but the beginning of a file.
    """
    from hearth.cli.table import print_facts
    from hearth.errors import ModelNotFound
    from hearth.hub import installed
    from hearth.measure import describe
    from hearth.runtime.memory import available_bytes
    from hearth.units import format_bytes

    memory_bytes = available_bytes()
    try:
        source = installed(model, memory_bytes=memory_bytes)
    except ModelNotFound:
        _show_remote(model, context, quant, head, as_json)
        return
    for notice in source.notices:
        note(notice)
    about = describe(source, context=context, quant=quant, head=head)
    if as_json:
        data = asdict(about) | {"path": str(about.path), "memory_bytes": about.memory_bytes}
        click.echo(json.dumps(data, ensure_ascii=False))
        return
    published = ", ".join(f"{name} {100 * share:.0f}%" for name, share in about.source_formats.items())
    template = {True: "its own", False: "none: a known format is guessed", None: "no tokenizer"}[about.chat_template]
    free = memory_bytes
    facts = [
        ("model", about.name),
        ("path", str(about.path)),
        ("kind", about.kind),
        ("family", about.family),
        ("parameters", f"{_count(about.parameters)} in {about.layers} layers, vocabulary {about.vocab_size}"),
        ("published as", f"{published} ({format_bytes(about.source_bytes)})" if published else ""),
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


def _show_remote(model: str, context: int | None, quant: str | None, head: str | None, as_json: bool) -> None:
    from hearth.cli.table import print_facts, print_table
    from hearth.measure import describe_remote
    from hearth.units import format_bytes

    about = describe_remote(model, context=context, quant=quant, head=head)
    if as_json:
        click.echo(json.dumps(asdict(about), ensure_ascii=False))
        return
    command = f"hearth pull {about.name}"
    facts = [
        ("model", about.name),
        ("on the hub", f"{format_bytes(about.download_bytes)} to download"),
        ("licence", about.license or "its page says none"),
        ("terms", "its owners ask you to accept theirs first, on the model's page" if about.gated else ""),
    ]
    if about.family is not None:
        facts += [
            ("family", about.family),
            ("parameters", f"{_count(about.parameters)} in {about.layers} layers"),
            ("compiled as", about.formats),
            ("context", f"{about.context_max} tokens at most"),
            ("memory", f"{format_bytes(about.memory_bytes)} with {about.context} tokens of context"),
        ]
    facts += [("here", about.fit or ""), ("to get it", command if about.fit != "too large" else "")]
    print_facts([fact for fact in facts if fact[1]])
    if len(about.files) > 1:
        click.echo()
        rows = [(f.name, format_bytes(f.size_bytes), f.fit or "") for f in about.files]
        print_table(("FILES", "SIZE", "HERE"), rows)


def _count(number: int) -> str:
    for size, unit in ((10**9, "billion"), (10**6, "million")):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return str(number)
