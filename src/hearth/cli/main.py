"""`hearth`: finds the verb, runs it, and turns whatever goes wrong into one message and an exit code.

Answers go to standard output, everything else (progress, statistics, messages) to standard error. Verbs are imported
when they are used, so that `hearth --help` does not wait for numpy.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

from hearth import distribution
from hearth.cli.inputs import prepare_streams
from hearth.cli.suggest import for_option, for_verb
from hearth.cli.terminal import tell_error
from hearth.errors import HearthError, StorageError, UsageError, shown

DEBUG = "HEARTH_DEBUG"
EXIT_UNEXPECTED = 70
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
_CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF, errno.EFBIG}
EXIT_BROKEN_PIPE = 1  # click's own choice where the pipe breaks inside it

# Verb -> what it does, in the order in which a new user meets them.
VERBS = {
    "chat": "Talk with a model.",
    "ask": "Ask one question; works in pipes.",
    "serve": "Serve models to OpenAI and Anthropic clients.",
    "batch": "Answer a file of requests; goes on where it was stopped.",
    "app": "Chat in the browser, everything on this machine.",
    "embed": "Make vectors of texts.",
    "rerank": "Rank documents by how well they answer a query.",
    "classify": "Label texts, or places in them.",
    "vision": "Say what pictures show.",
    "graph": "Run any network on arrays: an ONNX file, a PyTorch export.",
    "models": "Show which models fit this machine.",
    "pull": "Download a model.",
    "list": "Show which models are here.",
    "ps": "Show which servers run here.",
    "show": "Show what a model is and what memory it needs.",
    "rm": "Remove a model.",
    "compile": "Compile a model for this machine or another.",
    "package": "Make a site with a chat page that runs a model in the browser.",
    "tune": "Search the fastest kernels of this processor.",
    "bench": "Measure how fast a model is here.",
    "eval": "Measure how good a model is at a text or at pictures.",
    "doctor": "Show what this machine offers to Hearth.",
    "run": "Ask or chat, as other programs call it.",
    "help": "Show what a verb does.",
}
ALIASES = {"ls": "list", "remove": "rm", "delete": "rm", "download": "pull", "info": "show", "server": "serve"}
_EXAMPLES = """\
\b
Example:
  hearth chat                              talk with the starter model
  hearth chat Qwen/Qwen3-0.6B              download, compile, talk
  hearth ask ./model.gguf "Why is the sky blue?"
  cat report.txt | hearth ask ./model.gguf "Summarise this:"
"""


class _Verbs(click.Group):
    """Imports `hearth.cli.<verb>` when it is wanted; lists all without importing any."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        cmd_name = ALIASES.get(cmd_name, cmd_name)
        if cmd_name not in VERBS:
            return None
        command = import_module(f"hearth.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        verb = args[0]
        if not verb.startswith("-") and self.get_command(ctx, verb) is None:
            raise UsageError(f"There is no verb '{verb}'.", hint=for_verb(verb, [*VERBS, *ALIASES]))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UsageError as error:
            raise _as_typed(error, self.get_command(ctx, ctx.invoked_subcommand or "")) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


def _as_typed(error: UsageError, command: click.Command | None) -> UsageError:
    """The error with the option that was typed, where it names the argument that a program would have given."""
    name, is_, rest = error.what.partition(" is ")
    for parameter in command.params if command else ():
        if isinstance(parameter, click.Option) and parameter.name in (name, name.removesuffix("_s")):
            return UsageError(max(parameter.opts, key=len) + is_ + rest, why=error.why, hint=error.hint)
    return error


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    import platform

    compiler = [f"{name} {found}" for name, of in (("TVM", "apache-tvm"), ("zig", "ziglang"))
                if (found := distribution.version_of(of))]  # fmt: skip
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    click.echo(f"hearth {distribution.version()} ({machine}; {', '.join(compiler) or 'no compiler'})")
    ctx.exit()


@click.group(
    cls=_Verbs,
    epilog=_EXAMPLES,
    subcommand_metavar="VERB ...",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Show the version.")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Language models on your own machine: private, compiled for it, no cloud.

    MODEL is `starter`, a name on the hub (`owner/name`, `owner/name:Q4_K_M`), a folder, a `.gguf` file or a
    compiled bundle. `hearth VERB --help` tells more.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(UsageError.exit_code)


def run(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code. Never raises, never shows a traceback unless HEARTH_DEBUG=1."""
    try:
        result: Any = cli.main(args=list(argv) if argv is not None else None, prog_name="hearth", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except SystemExit as stop:  # click's answer to a broken pipe; SIGTERM
        return stop.code if isinstance(stop.code, int) else EXIT_BROKEN_PIPE
    except click.ClickException as error:
        tell_error(*_of_click(error))
        return error.exit_code
    except HearthError as error:
        _debug()
        tell_error(error.what, error.why, error.hint)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read the output has left (`hearth ... | head`). Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except OSError as error:
        if error.filename is not None or error.errno not in _CANNOT_WRITE:
            return _unexpected(error)
        _debug()
        with suppress(OSError):
            tell_error("What Hearth says cannot be written.", f"Standard output: {error.strerror}.", "")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return StorageError.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nStopped. Nothing half-written is left.", err=True)
        return EXIT_INTERRUPTED
    except Exception as error:
        return _unexpected(error)


def _unexpected(error: Exception) -> int:
    """A mistake of Hearth's own."""
    _debug()
    tell_error(
        f"Something unexpected went wrong: {type(error).__name__}: {shown(str(error))}",
        "This is a mistake in Hearth, not in what you did.",
        f"Run it again with {DEBUG}=1 to see where, and please report it.",
    )
    return EXIT_UNEXPECTED


def _of_click(error: click.ClickException) -> tuple[str, str, str]:
    """What click found wrong with the arguments, in our form."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "hearth"
    if isinstance(error, click.NoSuchOption):
        known = [name for parameter in context.command.params for name in parameter.opts] if context else []
        return f"{command} has no option {error.option_name}.", "", for_option(error.option_name, known, command)
    return error.format_message(), "", f"`{command} --help` shows how it is used."


def _debug() -> None:
    if os.environ.get(DEBUG):
        traceback.print_exc()


def _end(*_: Any) -> NoReturn:
    # As an exception, so that whoever is at something clears up after itself.
    raise SystemExit(EXIT_TERMINATED)


def main() -> None:
    """Entry point of the `hearth` command."""
    signal.signal(signal.SIGTERM, _end)
    # Where one of these is closed, the next file that is opened takes its place, and what is said would go into it.
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  # as long as the process lasts
    if sys.stdout is None:
        tell_error(
            "Standard output is closed.", "There is nowhere to write an answer to.", "> /dev/null throws it away."
        )
        sys.exit(StorageError.exit_code)
    if not os.environ.get(DEBUG):
        # Libraries in Rust would write a trace before, or into, what Hearth says.
        os.environ["RUST_BACKTRACE"] = os.environ["RUST_LIB_BACKTRACE"] = "0"
    prepare_streams()
    sys.exit(run())
