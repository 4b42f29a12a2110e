"""What the verbs that serve have in common: their options, how these become settings, and running the server."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hearth.cli.options import DEVICE, REPETITION_STOP, F, format_options, source_options, template_options
from hearth.distribution import install_command
from hearth.errors import UsageError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from hearth.server.models import Models, ModelSettings
    from hearth.server.settings import ServerSettings

API_KEY = "HEARTH_API_KEY"
_PREPARING = (
    "context",
    "threads",
    "device",
    "gpu_layers",
    "quant",
    "head",
    "precision",
    "kv",
    "offline",
    "trust_bundle",
)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}


class Size(click.ParamType[int]):
    """A number of bytes: `6GB`, `512MiB`, `1048576`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?|)b?\s*", str(value).lower())
        if match is None:
            self.fail(f"'{value}' is no size; write it as 6GB or 512MiB.", param, ctx)
        return int(float(match[1]) * _UNITS[match[2]])


class Alias(click.ParamType[tuple[str, str]]):
    """A further name of a model: `NAME=MODEL`, or `NAME` for the first one."""

    name = "alias"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        alias, _, model = str(value).partition("=")
        if not alias.strip():
            self.fail(f"'{value}' names nothing; write NAME or NAME=MODEL.", param, ctx)
        return alias.strip(), model.strip()


_LISTEN = (
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
    click.option("--port", type=int, default=8000, show_default=True, help="Port; 0 is any free one."),
    click.option(
        "--allow-host", multiple=True, metavar="NAME", help="A further name that clients call this server by."
    ),
    click.option(
        "--cors-origin",
        multiple=True,
        metavar="ORIGIN",
        help="A page, extension or app that may call it.",
    ),
    click.option(
        "--api-key", multiple=True, metavar="KEY", help=f"A key that clients need; others see it in `ps` [{API_KEY}]."
    ),
    click.option(
        "--api-key-file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Keys, one a line."
    ),
    click.option("--insecure", is_flag=True, help="Listen beyond this machine without any key."),
)
_LIMITS = (
    click.option("--max-prompt-tokens", type=int, metavar="N", help="Longest prompt taken [what the context holds]."),
    click.option("--max-body", type=Size(), default="8MiB", show_default=True, help="Largest request body."),
    click.option("--max-connections", type=int, default=512, show_default=True, help="Connections at the same time."),
    click.option("--timeout", type=float, default=600, show_default=True, help="Seconds that one request may take."),
    click.option(
        "--drain-timeout", type=float, default=30, show_default=True, help="Seconds for running answers when it stops."
    ),
    click.option("--strict-fields", is_flag=True, help="Refuse unknown fields of a request instead of ignoring them."),
    click.option("--log-requests", is_flag=True, help="Write what is asked and answered to the log."),
    click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        default="info",
        show_default=True,
        help="How much the log tells.",
    ),
)
_MODELS = (
    click.option("--context", type=int, help="Tokens of prompt and answer together [the model's, up to 8192]."),
    click.option("--threads", type=int, help="Threads that compute [physical cores this process may use]."),
    *DEVICE,
    click.option("--memory", type=Size(), help="What all open models may take together [what is free]."),
    click.option("--max-seqs", type=int, default=16, show_default=True, help="Answers computed at once, each model."),
    click.option("--max-waiting", type=int, default=64, show_default=True, help="Requests that may wait, each model."),
    click.option(
        "--alias",
        type=Alias(),
        multiple=True,
        metavar="NAME[=MODEL]",
        help="A further name of MODEL (of the first unless given) in requests; * and ? stand for any letters.",
    ),
    click.option(
        "--lora",
        multiple=True,
        metavar="[NAME=]PATH[:SCALE]",
        help="An adapter (LoRA) of the first MODEL: a folder, a GGUF file or owner/name. Requests name it MODEL:NAME."
        " May be repeated.",
    ),
    REPETITION_STOP,
    click.option("--load-on-demand", is_flag=True, help="Open models when they are first asked for."),
)


def serving_options(function: F) -> F:
    """All options of a server."""
    function = source_options(template_options(format_options(function)))
    for option in reversed((*_LISTEN, *_MODELS, *_LIMITS)):
        function = option(function)
    return function


def check_installed() -> None:
    """Raises UsageError where the server's libraries are missing."""
    missing = [name for name in ("fastapi", "uvicorn", "prometheus_client") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"The server's libraries are not installed: {', '.join(missing)}.", hint=install_command("serve")
        )


def server_settings(options: Mapping[str, Any]) -> ServerSettings:
    """The settings of the server among a verb's options.

    Raises:
        UsageError: a value is out of range, or others could use the server without a key.
    """
    from hearth.server.keys import ApiKeys
    from hearth.server.settings import ServerSettings

    named = [os.environ[API_KEY]] if os.environ.get(API_KEY) else []
    return ServerSettings(
        host=options["host"],
        port=options["port"],
        allow_hosts=options["allow_host"],
        cors_origins=options["cors_origin"],
        keys=ApiKeys.read([*named, *options["api_key"]], options["api_key_file"]),
        insecure=options["insecure"],
        max_prompt_tokens=options["max_prompt_tokens"],
        max_body_bytes=options["max_body"],
        max_connections=options["max_connections"],
        timeout_s=options["timeout"],
        drain_timeout_s=options["drain_timeout"],
        log_requests=options["log_requests"],
        strict_fields=options["strict_fields"],
    )


def model_settings(options: Mapping[str, Any]) -> ModelSettings:
    """How the server opens its models, among a verb's options."""
    from hearth.adapters import given_adapters
    from hearth.server.models import ModelSettings

    adapters = given_adapters(options.get("lora", ()))
    return ModelSettings(
        memory_bytes=options["memory"],
        max_seqs=options["max_seqs"],
        max_waiting=options["max_waiting"],
        repetition_stop=options["repetition_stop"],
        **{name: options[name] for name in _PREPARING},
        **{name: options[name] for name in ("template", "context_overflow") if name in options},
        aliases=tuple(options.get("alias", ())),
        adapters=tuple((name, place, scale) for name, (place, scale) in adapters.items()),
    )


def run_server(
    models: Models,
    settings: ServerSettings,
    app: FastAPI,
    *,
    verb: str,
    load: Sequence[str],
    log_level: str,
    on_open: Callable[[str], None],
) -> None:
    """Serves until a signal comes; `hearth ps` shows it meanwhile. Models in `load` are open before the port is.

    Raises:
        HearthError: the port is taken, a model cannot be opened.
    """
    from hearth.cli.progress import showing_progress
    from hearth.server.lifecycle import Server, serve, take_port
    from hearth.server.log import configure_log
    from hearth.server.models import model_id
    from hearth.server.presence import announced

    configure_log(log_level)

    async def load_all() -> None:
        for name in load:
            with showing_progress() as progress:
                await models.load(name, progress)

    known = [card.id for card in models.cards()]
    taken = take_port(settings)
    with ExitStack() as noted:

        def opened(url: str) -> None:
            noted.enter_context(announced(verb, url, [model_id(name) for name in load] or known))
            on_open(url)

        asyncio.run(serve(Server(app, models, settings, on_open=opened), taken, load_all))
