"""`hearth app [MODEL...]`: a private chat in the browser, served by this machine for this machine."""

from __future__ import annotations

import ipaddress
import socket
import webbrowser
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from hearth.cli.options import device_options, examples, format_options, source_options
from hearth.cli.pages import page_option, tell_address, visitors_page
from hearth.cli.serving import Size, check_installed, run_server
from hearth.cli.terminal import note
from hearth.errors import UsageError

if TYPE_CHECKING:
    from hearth.server.chatpage import Entry

DEFAULT_PORT = 8484
_PORTS_TRIED = 20
_DRAIN_S = 0.0  # whoever presses Ctrl-C does not wait for an answer; what has come of it is kept


@click.command(
    "app",
    epilog=examples(
        "hearth app",
        "hearth app Qwen/Qwen3-0.6B",
        "hearth app --no-browser --port 9000 --data ~/work-chats",
        "hearth app Qwen/Qwen3-0.6B --page --host 0.0.0.0",
    ),
)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where conversations are kept [the user's data folder].",
)
@click.option("--port", type=int, help=f"Port; 0 is any free one [{DEFAULT_PORT}, or the next that is free].")
@page_option
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="With --page: 0.0.0.0 lets other machines have that page, and nothing else.",
)
@click.option("--no-browser", is_flag=True, help="Do not open the browser; print the link only.")
@click.option("--new-token", is_flag=True, help="Make links and open pages from before stop working.")
@click.option("--context", type=int, help="Tokens of prompt and answer together [the model's, up to 8192].")
@click.option("--threads", type=int, help="Threads that compute [physical cores this process may use].")
@device_options
@click.option("--memory", type=Size(), help="What all open models may take together [most of what is free].")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="How much the log tells; never what is said.",
)
@format_options
@source_options
def command(
    models: tuple[str, ...],
    data: Path | None,
    port: int | None,
    page: bool,
    host: str,
    no_browser: bool,
    new_token: bool,
    memory: int | None,
    log_level: str,
    **options: Any,
) -> None:
    """Chat with MODELs in the browser; without one, with the starter model.

    Models that are installed can be chosen on the page, too. Conversations are kept in one file on this machine.
    The page and all that is said on it stay here: no other machine is answered, nothing is asked of the network unless
    you get a model. Other users of this machine cannot open it: the link that is printed holds a token. Ctrl-C ends
    it; an answer that is being written is kept as far as it has come.

    With --page it hands out another page, too, that runs the first MODEL in the browser that opens it, such as a
    phone's (--host 0.0.0.0): other machines get that page, and nothing of yours.
    """
    check_installed()
    from hearth.hub import canonical_name
    from hearth.server.app import create_app
    from hearth.server.chatpage import Entry, chat_page
    from hearth.server.models import Models, ModelSettings
    from hearth.server.settings import ServerSettings
    from hearth.store import Store, default_folder
    from hearth.store.exchange import MAX_FILE_BYTES

    _check_host(host, page=page)
    # By the names under which they are listed, so that none is there twice and conversations find them again.
    named = list(dict.fromkeys(canonical_name(model) for model in models)) or ["starter"]
    # One person has few answers at a time: memory is better spent on their context.
    served = Models(named, ModelSettings(memory_bytes=memory, max_seqs=4, **options))
    _add_installed(served)
    folder = data or default_folder()
    with Store(folder) as store:
        entry = Entry(folder, new=new_token)
        settings = ServerSettings(
            host=host,
            port=_free_port(host) if port is None else port,
            keys=entry.keys,
            max_body_bytes=MAX_FILE_BYTES,  # a conversation that comes in from a file
            drain_timeout_s=_DRAIN_S,
        )
        visitors = visitors_page(named[0], options, settings.keys) if page else None

        def on_open(url: str) -> None:
            if visitors is not None:
                tell_address(named[0], host, urlsplit(url).port or 80, visitors.path)
            _greet(entry, url, store.path, open_browser=not no_browser)

        run_server(
            served,
            settings,
            create_app(served, settings, page=chat_page(store, entry), visitors=visitors),
            verb="app",
            load=named[:1],
            log_level=log_level,
            on_open=on_open,
        )


def _add_installed(models: Any) -> None:
    """What is on this disk can be chosen; what cannot be listed is no reason to refuse to chat."""
    from hearth.errors import HearthError
    from hearth.hub import list_models

    try:
        installed = [model.name for model in list_models() if model.complete]
    except HearthError as error:
        note(f"Installed models cannot be listed: {error}")
        return
    for name in installed:
        models.add(name)


def _check_host(host: str, *, page: bool) -> None:
    """Raises UsageError where other machines could connect for nothing, or the link's ticket could not be checked."""
    try:
        address = ipaddress.IPv4Address("127.0.0.1" if host == "localhost" else host)
    except ValueError as error:
        raise UsageError(f"--host {host!r} is no IPv4 address.", hint="Use 127.0.0.1 or 0.0.0.0.") from error
    if not address.is_loopback and not page:
        raise UsageError(
            f"--host {host} goes with --page.",
            why="Other machines never get the chat, only a page that runs the model in their own browser.",
            hint="For programs of other machines there is `hearth serve --host`.",
        )


def _free_port(host: str) -> int:
    """The usual port, so that the page's address stays the same, or one of the next."""
    for port in range(DEFAULT_PORT, DEFAULT_PORT + _PORTS_TRIED):
        with socket.socket() as trial:
            try:
                trial.bind((host, port))
            except OSError:
                continue
            return port
    raise UsageError(
        f"Ports {DEFAULT_PORT} to {DEFAULT_PORT + _PORTS_TRIED - 1} are all in use.", hint="Choose one with --port."
    )


def _greet(entry: Entry, url: str, path: Path, *, open_browser: bool) -> None:
    click.echo(f"Hearth is at {entry.link(url)}\nConversations are kept in {path}\nCtrl-C ends it.")
    if open_browser:
        # In a thread: some browsers return when they are closed.
        Thread(target=webbrowser.open, args=(entry.ticket_link(url),), daemon=True).start()
