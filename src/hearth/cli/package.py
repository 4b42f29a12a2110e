"""`hearth package web MODEL --out DIR`: a model as something that others run without Hearth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hearth.cli.options import examples, format_options
from hearth.cli.pages import tell_address, web_bundle

if TYPE_CHECKING:
    from hearth.bundle import Bundle
    from hearth.package import Site


@click.group(
    "package",
    epilog=examples("hearth package web HuggingFaceTB/SmolLM2-135M-Instruct --out ./site"),
)
def command() -> None:
    """Make a model into something that runs where Hearth is not installed.

    What there is now: `web`, a site with a chat page.
    """


@command.command(
    "web",
    epilog=examples(
        "hearth package web HuggingFaceTB/SmolLM2-135M-Instruct --out ./site",
        "hearth package web ./model.gguf --context 2048 --out ./site",
        "hearth package web starter --out ./site --serve",
    ),
)
@click.argument("model")
@format_options
@click.option("--context", type=int, help="Tokens of prompt and answer together [what the model was made for].")
@click.option("--isa", metavar="NAMES", help="Instruction sets of WebAssembly to carry [all].")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="The site's folder; an older site"
    " there is replaced.",
)  # fmt: skip
@click.option("--offline", is_flag=True, help="Never use the network.")
@click.option("--serve", is_flag=True, help="Serve the site afterwards, until Ctrl-C.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve on; 0.0.0.0 lets others in.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any that is free.")
def web(
    model: str,
    quant: str | None,
    head: str | None,
    precision: Any,
    kv: Any,
    context: int | None,
    isa: str | None,
    out: Path,
    offline: bool,
    serve: bool,
    host: str,
    port: int,
) -> None:
    """Write a static site with a chat page that runs MODEL in the browser.

    Any web server can host DIR: nothing is computed there, and what is typed into the page never leaves it. The model
    runs on the visitor's GPU (WebGPU) or processor (WebAssembly), also without a network once it was loaded. It is
    compiled for this machine, too, to write down some of what it computes: pages check their GPU with that. MODEL
    may be a bundle that was compiled with --target wasm32. The site's path goes to standard output.
    """
    from hearth.bundle import open_bundle
    from hearth.bundle.manifest import MANIFEST
    from hearth.package import write_site

    options = {"quant": quant, "head": head, "precision": precision, "kv": kv, "context": context, "offline": offline}
    is_bundle = (Path(model) / MANIFEST).is_file()
    bundle = open_bundle(Path(model), for_this_machine=False) if is_bundle else web_bundle(model, options, isa=isa)
    site = write_site(bundle, out)
    _report(bundle, site)
    click.echo(str(out))
    if serve:
        _serve(model, out, host, port)


def _serve(model: str, folder: Path, host: str, port: int) -> None:
    from hearth.package import site_server

    with site_server(folder, host, port) as server:
        tell_address(model, host, server.server_port, "/")
        server.serve_forever()


def _report(bundle: Bundle, site: Site) -> None:
    """What a visitor loads, in its order."""
    from hearth.package.site import published_name
    from hearth.units import format_bytes

    loads = site.loads(gpu=site.has_gpu)
    parts = ", ".join(f"{what} {format_bytes(size)}" for what, size in loads)
    where = "on GPUs and processors" if site.has_gpu else "on processors"
    click.echo(f"{published_name(bundle.manifest.source_name)} runs in browsers {where}.", err=True)
    click.echo(f"A visitor loads {format_bytes(sum(size for _, size in loads))}, once: {parts}.", err=True)
