"""Grammars of requests are compiled in a process of their own before the server compiles them: `GrammarTrial`.

A grammar is bounded in size, and llguidance in the work that it counts. What nobody has thought of, a few bytes that
make it compile for ever and take a gigabyte a minute, ends a process that is there for that, and not the server: a
thread cannot be stopped. The process is started with the first grammar, has 50 MB, and takes a millisecond or so for
each new grammar; those that are known are not tried again.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Final
from weakref import WeakKeyDictionary

from hearth.chat.grammar import LIMITS
from hearth.chat.grammar_tokens import Vocabulary
from hearth.errors import HearthError, UsageError

_MAX_VOCABULARIES: Final = 4
WALL_S: Final = 60.0  # where the system does not count a process's own time
_CHILD: Final = Path(__file__).with_name("grammar_child.py")
_LIMITS: Final = (
    "max_items_in_row",
    "initial_lexer_fuel",
    "step_lexer_fuel",
    "step_max_items",
    "max_lexer_states",
    "max_grammar_size",
    "verbose_errors",
)


class GrammarTrial:
    """Tries grammars, one at a time, from any thread. To be closed by whoever has it.

    Args:
        processor_s: of the process, for one grammar.
    """

    def __init__(self, processor_s: float = 5.0) -> None:
        self._processor_s = processor_s
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._known: WeakKeyDictionary[Vocabulary, int] = WeakKeyDictionary()  # what the process has been told
        self._told = 0

    def __call__(self, grammar: str, what: str, vocabulary: Vocabulary) -> None:
        """Compiles a grammar, and forgets it. Mistakes in it are not its business.

        Raises:
            UsageError: that takes more time or memory than a grammar may take.
            HearthError: no process can be started.
        """
        with self._lock:
            if vocabulary not in self._known and self._told >= _MAX_VOCABULARIES:
                self._end()  # it keeps them all
            child = self._running()
            if vocabulary not in self._known:
                self._told += 1
                self._known[vocabulary] = self._told
                self._tell(child, {"model": self._told, **_described(vocabulary)})
            asked = {"model": self._known[vocabulary], "grammar": grammar}
            if not self._tell(child, asked) or not self._answers(child):
                self._end()
                raise UsageError(
                    f"{what} cannot be used:", why="compiling it takes more time or memory than a grammar may take."
                )

    def close(self) -> None:
        with self._lock:
            self._end()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._end()
        limits = json.dumps({name: getattr(LIMITS, name) for name in _LIMITS})
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-I", str(_CHILD), limits, str(self._processor_s)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the server
            )
        except OSError as error:
            raise HearthError("No process can be started to compile a grammar in.", why=str(error)) from error
        return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        self._known.clear()
        self._told = 0
        if child is not None:
            child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout):
                assert stream is not None
                with suppress(OSError):  # what could not be sent to it
                    stream.close()

    @staticmethod
    def _tell(child: subprocess.Popen[bytes], message: dict[str, object]) -> bool:
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps(message).encode() + b"\n")
            child.stdin.flush()
        except OSError:
            return False
        return True

    @staticmethod
    def _answers(child: subprocess.Popen[bytes]) -> bool:
        stream: IO[bytes] | None = child.stdout
        assert stream is not None
        readable, _, _ = select.select([stream], [], [], WALL_S)
        return bool(readable) and stream.readline() == b"\n"


def _described(vocabulary: Vocabulary) -> dict[str, object]:
    special = {str(i): vocabulary.tokens[i].decode("utf-8", "replace") for i in vocabulary.special_token_ids}
    return {"size": len(vocabulary.tokens), "end_id": vocabulary.eos_token_id, "special": special}
