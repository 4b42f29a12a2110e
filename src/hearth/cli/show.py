"""`hearth show MODEL`: what a model is and what memory it needs, without compiling it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from hearth.cli.options import BODY_FORMATS, FORMATS, examples
from hearth.cli.terminal import note

# Kinds of models on the hub, where it is not plain what they are for.
_MADE_FOR = {"encoder": "vectors, scores or labels of texts", "vision": "looking at pictures"}


@click.command("show", epilog=examples("hearth show starter", "hearth show Qwen/Qwen3-0.6B --context 32768 --quant q8"))
@click.argument("model")
@click.option("--context", type=int, help="Tokens to compute the memory for [the model's, up to 8192].")
@click.option("--quant", type=click.Choice(BODY_FORMATS), help="Number format to compute the memory for.")
@click.option("--head", type=click.Choice(FORMATS), help="The same for embedding and head.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(model: str, context: int | None, quant: str | None, head: str | None, as_json: bool) -> None:
    """Show what MODEL is and does: family, parameters, formats, the memory that it needs, and whether it fits; the
    context of a language model, the labels and sizes of one that looks at pictures, the task of an encoder; of an ONNX
    file or an exported PyTorch program its inputs, outputs and operations.

    A model that is not on this disk is looked at on the hub: how much would have to be downloaded, under which licence,
    which files there are. Nothing is downloaded but the beginning of a file.
    """
    from hearth.checkpoint.graphs import is_graph
    from hearth.cli.facts import facts_of
    from hearth.cli.table import print_facts
    from hearth.errors import ModelNotFound, UsageError
    from hearth.hub import installed
    from hearth.measure import describe
    from hearth.runtime.memory import available_bytes

    if is_graph(path := Path(model)) and path.exists():
        from hearth.cli.show_graph import show_graph

        if context or quant or head:
            raise UsageError(f"{model} is a graph.", why="--context, --quant and --head are for other models.")
        show_graph(path, as_json)
        return
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
    print_facts([fact for fact in (*facts_of(about), ("free memory", _bytes(memory_bytes))) if fact[1]])


def _show_remote(model: str, context: int | None, quant: str | None, head: str | None, as_json: bool) -> None:
    from hearth.cli.facts import active, count
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
        layers = f" in {about.layers} layers" if about.layers else ""
        memory = format_bytes(about.memory_bytes) if about.memory_bytes else ""
        facts += [
            ("made for", _MADE_FOR.get(about.made_for or "", "")),
            ("family", about.family),
            ("parameters", f"{count(about.parameters)}{active(about)}{layers}" if about.parameters else ""),
            ("compiled as", about.formats),
            ("context", f"{about.context_max} tokens at most" if about.context_max else ""),
            ("memory", f"{memory} with {about.context} tokens of context" if about.context else memory),
        ]
    facts += [("here", about.fit or ""), ("to get it", command if about.fit != "too large" else "")]
    print_facts([fact for fact in facts if fact[1]])
    if len(about.files) > 1:
        click.echo()
        rows = [(f.name, format_bytes(f.size_bytes), f.fit or "") for f in about.files]
        print_table(("FILES", "SIZE", "HERE"), rows)


def _bytes(size_bytes: int | None) -> str:
    from hearth.units import format_bytes

    return "" if size_bytes is None else format_bytes(size_bytes)
