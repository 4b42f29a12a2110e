"""One engine for many threads: `SharedEngine`.

Owns whose turn it is. There is no thread of its own: of those that wait for their next event, one runs the steps, which
compute everybody's requests, and the events find their readers. So a single thread pays next to nothing, and many are
computed together. Whatever else touches the engine (beginning, ending, logits) takes a turn between two steps.

A turn is passed on at each step's end: to whoever wants the engine for something else, and then again to a reader, so
that neither waits for more than the other's one turn.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from threading import get_ident
from typing import TypeVar

from hearth.engine.engine import Engine
from hearth.engine.sequence import Request, TokenEvent
from hearth.errors import HearthError, UsageError

T = TypeVar("T")
Refusal = Callable[[], HearthError]


class _Waiter:
    """A thread that waits for its turn.

    Args:
        is_served: whether it needs none any more.
    """

    def __init__(self, is_served: Callable[[], bool]) -> None:
        self.is_served = is_served
        self.thread = get_ident()
        # Not a Condition, which Ctrl-C can leave without its lock.
        self._asleep = threading.Lock()
        self._asleep.acquire()

    def sleep(self) -> None:
        """Until somebody wakes it; at once if that has happened."""
        self._asleep.acquire()

    def wake(self) -> None:
        """One thread at a time may call it."""
        if self._asleep.locked():
            self._asleep.release()


def _never() -> bool:
    return False


class SharedEngine:
    """Takes requests and calls from any thread, at any time. A `Driver` of generations.

    Args:
        engine: touched by nobody else from now on.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._orphans: deque[int] = deque()  # requests that nobody can read; finalisers may append here
        self._refusal: Refusal | None = None
        self._begin_turns()
        _engines.add(self)

    def refuse_in_child(self) -> None:
        """After a fork: only the thread that forked is left."""
        self._refusal = self._refusal or _forked
        self._begin_turns()

    def _begin_turns(self) -> None:
        """Nobody has the turn, and nobody waits."""
        self._lock = threading.Lock()  # held for a few lines of Python, never while something is computed
        self._holder: int | None = None  # the thread whose turn it is
        self._callers: list[_Waiter] = []  # first come, first served
        self._readers: list[_Waiter] = []
        self._was_call = False

    # -- any thread ----------------------------------------------------------------------------------------------

    def check_open(self) -> None:
        """Raises what `close` was given, if it was called."""
        if self._refusal is not None:
            raise self._refusal()

    def run(self, call: Callable[[Engine], T]) -> T:
        """Calls with the engine, between two steps. The streams wait meanwhile.

        Raises:
            Whatever `call` raises. What `close` was given.
        """
        self._refuse_nested()
        return self._in_turn(call)

    def begin(self, request: Request, inbox: deque[TokenEvent]) -> int:
        return self.run(lambda engine: engine.begin(request, inbox))

    def advance_until(self, request_id: int, inbox: deque[TokenEvent]) -> None:
        """`Driver.advance_until`: by this thread if nobody else is at it."""
        engine = self._engine
        self._refuse_nested()
        while not inbox and engine.is_unfinished(request_id):
            try:
                if self._take_turn(lambda: bool(inbox) or not engine.is_unfinished(request_id)):
                    while True:
                        if self._orphans:
                            self._bury()
                        engine.advance_for(request_id)
                        if self._refusal is not None:
                            engine.fail_everything(self._refusal)
                        if inbox or not engine.is_unfinished(request_id) or self._is_wanted():
                            break
            finally:
                try:
                    self._pass_on()
                except BaseException:  # as in `_in_turn`; a function for it could be interrupted at its own first line
                    self._pass_on()
                    raise

    def end(self, request_id: int) -> None:
        if self._holder == get_ident():  # a signal handler closes a stream in the middle of a step
            self._orphans.append(request_id)
            return
        self._in_turn(lambda engine: engine.end(request_id), always=True)

    def abandon(self, inbox: deque[TokenEvent]) -> None:
        if self._holder != get_ident():
            self._in_turn(lambda engine: engine.abandon(inbox), always=True)

    def end_soon(self, request_id: int) -> None:
        self._orphans.append(request_id)
        if not self._lock.acquire(blocking=False):
            return  # whoever has the lock, and be it this thread further up, is about to take a turn or to pass it on
        try:
            is_free = self._holder is None
            if is_free:
                self._holder = get_ident()
        finally:
            self._lock.release()
        if is_free:
            try:
                self._bury()
            finally:
                try:
                    self._pass_on()
                except BaseException:  # as in `_in_turn`; a function for it could be interrupted at its own first line
                    self._pass_on()
                    raise

    def close(self, refusal: Refusal) -> None:
        """Ends all requests with this error, and refuses everything from now on. Waits for a step to end, unless it is
        this thread's own."""
        self._refusal = refusal = self._refusal or refusal
        if self._holder != get_ident():
            self._in_turn(lambda engine: engine.fail_everything(refusal), always=True)

    # -- turns ---------------------------------------------------------------------------------------------------

    def _refuse_nested(self) -> None:
        if self._holder == get_ident():
            raise UsageError(
                "This LLM is computing in this very thread, and cannot be asked anew in the middle of it.",
                why="Something that a step of it calls, such as a signal handler, asks it.",
            )

    def _in_turn(self, call: Callable[[Engine], T], *, always: bool = False) -> T:
        """Calls with the engine when it is this thread's turn."""
        try:
            self._take_turn(always=always)
            self._bury()
            return call(self._engine)
        finally:
            try:
                self._pass_on()
            except BaseException:  # Ctrl-C as it is called, or in its few lines: without them nobody could ever go on
                self._pass_on()
                raise

    def _take_turn(self, is_served: Callable[[], bool] | None = None, *, always: bool = False) -> bool:
        """Waits until it is this thread's turn. A turn taken must be passed on, however it ends.

        Args:
            is_served: of a reader: whether what it waits for is there without a turn.
            always: even when all is closed.

        Returns:
            False for a reader that is served.

        Raises:
            What `close` was given.
        """
        with self._lock:  # the common case: nobody is at it
            is_free = self._holder is None
            if is_free:
                self._holder = get_ident()
        if not is_free and not self._wait(is_served, always):
            return False
        if self._refusal is not None and not always:
            self.check_open()
        return True

    def _wait(self, is_served: Callable[[], bool] | None, always: bool) -> bool:
        """The long way to a turn."""
        waiter = _Waiter(is_served or _never)
        try:
            with self._lock:
                (self._callers if is_served is None else self._readers).append(waiter)
            while not self._claim():
                if waiter.is_served():
                    return False
                if not always:
                    self.check_open()
                waiter.sleep()
            return True
        finally:
            try:
                self._forget(waiter)
            except BaseException:  # Ctrl-C: nobody may pass its turn on to who does not wait
                self._forget(waiter)
                raise

    def _claim(self) -> bool:
        """Whether it is this thread's turn: it is free, or was passed on to it."""
        with self._lock:
            if self._holder is None:
                self._holder = get_ident()
            return self._holder == get_ident()

    def _forget(self, waiter: _Waiter) -> None:
        with self._lock:
            for queue in (self._callers, self._readers):
                if waiter in queue:
                    queue.remove(waiter)

    def _is_wanted(self) -> bool:
        """Tells readers what the step has brought; whether somebody wants a turn between this step and the next."""
        with self._lock:
            self._wake_served()
            return bool(self._callers)

    def _pass_on(self) -> None:
        """Ends this thread's turn, if it has it. May be called once more."""
        with self._lock:
            if self._holder != get_ident():
                return
            if not (self._readers or self._callers):
                self._holder = None
                return
            self._wake_served()
            reader = next((waiter for waiter in self._readers if not waiter.is_served()), None)
            caller = next(iter(self._callers), None)
            chosen = reader if caller is None or (reader is not None and self._was_call) else caller
            if chosen is None:
                self._holder = None
                return
            chosen.wake()  # it looks for its turn once the lock is free
            self._holder, self._was_call = chosen.thread, chosen is caller

    def _wake_served(self) -> None:
        for waiter in [*self._readers, *self._callers] if self._refusal else self._readers:
            if self._refusal is not None or waiter.is_served():
                waiter.wake()

    def _bury(self) -> None:
        """Ends the requests that nobody can read any more."""
        while self._orphans:  # nobody else takes any out
            self._engine.end(self._orphans[0])
            self._orphans.popleft()


_engines: weakref.WeakSet[SharedEngine] = weakref.WeakSet()


def _forked() -> HearthError:
    return UsageError(
        "This LLM was opened before the process was forked, and works only where it was opened.",
        why="A forked process has none of the threads that compute.",
        hint="Open the model in the new process, or start it by multiprocessing's method 'spawn'.",
    )


def _refuse_all() -> None:
    """In a forked process: locks may be held by threads that are not there."""
    for shared in list(_engines):
        shared.refuse_in_child()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_refuse_all)
