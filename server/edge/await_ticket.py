"""Awaits a ticket on an asyncio event loop."""

import asyncio
from typing import TypeVar

from server.core.batching.ticket import Ticket

T = TypeVar("T")


async def await_ticket(ticket: Ticket[T]) -> T:
    """Wait for the ticket's outcome on this loop. Cancelling the wait cancels the ticket."""
    if not ticket.done:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Tickets settle on this loop: batchers deliver through call_soon_threadsafe.
        ticket.add_done_callback(lambda _: None if future.done() else future.set_result(None))
        try:
            await future
        except asyncio.CancelledError:
            ticket.cancel()
            raise
    return ticket.outcome()
