"""A conversation in the terminal, without the terminal: lines in, answers out. `chat.py` gives it a keyboard."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hearth.chat.completion import tokens_per_second
from hearth.chat.conversation import Conversation, Message
from hearth.cli.inputs import read_pictures
from hearth.cli.printer import AnswerPrinter, stats_line, tell_ending
from hearth.cli.suggest import closest
from hearth.cli.terminal import columns, note, tell, tell_error, wrapped
from hearth.errors import ContextFull, HearthError, UsageError, did_you_mean
from hearth.units import counted

if TYPE_CHECKING:
    from hearth.chat.answer import Completion
    from hearth.llm import LLM

HELP = {
    "/help": "this",
    "/retry": "answer the last message again",
    "/undo": "take the last message and its answer back",
    "/reset": "forget the conversation, keep the system prompt",
    "/system [TEXT]": 'show or set the system prompt; "/system -" removes it',
    "/set NAME VALUE": "set temperature, top_p, seed, max_tokens, ...; /set alone shows them",
    "/image FILE": "show a picture with the next message, to a model that sees",
    "/save FILE": "write the conversation to a new file; /save! FILE replaces one",
    "/load FILE": "go on with a conversation from a file",
    "/stats": "tokens and speed so far",
    "/exit": "leave (also Ctrl-D)",
}
KEYS_HELP = (
    "Several lines: Alt+Enter, or a backslash at the end of a line, or text between two lines of three double quotes."
    "\nCtrl-C stops an answer."
)

# What /set knows, and how each is read.
SETTINGS: dict[str, Callable[[str], float]] = {
    "temperature": float,
    "top_p": float,
    "top_k": int,
    "min_p": float,
    "repetition_penalty": float,
    "presence_penalty": float,
    "frequency_penalty": float,
    "seed": int,
    "max_tokens": int,
}


class Talk:
    """One conversation with one model.

    Args:
        sampling: settings of every request.
        thinking: passed to `LLM.chat`.
        show_stats: tell tokens and speed after every answer.
    """

    def __init__(
        self,
        llm: LLM,
        printer: AnswerPrinter,
        *,
        system: str = "",
        sampling: dict[str, Any] | None = None,
        thinking: bool | None = None,
        show_stats: bool = False,
    ) -> None:
        self.conversation = Conversation(system)
        self._llm = llm
        self._printer = printer
        self._sampling = sampling or {}
        self._thinking = thinking
        self._show_stats = show_stats
        self._images: list[str] = []  # to be shown with the next message
        self._commands: dict[str, Callable[[str], None]] = {
            "help": self._help,
            "retry": self._retry,
            "undo": self._undo,
            "reset": self._reset,
            "system": self._system,
            "set": self._set,
            "image": self._image,
            "save": self._save,
            "save!": lambda name: self._save(name, replace=True),
            "load": self._load,
            "stats": self._stats,
        }

    @property
    def commands(self) -> list[str]:
        """What can be typed after a slash."""
        return [*self._commands, "exit"]

    def handle(self, line: str) -> bool:
        """Does what one input says: a command or a message. False when it says to leave."""
        text = line.strip()
        if not text:
            return True
        if text in ("/exit", "/quit", "/bye"):
            return False
        try:
            if text.startswith("/") and not text.startswith("//"):
                self._command(text)
            else:
                self._answer(text.removeprefix("/") if text.startswith("//") else line)
        except HearthError as error:
            # A conversation survives a mistake; what cannot be mended shows again at the next one.
            tell_error(error.what, error.why, error.hint)
        return True

    def _command(self, text: str) -> None:
        name, _, argument = text[1:].partition(" ")
        if name not in self._commands:
            near = closest(name, self._commands)[:1]
            meant = did_you_mean((f"/{each}" for each in near), "/help lists them; // at the beginning sends a slash.")
            tell(f"There is no command /{name}. {meant}")
            return
        self._commands[name](argument.strip())

    def _help(self, _: str) -> None:
        width = max(map(len, HELP)) + 1
        for command, what in HELP.items():
            click.echo(f"{command:{width}}{wrapped(what, columns(), indent=width)}", err=True)
        tell(KEYS_HELP)

    def attach(self, image: str) -> None:
        """Shows a picture with the next message.

        Raises:
            UsageError: the model sees nothing. StorageError, CorruptFile, Unsupported: the file is no sound picture.
        """
        self._llm.picture_marker  # noqa: B018 - asked for what it raises
        path = str(Path(image).expanduser())
        read_pictures([path])
        self._images.append(path)

    def _image(self, name: str) -> None:
        if not name:
            click.echo("Which picture? /image FILE", err=True)
            return
        self.attach(name)
        click.echo(f"{counted(len(self._images), 'picture')} will be shown with your next message.", err=True)

    def _answer(self, text: str, images: Sequence[str] | None = None) -> None:
        shown = self._images if images is None else images
        self.conversation.add("user", text, images=shown)
        stream = None
        try:
            stream = self._llm.chat(
                self.conversation.for_template(), stream=True, thinking=self._thinking, **self._sampling
            )
            self._printer.print(stream)
        except KeyboardInterrupt:
            if stream is not None:
                stream.close()
            click.echo("(stopped)", err=True)
        except ContextFull as error:
            self.conversation.drop_last_turn()
            raise ContextFull(
                error.what, why=error.why, hint="/reset begins anew; --context-overflow slide drops the oldest turns."
            ) from error
        except BaseException:
            self.conversation.drop_last_turn()
            raise
        self._images = []
        self._keep(stream.completion if stream is not None else None)

    def _keep(self, done: Completion | None) -> None:
        """What was said counts, a stopped answer too; a turn without any is taken back."""
        if done is None or not (done.text or done.thinking):
            self.conversation.drop_last_turn()
        else:
            self.conversation.add("assistant", done.text, thinking=done.thinking)
        if done is None:
            return
        tell_ending(done)
        if sys.stdout.isatty():
            click.echo()  # the next question stands apart
        if done.finish_reason == "context":
            note("The context is full, the answer was cut. /reset begins anew.")
        if self._show_stats:
            tell(stats_line(done), dim=True)

    def _retry(self, _: str) -> None:
        asked = self._last_question()
        if asked is None:
            tell("There is no message yet.")
            return
        self.conversation.drop_last_turn()
        self._answer(asked.content, asked.images)

    def _undo(self, _: str) -> None:
        asked = self._last_question()
        if asked is None:
            tell("There is no message to take back.")
            return
        self.conversation.drop_last_turn()
        begin = asked.content if len(asked.content) <= 40 else asked.content[:40] + "..."
        tell(f"Taken back: {begin}")

    def _last_question(self) -> Message | None:
        return next((m for m in reversed(self.conversation.messages) if m.role == "user"), None)

    def _set(self, text: str) -> None:
        name, _, value = text.partition(" ")
        name = name.replace("-", "_")
        if not text:
            given = {key: self._sampling.get(key) for key in SETTINGS}
            tell(", ".join(f"{key} {'default' if value is None else value}" for key, value in given.items()))
            return
        if name not in SETTINGS:
            raise UsageError(f"There is no setting {name!r}.", hint=f"Settings: {', '.join(SETTINGS)}.")
        try:
            self._sampling[name] = None if value in ("", "-", "default") else SETTINGS[name](value)
        except ValueError as error:
            kind = "a whole number" if SETTINGS[name] is int else "a number"
            hint = f"/set {name} default goes back to the model's own."
            raise UsageError(f"{name} takes {kind}, not {value!r}.", hint=hint) from error

    def _reset(self, _: str) -> None:
        self.conversation.reset()
        click.echo("The conversation is forgotten.", err=True)

    def _system(self, text: str) -> None:
        if not text:
            click.echo(self.conversation.system or "There is no system prompt.", err=True)
            return
        self.conversation.system = "" if text == "-" else text
        tell("The system prompt is set; the conversation goes on. /reset begins anew.")

    def _save(self, name: str, *, replace: bool = False) -> None:
        if not name:
            click.echo("To which file? /save FILE", err=True)
            return
        path = Path(name).expanduser()
        if path.exists() and not replace:
            tell(f"{path} exists already. To replace it: /save! {name}")
            return
        self.conversation.save(path, model=self._llm.info.name)
        click.echo(f"Saved {counted(len(self.conversation.messages), 'message')} to {path}.", err=True)

    def _load(self, name: str) -> None:
        if not name:
            click.echo("From which file? /load FILE", err=True)
            return
        self.conversation = Conversation.load(Path(name).expanduser())
        click.echo(f"Going on after {counted(len(self.conversation.messages), 'message')}.", err=True)

    def _stats(self, _: str) -> None:
        info, totals = self._llm.info, self._llm.stats
        computed = totals.prompt_tokens - totals.cached_tokens
        right = f", {totals.accepted_tokens} of {totals.drafted_tokens} guesses right" if totals.drafted_tokens else ""
        tell(
            f"{info.name}: {info.manifest.quant}, {info.threads} threads, context {info.context} tokens\n"
            f"on {info.device.name}: {info.device.why}\n"
            f"{counted(totals.requests, 'answer')}; {totals.prompt_tokens} prompt tokens,"
            f" {totals.cached_tokens} of them cached;"
            f" {totals.completion_tokens} tokens written{right}\n"
            f"prefill {_rate(computed, totals.prefill_s)}, decode"
            f" {_rate(totals.completion_tokens - totals.requests, totals.decode_s)}"
        )


def _rate(tokens: int, seconds: float) -> str:
    speed = tokens_per_second(tokens, seconds)
    return "-" if speed is None else f"{speed:.1f} tok/s"
