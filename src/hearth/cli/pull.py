"""`hearth pull MODEL`: download a model, or what is new of it."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import click

from hearth.cli.options import examples
from hearth.cli.terminal import note
from hearth.errors import HearthError

if TYPE_CHECKING:
    from hearth.hub import Source


@click.command(
    "pull",
    epilog=examples(
        "hearth pull Qwen/Qwen3-0.6B",
        "hearth pull owner/name-GGUF:Q4_K_M",
        "hearth pull https://huggingface.co/owner/name-GGUF",
    ),
)
@click.argument("model")
@click.option("--revision", help="Branch, tag or commit [main].")
@click.option("--any-size", is_flag=True, help="Download it even if this machine's memory cannot hold it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: name, kind, path, size_bytes, commit.")
def command(model: str, revision: str | None, any_size: bool, as_json: bool) -> None:
    """Download MODEL from the hub into the Hugging Face cache.

    Only the files that are needed come, after a look at what the model is and whether it fits. Of a repository of GGUF
    files the best that fits this machine is taken where none is named. An interrupted download goes on where it stopped
    when asked for again.
    """
    from hearth.cli.progress import showing_progress
    from hearth.fit import usable_bytes
    from hearth.hub import pull
    from hearth.prepare import ANY_KIND, hub_progress, inspector
    from hearth.units import format_bytes

    memory_bytes = None if any_size else usable_bytes()
    inspect = inspector(kinds=ANY_KIND, memory_bytes=memory_bytes)
    with showing_progress() as progress:
        source = pull(
            model, revision=revision, progress=hub_progress(progress), inspect=inspect, memory_bytes=memory_bytes
        )
    for notice in source.notices:
        note(notice)
    if as_json:
        data = {name: getattr(source, name) for name in ("name", "kind", "size_bytes", "commit")}
        click.echo(json.dumps(data | {"path": str(source.path)}, ensure_ascii=False))
        return
    click.echo(f"{source.name} is here: {format_bytes(source.size_bytes)}.", err=True)
    click.echo(f"Next: {_next(source)}", err=True)


def _next(source: Source) -> str:
    """A command to try the model with."""
    from hearth.cli.facts import first_command
    from hearth.measure import describe

    try:
        return first_command(describe(source))
    except HearthError:  # what came was checked as the hub's; whether it can be opened is told when it is
        return f"hearth chat {shlex.quote(source.name)}"
