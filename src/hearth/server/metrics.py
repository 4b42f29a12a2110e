"""What the server counts, for Prometheus: `Metrics`. What a model is doing is asked at the moment it is read."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from hearth.chat.answer import Chunk, Completion
    from hearth.server.models import Models

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_FIRST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)
_BETWEEN = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5, 5)


class AnswerStream(Protocol):
    """A running answer, as `hearth.worker` gives it."""

    @property
    def completion(self) -> Completion | None: ...
    def __aiter__(self) -> AsyncIterator[list[Chunk]]: ...
    async def __anext__(self) -> list[Chunk]: ...
    async def aclose(self) -> None: ...


class Metrics:
    """Counters and histograms of one server, in a registry of its own."""

    def __init__(self, models: Models) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no annotation there
        self.registry = CollectorRegistry()
        self.requests = self._counter(
            "hearth_http_requests", "Requests by route, method and status.", "route", "method", "status"
        )
        self.request_seconds = self._histogram("hearth_http_request_seconds", "Whole requests.", _SECONDS, "route")
        self.answers = self._counter("hearth_answers", "Answers by how they ended.", "model", "finish_reason")
        self.client_gone = self._counter("hearth_clients_gone", "Clients that left before their answer ended.", "route")
        self.prompt_tokens = self._counter("hearth_prompt_tokens", "Prompt tokens.", "model")
        self.cached_tokens = self._counter(
            "hearth_cached_prompt_tokens", "Prompt tokens found in the prefix cache.", "model"
        )
        self.completion_tokens = self._counter("hearth_completion_tokens", "Tokens drawn.", "model")
        self.first_token = self._histogram(
            "hearth_time_to_first_token_seconds", "From asking a model to its first token.", _FIRST, "model"
        )
        self.between_tokens = self._histogram(
            "hearth_time_between_tokens_seconds", "Between tokens of one answer.", _BETWEEN, "model"
        )
        self.pictures = self._counter("hearth_pictures", "Pictures looked at, by how that ended.", "model", "outcome")
        self.picture_seconds = self._histogram(
            "hearth_picture_seconds", "From a request with a picture to its answer.", _SECONDS, "model"
        )
        self.registry.register(_ModelState(models))
        ProcessCollector(registry=self.registry)

    def follow(self, stream: AnswerStream, model: str) -> Followed:
        """The same stream, counted."""
        return Followed(stream, model, self)

    @contextmanager
    def picture(self, model: str) -> Iterator[None]:
        """Counts a picture that is looked at."""
        begin, outcome = time.perf_counter(), "error"
        try:
            yield
            outcome = "seen"
        finally:
            self.pictures.labels(model, outcome).inc()
            self.picture_seconds.labels(model).observe(time.perf_counter() - begin)

    def render(self) -> bytes:
        return generate_latest(self.registry)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(name, about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, about, labels, buckets=buckets, registry=self.registry)


class Followed:
    """A running answer whose times and tokens are counted while they pass by."""

    def __init__(self, stream: AnswerStream, model: str, metrics: Metrics) -> None:
        self._stream = stream
        self._model = model
        self._metrics = metrics
        self._last = time.perf_counter()
        self._begun = False
        self._counted = False

    @property
    def completion(self) -> Completion | None:
        return self._stream.completion

    def __aiter__(self) -> Followed:
        return self

    async def __anext__(self) -> list[Chunk]:
        try:
            chunks = await self._stream.__anext__()
        except BaseException as error:
            self._count(error)
            raise
        now = time.perf_counter()
        times = self._metrics.between_tokens if self._begun else self._metrics.first_token
        times.labels(self._model).observe(now - self._last)
        self._begun, self._last = True, now
        return chunks

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._count(None)

    def _count(self, error: BaseException | None) -> None:
        if self._counted:
            return
        self._counted = True
        done = self.completion
        if done is None:
            reason = "error" if isinstance(error, Exception) else "cancelled"
            self._metrics.answers.labels(self._model, reason).inc()
            return
        self._metrics.answers.labels(self._model, done.finish_reason).inc()
        self._metrics.prompt_tokens.labels(self._model).inc(done.usage.prompt_tokens)
        self._metrics.cached_tokens.labels(self._model).inc(done.usage.cached_tokens)
        self._metrics.completion_tokens.labels(self._model).inc(done.usage.completion_tokens)


class _ModelState(Collector):
    """What each model is doing at the moment it is asked."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def collect(self) -> Iterable[Metric]:
        return list(self._families())

    def _families(self) -> Iterator[Metric]:
        cards = self._models.cards()
        for name, about, field in (
            ("hearth_model_loaded", "1 while the model is in memory.", "loaded"),
            ("hearth_requests_running", "Requests that are computed now.", "running"),
            ("hearth_requests_waiting", "Requests in the queue.", "waiting"),
        ):
            family = GaugeMetricFamily(name, about, labels=["model"])
            for card in cards:  # labels are names that were given at the start: few
                family.add_metric([card.id], float(getattr(card, field)))
            yield family
        memory = GaugeMetricFamily("hearth_model_memory_bytes", "Weights, keys and values.", labels=["model"])
        pages = GaugeMetricFamily("hearth_kv_pages", "Pages for keys and values.", labels=["model"])
        used = GaugeMetricFamily("hearth_kv_pages_used", "Pages that running requests hold.", labels=["model"])
        for card in cards:
            memory.add_metric([card.id], float(card.size_bytes or 0) if card.loaded else 0.0)
        for opened in self._models.opened():
            total = opened.llm.session.num_pages
            pages.add_metric([opened.name], float(total))
            used.add_metric([opened.name], float(total - opened.llm.engine.num_available_pages))
        yield from (memory, pages, used)
