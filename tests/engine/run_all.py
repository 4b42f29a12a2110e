"""An engine driven to its end."""

from __future__ import annotations

from hearth.engine import Engine, Request, TokenEvent


def run_all(engine: Engine, requests: list[Request]) -> list[list[TokenEvent]]:
    """Events of each request, in the order of the list."""
    ids = [engine.add(request) for request in requests]
    events: dict[int, list[TokenEvent]] = {request_id: [] for request_id in ids}
    for _ in range(10_000):
        for event in engine.step():
            events[event.id].append(event)
        if not engine.num_running and not engine.num_waiting:
            return [events[request_id] for request_id in ids]
    raise AssertionError("the engine does not come to an end")
