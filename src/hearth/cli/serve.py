"""`hearth serve [MODEL...]`: a model server that clients of OpenAI and Anthropic can use as it is."""

from __future__ import annotations

from typing import Any

import click

from hearth.cli.options import examples
from hearth.cli.serving import check_installed, model_settings, run_server, server_settings, serving_options


@click.command(
    "serve",
    epilog=examples(
        "hearth serve",
        "hearth serve Qwen/Qwen3-0.6B --port 8080",
        "hearth serve MODEL OTHER --load-on-demand --memory 8GB",
        "HEARTH_API_KEY=... hearth serve MODEL --host 0.0.0.0",
    ),
)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@serving_options
def command(models: tuple[str, ...], load_on_demand: bool, log_level: str, **options: Any) -> None:
    """Serve MODELs to programs that speak OpenAI's or Anthropic's protocol; without one, the starter model.

    Listens on this machine only, unless --host says otherwise; then clients need a key. Nothing that is asked or
    answered leaves the machine or is written to the log. Ctrl-C stops it after the running answers.
    """
    check_installed()
    from hearth.server.app import create_app
    from hearth.server.models import Models

    settings = server_settings(options)
    names = tuple(dict.fromkeys(models)) or ("starter",)
    served = Models(names, model_settings(options))
    run_server(
        served,
        settings,
        create_app(served, settings),
        load=() if load_on_demand else names,
        log_level=log_level,
        on_open=lambda url: _greet(url, names, with_key=bool(settings.keys)),
    )


def _greet(url: str, names: tuple[str, ...], *, with_key: bool) -> None:
    key = "YOUR KEY" if with_key else "none"
    header = ' -H "authorization: Bearer $HEARTH_API_KEY"' if with_key else ""
    click.echo(f"""\
Serving {", ".join(names)} at {url}

From Python:
  from openai import OpenAI
  client = OpenAI(base_url="{url}/v1", api_key="{key}")
  answer = client.chat.completions.create(model="{names[0]}", messages=[{{"role": "user", "content": "Hello"}}])

From a shell:
  curl {url}/v1/chat/completions -H "content-type: application/json"{header} \\
    -d '{{"model": "{names[0]}", "messages": [{{"role": "user", "content": "Hello"}}]}}'

Ctrl-C stops it.""")
