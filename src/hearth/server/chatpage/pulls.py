"""Getting models from the hub: several at once, whether or not a page is open, each with its speed."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from typing import Final

from hearth.errors import HearthError
from hearth.hub.names import parse_hub_name
from hearth.prepare import Progress
from hearth.server.chatpage.schema import PullLine, Wrong
from hearth.server.chatpage.shelf import Shelf
from hearth.server.errors import as_api_error, log_fault
from hearth.server.models import Models

_SPEED_OVER_S: Final = 10.0
_MOST: Final = 100


class _Ended(HearthError):
    """The user does not want it any more. What has come is kept, and the next pull goes on from there."""


class Pulls:
    """The models on their way, and those that have come or failed until the page has taken note."""

    def __init__(self, models: Models, shelf: Shelf) -> None:
        self._models = models
        self._shelf = shelf
        self._pulls: dict[str, _Pull] = {}
        self._repositories: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def lines(self) -> list[PullLine]:
        return [pull.line() for pull in self._pulls.values()]

    def begin(self, name: str) -> PullLine:
        """Begins to get a model, or goes on with it; one that is on its way is left alone.

        Args:
            name: as `names.hub_name` gives it.
        """
        pull = self._pulls.get(name)
        if pull is None or pull.state != "running":
            while len(self._pulls) >= _MOST:
                self._pulls.pop(next(iter(self._pulls))).end()
            # Two names may mean one file: what is of one repository comes one after the other.
            turn = self._repositories[parse_hub_name(name).repo_id]
            pull = self._pulls[name] = _Pull(self._models, self._shelf, name, turn)
        return pull.line()

    def drop(self, name: str) -> None:
        """Ends one, or takes it off the list."""
        pull = self._pulls.pop(name, None)
        if pull is not None:
            pull.end()


class _Pull:
    def __init__(self, models: Models, shelf: Shelf, name: str, turn: asyncio.Lock) -> None:
        self._models = models
        self._shelf = shelf
        self._name = name
        self._turn = turn
        self._ended = False
        self._latest: Progress | None = None
        self._seen: deque[tuple[float, int]] = deque()  # when, bytes
        self._model = ""
        self._error: Wrong | None = None
        self._task = asyncio.create_task(self._run())

    @property
    def state(self) -> str:
        return "running" if not self._task.done() else "failed" if self._error else "done"

    def end(self) -> None:
        self._ended = True

    def line(self) -> PullLine:
        latest = self._latest
        return PullLine(
            name=self._name,
            state=self.state,
            stage=latest.stage if latest else "",
            done=latest.done if latest else 0,
            total=latest.total if latest else 0,
            bytes_per_s=self._speed() if latest and latest.stage == "download" else 0.0,
            model=self._model,
            error=self._error,
        )

    async def _run(self) -> None:
        try:
            async with self._turn:
                if not self._ended:
                    self._model = await self._models.get(self._name, self._tell)
            await self._shelf.look()
        except _Ended:
            pass  # it is off the list
        except Exception as error:
            told = as_api_error(error)
            if told.status >= 500:
                log_fault("getting a model", error)
            self._error = Wrong(message=told.message, hint=told.hint, kind=told.kind)

    def _tell(self, progress: Progress) -> None:
        """In another thread; only the latest one counts."""
        if self._ended:
            raise _Ended("Getting this model was ended.")
        self._latest = progress
        if progress.stage == "download":
            now = time.monotonic()
            self._seen.append((now, progress.done))
            while self._seen[0][0] < now - _SPEED_OVER_S:
                self._seen.popleft()

    def _speed(self) -> float:
        seen = list(self._seen)
        if len(seen) < 2:
            return 0.0
        (begin, before), (end, after) = seen[0], seen[-1]
        return max(0, after - before) / (end - begin) if end > begin else 0.0
