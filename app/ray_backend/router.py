"""Ray Serve's extension point for choosing replicas, answered by `RowsInFlight`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ray.serve.request_router import (
    PendingRequest,
    ReplicaID,
    ReplicaResult,
    RequestRouter,
    RunningReplica,
)

from app.ray_backend.messages import ReplicaOrder
from app.ray_backend.rows import Place, RowsInFlight


class FewestRows(RequestRouter):
    """Sends each order to the replica with the fewest rows in flight.

    Ray asks the candidates in the order given, and takes the first that has room. An order counts
    from the moment it is chosen for, not from when it arrives: a burst would meet one replica.
    """

    def initialize_state(self, mixing_penalty: float) -> None:
        """Called by Ray with the deployment's `request_router_kwargs`."""
        self._in_flight: RowsInFlight[ReplicaID] = RowsInFlight(mixing_penalty)

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """The candidates, one by one, the best first."""
        order = _order(pending_request)
        by_id = {replica.replica_id: replica for replica in candidate_replicas}
        size = order.inputs.size if order else (0, 0)
        ids = self._in_flight.order(by_id, size)
        if order and pending_request and ids:
            self._place(pending_request, order, ids[0])
            pending_request.future.add_done_callback(self._forget_if_cancelled(pending_request))
        return [[by_id[replica_id]] for replica_id in ids]

    def on_request_routed(
        self, pending_request: PendingRequest, replica_id: ReplicaID, result: ReplicaResult
    ) -> None:
        """The replica took it."""
        del result
        if order := _order(pending_request):
            self._place(pending_request, order, replica_id)

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """The replica has done with it, one way or another."""
        del replica_id
        self._in_flight.drop(internal_request_id)

    def _place(self, request: PendingRequest, order: ReplicaOrder, replica_id: ReplicaID) -> None:
        place = Place(replica_id, order.rows, order.inputs.size)
        self._in_flight.place(request.metadata.internal_request_id, place)

    def _forget_if_cancelled(
        self, request: PendingRequest
    ) -> Callable[[asyncio.Future[object]], None]:
        """Ray says nothing of a request that was given up before a replica took it."""

        def forget(future: asyncio.Future[object]) -> None:
            if future.cancelled():
                self._in_flight.drop(request.metadata.internal_request_id)

        return forget


def _order(request: PendingRequest | None) -> ReplicaOrder | None:
    arguments = request.args if request else ()
    return next((it for it in arguments if isinstance(it, ReplicaOrder)), None)
