"""`hearth serve [MODEL...]`: a model server that clients of OpenAI and Anthropic can use as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from hearth.cli.cluster import autoscale_option, ray_options
from hearth.cli.greeting import Shown, greeting
from hearth.cli.options import examples
from hearth.cli.pages import page_option, tell_address, visitors_page
from hearth.cli.serving import check_installed, model_settings, run_server, server_settings, serving_options

if TYPE_CHECKING:
    from hearth.server.visitors import VisitorsPage


@click.command(
    "serve",
    epilog=examples(
        "hearth serve",
        "hearth serve Qwen/Qwen3-0.6B --port 8080",
        "hearth serve MODEL OTHER --load-on-demand --memory 8GB",
        "HEARTH_API_KEY=... hearth serve MODEL --host 0.0.0.0",
        "HEARTH_API_KEY=... hearth serve MODEL --host 0.0.0.0 --page",
        "hearth serve MODEL --ray --autoscale 1:4",
    ),
)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@serving_options
@page_option
@ray_options
@autoscale_option
def command(
    models: tuple[str, ...],
    load_on_demand: bool,
    log_level: str,
    page: bool,
    ray: bool,
    replicas: int | None,
    autoscale: tuple[int, int] | None,
    ray_address: str | None,
    **options: Any,
) -> None:
    """Serve MODELs to programs that speak OpenAI's or Anthropic's protocol; without one, the starter model.

    Listens on this machine only, unless --host says otherwise; then clients need a key. Nothing that is asked or
    answered leaves the machine or is written to the log. Ctrl-C stops it after the running answers.

    With --page it hands out a page, too, that runs the first MODEL in the browser that opens it, such as a phone's:
    nothing is asked of the server then.
    """
    check_installed()
    from hearth.cli.progress import showing_progress
    from hearth.errors import UsageError
    from hearth.server.app import create_app
    from hearth.server.models import Models, model_id
    from hearth.server.ray.cluster import compile_first, prepare_ray

    settings = server_settings(options)
    names = tuple(dict.fromkeys(models)) or ("starter",)
    load = () if load_on_demand else names

    ids = [model_id(name) for name in names]
    served: Models | None = None
    visitors: VisitorsPage | None = None

    def on_open(url: str) -> None:
        known = {card.id: card for card in served.cards()} if served is not None else {}
        shown = [Shown(name, known[name].kind, known[name].task) if name in known else Shown(name) for name in ids]
        if visitors is not None:
            tell_address(names[0], settings.host, urlsplit(url).port or 80, visitors.path)
        click.echo(greeting(url, shown, with_key=bool(settings.keys)))

    if ray:
        if page:
            raise UsageError("--page does not go with --ray.", hint="Serve it by another `hearth serve`.")
        if replicas and autoscale:
            raise UsageError("--replicas and --autoscale contradict each other.")
        prepare_ray(ray_address)
        from hearth.server.log import configure_log
        from hearth.server.ray.serving import RaySettings, serve_on_ray

        wanted = model_settings(options)
        if ray_address is None:
            with showing_progress() as progress:
                compile_first(load, wanted, progress)
        configure_log(log_level)
        spread = RaySettings(ray_address, autoscale or replicas or 2)
        serve_on_ray(names, load, wanted, settings, spread, on_open=on_open)
        return
    if replicas or autoscale or ray_address:
        raise UsageError("--replicas, --autoscale and --ray-address go with --ray.")
    visitors = visitors_page(names[0], options, settings.keys) if page else None
    served = Models(names, model_settings(options))
    run_server(
        served,
        settings,
        create_app(served, settings, visitors=visitors),
        verb="serve",
        load=load,
        log_level=log_level,
        on_open=on_open,
    )
