"""Chooses the replica for a request: Ray Serve's public `RequestRouter`, with the policy of `prefix`.

Ray's own `PrefixCacheAffinityRouter` comes with `ray[llm]`, which brings vLLM and torch; this one needs Ray Serve only.
"""

from __future__ import annotations

from typing import Any

from ray.serve.request_router import PendingRequest, ReplicaID, RequestRouter, RunningReplica

from hearth.server.ray.prefix import PrefixIndex

PREFIX = "prefix"
"""Keyword of a call to a replica: the prompt's blocks."""


class PrefixRouter(RequestRouter):  # type: ignore[misc,unused-ignore]  # untyped where Ray is not installed
    """Ranks replicas by what they have computed of the prompt already, unless that one is busier than the others."""

    def initialize_state(self, **kwargs: Any) -> None:
        self._index: PrefixIndex[ReplicaID] = PrefixIndex(**kwargs)

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """There are others now."""
        super().update_replicas(replicas)
        self._index.keep({replica.replica_id for replica in replicas})

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Best first; each one a rank of its own, so that the next is asked only where one is full."""
        by_id = {replica.replica_id: replica for replica in candidate_replicas}
        return [[by_id[key]] for key in self._index.ranked(list(by_id), _blocks(pending_request))]

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: Any) -> None:
        """It went there."""
        self._index.begun(replica_id, _blocks(pending_request))

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """It has ended, however it did."""
        self._index.ended(replica_id)


def _blocks(request: PendingRequest | None) -> tuple[bytes, ...]:
    return request.kwargs.get(PREFIX, ()) if request is not None else ()
