"""Runs a batch: many requests in flight at once, answers written in the order in which they are finished.

Knows neither models nor servers: an `Answerer` answers one request. What fails for a while (a full queue, a model that
must be opened anew) is asked again; whatever else goes wrong with a request is its answer.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from hearth.batch.lines import BatchInput, Entry
from hearth.batch.output import BatchOutput
from hearth.server.inprocess import Answer
from hearth.server.warning import HEADER

_TRIES = 4
_PASSING: Final = frozenset({429, 503})
_PACE_S = 20.0  # over which the pace is taken


class Answerer(Protocol):
    """Answers requests.

    Attributes:
        concurrency: requests that it wants at the same time.
        fingerprint: of the model's files.
    """

    concurrency: int
    fingerprint: str

    async def answer(self, url: str, body: Mapping[str, Any]) -> Answer: ...


@dataclass
class BatchProgress:
    """How far a run is.

    Attributes:
        total: requests of the batch.
        before: finished by earlier runs.
        done: finished, those before included.
        failed: answered with an error, those before included.
        prompt_tokens, completion_tokens: of this run.
    """

    total: int
    before: int
    done: int
    failed: int
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __post_init__(self) -> None:
        self._recent: deque[tuple[float, int, int]] = deque([(time.monotonic(), 0, self.done)])

    @property
    def tokens_per_s(self) -> float:
        """Tokens of answers, of late."""
        (begin, tokens, _), now = self._recent[0], time.monotonic()
        return (self.completion_tokens - tokens) / max(now - begin, 1e-9)

    @property
    def left_s(self) -> float | None:
        """Seconds that the rest takes at the pace of late; None: not known yet."""
        (begin, _, done), now = self._recent[0], time.monotonic()
        if self.done <= done:
            return None
        return (self.total - self.done) * (now - begin) / (self.done - done)

    def count(self, answer: Answer, body: Any) -> None:
        """One more is finished."""
        self.done += 1
        self.failed += answer.status != 200
        usage = body.get("usage") if isinstance(body, dict) else None
        if isinstance(usage, dict):
            self.prompt_tokens += usage.get("prompt_tokens", usage.get("input_tokens", 0)) or 0
            self.completion_tokens += usage.get("completion_tokens", usage.get("output_tokens", 0)) or 0
        now = time.monotonic()
        self._recent.append((now, self.completion_tokens, self.done))
        while len(self._recent) > 2 and self._recent[0][0] < now - _PACE_S:
            self._recent.popleft()


async def run_batch(
    batch: BatchInput,
    output: BatchOutput,
    answerer: Answerer,
    *,
    model: str | None = None,
    told: Callable[[BatchProgress], None] = lambda progress: None,
) -> BatchProgress:
    """Answers what is not answered yet. Cancelling it leaves the output whole.

    Args:
        model: that answers, whatever the bodies name; None: as they say.
        told: after each answer.

    Raises:
        StorageError: the output cannot be written. What the answerer raises.
    """
    left = [entry for entry in batch.entries if entry.custom_id not in output.finished]
    failed = sum(not ok for ok in output.finished.values())
    progress = BatchProgress(len(batch.entries), len(output.finished), len(output.finished), failed)
    told(progress)
    waiting = iter(left)

    async def work(entries: Iterator[Entry]) -> None:
        for entry in entries:
            body = batch.body(entry)
            if model is not None:
                body["model"] = model
            answer = await _answered(answerer, entry.url, body)
            content = _json(answer.body)
            output.write(entry.custom_id, _line(entry, answer, content), ok=answer.status == 200)
            progress.count(answer, content)
            told(progress)

    count = max(1, min(answerer.concurrency, len(left)))
    workers = [asyncio.create_task(work(waiting)) for _ in range(count)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return progress


async def _answered(answerer: Answerer, url: str, body: Mapping[str, Any]) -> Answer:
    for attempt in range(1, _TRIES):
        answer = await answerer.answer(url, body)
        if answer.status not in _PASSING:
            return answer
        await asyncio.sleep(float(answer.headers.get("retry-after", attempt)))
    return await answerer.answer(url, body)


def _line(entry: Entry, answer: Answer, content: Any) -> dict[str, Any]:
    response = {
        "status_code": answer.status,
        "request_id": answer.headers.get("x-request-id", ""),
        "body": content,
    }
    if HEADER in answer.headers:
        response["warning"] = answer.headers[HEADER]
    return {
        "id": f"batch_req_{secrets.token_hex(12)}",
        "custom_id": entry.custom_id,
        "response": response,
        "error": None,
    }


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
