"""`hearth help [VERB]`: the same as `--help`."""

from __future__ import annotations

import click

from hearth.cli.options import examples


@click.command("help", epilog=examples("hearth help", "hearth help chat"))
@click.argument("verb", required=False)
def command(verb: str | None) -> None:
    """Show what Hearth does, or what VERB does."""
    whole = click.get_current_context().find_root()
    if verb is None:
        click.echo(whole.get_help())
        return
    assert isinstance(whole.command, click.Group)
    name, found, _ = whole.command.resolve_command(whole, [verb])
    assert found is not None
    click.echo(found.get_help(click.Context(found, info_name=name, parent=whole)))
