"""A module whose import ends every process but the one that is exempt."""

import os

from benchmarks.peer_faults.tasks import EXEMPT, Order, die_at_start, perform

if os.environ.get(EXEMPT) != str(os.getpid()):
    die_at_start()


def run(order: Order) -> object:
    """Carry out an order, if a worker ever gets so far."""
    return perform(order)
