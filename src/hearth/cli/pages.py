"""A model's page for browsers: its bundle for WebAssembly, its site, and what is said of where it can be opened."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from hearth.cli.terminal import note
from hearth.errors import CompileError

if TYPE_CHECKING:
    from hearth.bundle import Bundle
    from hearth.server.visitors import VisitorsPage

page_option = click.option(
    "--page", is_flag=True, help="Serve a page, too, that runs the first MODEL in the browser that opens it."
)
_SHAPING = ("quant", "head", "precision", "kv", "context")
_OVER_HTTP = (
    "Over http browsers give a page from another machine neither GPU nor storage: there the model runs on the"
    " processor, and is loaded each time."
)


def web_bundle(model: str, options: Mapping[str, Any], *, isa: str | None = None) -> Bundle:
    """The bundle of a language model for WebAssembly, compiled where it is not there yet.

    Args:
        options: of the verb; those that shape a bundle are taken.

    Raises:
        HearthError: as `hearth compile`, and as `require_page` before anything is compiled.
    """
    from hearth.bundle import open_bundle
    from hearth.cli.compile import compile_checkpoint
    from hearth.cli.progress import showing_progress
    from hearth.model.kinds import TEXT
    from hearth.package import require_page
    from hearth.prepare import COMPILE_HINT, with_known_answers

    wanted = {name: options[name] for name in _SHAPING}
    how = {"target": "wasm32", "isa": isa, "output": None, "dump_ir": None, "force": False}
    with showing_progress() as progress:
        try:
            folder = compile_checkpoint(model, wanted, options["offline"], progress, how, (TEXT,), require_page)
            bundle = open_bundle(folder, for_this_machine=False)
            return with_known_answers(bundle, model, progress=progress, offline=options["offline"], **wanted)
        except ImportError as error:
            raise CompileError("The compiler is not installed.", why=f"({error})", hint=COMPILE_HINT) from error


def visitors_page(model: str, options: Mapping[str, Any], keys: Any) -> VisitorsPage:
    """The page of a model for a server that wants `keys`: from the cache, or made now.

    Raises:
        HearthError: as `hearth package web`.
    """
    from hearth.package import kept_site
    from hearth.server.visitors import VisitorsPage

    return VisitorsPage(kept_site(web_bundle(model, options)), keys)


def tell_address(model: str, host: str, port: int, path: str) -> None:
    """Says where a page can be opened, and what holds there."""
    address = seen_from_elsewhere(host)
    is_local = address is not None and (address == "localhost" or ipaddress.ip_address(address).is_loopback)
    shown = "ADDRESS-OF-THIS-MACHINE" if address is None else f"[{address}]" if ":" in address else address
    click.echo(f"The page of {model}: http://{shown}:{port}{path}")
    if is_local:
        note("Only this machine can open it; --host 0.0.0.0 lets a phone in the same network.")
    else:
        note(f"Everybody who has this link and reaches this machine can load the model. {_OVER_HTTP}")


def seen_from_elsewhere(host: str) -> str | None:
    """An address at which others find this machine where it listens at `host`; None where it has none."""
    host = host.strip("[]")
    if host == "localhost":
        return host
    try:
        if not ipaddress.ip_address(host).is_unspecified:
            return host
    except ValueError:
        return _resolved(host)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        try:
            trial.connect(("192.0.2.1", 9))  # for documentation (RFC 5737); nothing is sent, only a way is chosen
        except OSError:
            return None
        found: str = trial.getsockname()[0]
    return None if ipaddress.ip_address(found).is_loopback else found


def _resolved(name: str) -> str | None:
    try:
        return socket.gethostbyname(name)
    except OSError:
        return None
