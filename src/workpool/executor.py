"""`Executor`: workpool behind the interface of `concurrent.futures`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import islice
from multiprocessing.process import current_process
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from workpool._calls import Start, call, call_each
from workpool._functions_of_main import portable
from workpool._options import WorkerOutput
from workpool._retry_policy import RetryPolicy
from workpool.errors import EntrypointError, PoolClosed, SerializationError, WorkerStartError
from workpool.sync import WorkerPool
