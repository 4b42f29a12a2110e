"""`hearth pull MODEL`: download a model, or what is new of it."""

from __future__ import annotations

import click

from hearth.cli.options import examples


@click.command(
    "pull",
    epilog=examples("hearth pull Qwen/Qwen3-0.6B", "hearth pull hf:owner/name-GGUF:name-Q4_K_M.gguf"),
)
@click.argument("model")
@click.option("--revision", help="Branch, tag or commit [main].")
def command(model: str, revision: str | None) -> None:
    """Download MODEL from the hub into the Hugging Face cache.

    Only the files that are needed come. An interrupted download goes on where it stopped when asked for again.
    """
    from hearth.cli.progress import showing_progress
    from hearth.hub import Progress as HubProgress
    from hearth.hub import pull
    from hearth.prepare import Progress
    from hearth.units import format_bytes

    with showing_progress() as progress:

        def told(now: HubProgress) -> None:
            progress(Progress("download", f"{now.repo_id}: {now.file}", now.done_bytes, now.total_bytes))

        source = pull(model, revision=revision, progress=told)
    click.echo(f"{source.name} is here: {format_bytes(source.size_bytes)}.", err=True)
    click.echo(str(source.path))
