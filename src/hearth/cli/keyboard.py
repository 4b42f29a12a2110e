"""Where the lines of a conversation come from: a keyboard with history and multi-line editing, or a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

QUOTES = '"""'
_PROMPT = "> "


def is_complete(text: str) -> bool:
    """Whether an input ends here: no backslash at its end, no open triple quotes."""
    if text.lstrip().startswith(QUOTES):
        return text.lstrip().count(QUOTES) >= 2
    return not text.endswith("\\")


def without_marks(text: str) -> str:
    """The input itself: without the triple quotes around it and the backslashes at the ends of its lines."""
    begin = text.strip()
    if begin.startswith(QUOTES) and begin.count(QUOTES) >= 2:
        inner, _, rest = begin[len(QUOTES) :].partition(QUOTES)
        return (inner.strip("\n") + rest).strip("\n")
    return text.replace("\\\n", "\n").rstrip("\n")


def lines(commands: Sequence[str] = ()) -> Iterator[str]:
    """The user's inputs, until they leave.

    Args:
        commands: what can be typed after a slash; Tab completes them.
    """
    yield from _typed(commands) if sys.stdin.isatty() and sys.stdout.isatty() else _piped()


def _piped() -> Iterator[str]:
    text = ""
    for line in sys.stdin:
        text += line.rstrip("\n")
        if is_complete(text):
            yield without_marks(text)
            text = ""
        else:
            text += "\n"
    if text.strip():
        yield without_marks(text)


def _typed(commands: Sequence[str]) -> Iterator[str]:
    session = _session(commands)
    interrupted = False
    while True:
        try:
            text = session.prompt(_PROMPT)
        except KeyboardInterrupt:
            # The first one may have been meant for an answer that had just ended.
            if interrupted:
                click.echo("Ctrl-D or /exit leaves.", err=True)
            interrupted = True
            continue
        except EOFError:
            return
        interrupted = False
        yield without_marks(text)


def _session(commands: Sequence[str]) -> PromptSession[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.history import FileHistory, History, InMemoryHistory
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c")
    def _(event: KeyPressEvent) -> None:
        # At a text: begin it anew. At an empty prompt: told above.
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt)

    path = history_file()
    history: History = FileHistory(str(path)) if path else InMemoryHistory()
    return PromptSession(
        history=history,
        key_bindings=keys,
        multiline=True,
        prompt_continuation="  ",
        reserve_space_for_menu=0,
        completer=WordCompleter([f"/{name}" for name in commands], sentence=True),
        complete_while_typing=False,
    )


def history_file() -> Path | None:
    """The file with earlier inputs, readable by its owner only; None where it cannot be written."""
    import platformdirs

    folder = Path(platformdirs.user_state_dir("hearth", appauthor=False))
    path = folder / "history"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError:
        return None
    return path
