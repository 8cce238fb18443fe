"""An event loop whose clock jumps: real sockets, but no second is ever waited for.

It exists because budgets, retries and timeouts take minutes, and because mocks of sockets would
hide how aiohttp really behaves. When a timer is due in 60 s and nothing else is to be done, the
clock is set 60 s ahead. Everything that goes by the loop's clock (sleeps, aiohttp's timeouts,
keep-alive and connection pool, the throttle, the sandbox's window) thus sees one consistent
time, which doesn't move while code runs.

"Nothing else" is the hard part. Real time is waited, and the clock stands still, while

- a call in a thread is out (``run_in_executor``, ``to_thread``, ``getaddrinfo``);
- bytes, a FIN or a connect are between two sockets of this loop, which the kernel can tell;
- somebody outside might speak: the other end of a socket isn't this loop's, a file descriptor
  is no TCP socket, or a thread was started by hand. What they will do can't be known, so that
  they get ``_GRACE`` to do it before each jump, and what takes them longer comes too late.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import selectors
import socket
import struct
import sys
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from types import CodeType
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

from aiohttp import connector

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# For everything of which nobody can tell whether it is going to speak, before each jump.
_GRACE = 0.05
# Without the kernel's help every socket is such a thing, so that this is a compromise.
_BLIND_GRACE = 0.01
# Only a bug of this module, or a full accept queue, takes so long; no test may hang by it.
_IN_FLIGHT_LIMIT = 5.0
# A thread that isn't back by then, nor by the timer in real time, itself waits for the timer.
_THREAD_LIMIT = 5.0

# The state, bytes received, not sent, sent and sent again of Linux' ``struct tcp_info``.
_TCP_INFO = struct.Struct("=B127xQ8xI52xQQ")
_SENT_FIN = {4, 5, 9, 11}  # FIN_WAIT1, FIN_WAIT2, LAST_ACK, CLOSING

Address = tuple[Any, ...]


class _Tcp(NamedTuple):
    state: int
    received: int
    unsent: int
    sent: int
    sent_again: int

    @classmethod
    def of(cls, sock: socket.socket) -> _Tcp:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        return cls(*_TCP_INFO.unpack(info))


class _Connections:
    """Knows which sockets the loop has had, and asks the kernel what is between them.

    It goes by what one end has sent and the other has received. Unacknowledged bytes
    (SIOCOUTQ) would be no measure: the kernel delays an acknowledgement by 40 ms when it likes.
    """

    def __init__(self) -> None:
        # Views of descriptors that others own: detached at the end, never closed.
        self._views: dict[int, socket.socket] = {}
        self._ends: dict[int, tuple[Address, Address]] = {}
        self._descriptors: dict[tuple[Address, Address], int] = {}
        self._listening: set[int] = set()

    def note(self, fd: int) -> None:
        """Must be told of a descriptor while it is open."""
        if (view := self._views.pop(fd, None)) is not None:
            view.detach()
        self._ends.pop(fd, None)
        try:
            view = socket.socket(fileno=fd)
        except OSError:
            return
        if view.type != socket.SOCK_STREAM or view.family not in {socket.AF_INET, socket.AF_INET6}:
            view.detach()
            return
        self._views[fd] = view
        with suppress(OSError):
            if view.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                self._listening.add(view.getsockname()[1])
            else:
                ends = view.getsockname(), view.getpeername()
                self._ends[fd] = ends
                self._descriptors[ends] = fd

    def patience(self, key: selectors.SelectorKey) -> float:
        """How long something for this registered socket may still be on its way."""
        view = self._views.get(key.fd)
        if view is None:
            return _GRACE
        try:
            if view.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return 0.0  # who connects waits for it
            here, there = self._ends.get(key.fd) or (view.getsockname(), view.getpeername())
        except OSError:
            return _IN_FLIGHT_LIMIT  # it connects
        if not key.events & selectors.EVENT_READ:
            return 0.0  # it waits for the other end to read
        if (there, here) not in self._descriptors and there[1] not in self._listening:
            return _GRACE
        other = self._views.get(self._descriptors.get((there, here), -1))
        try:
            if other is None or other.getpeername() != here:
                return _IN_FLIGHT_LIMIT  # it isn't accepted yet, or closed: a FIN must come
            # The sender first: what arrives between the two questions isn't in flight.
            sender, received = _Tcp.of(other), _Tcp.of(view).received
        except OSError:
            return _IN_FLIGHT_LIMIT  # closed
        missing = sender.sent - sender.sent_again > received
        return _IN_FLIGHT_LIMIT if missing or sender.unsent or sender.state in _SENT_FIN else 0.0

    def close(self) -> None:
        while self._views:
            self._views.popitem()[1].detach()


class _JumpingSelector(selectors.DefaultSelector):
    """Waits in real time only for what is under way."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.calls: set[Future[Any]] = set()
        # Those that are idle, unless ``calls`` says otherwise, or none of this loop's business.
        self._quiet_threads = weakref.WeakSet(threading.enumerate())
        self._connections = _Connections()
        self._wakeup: int | None = None

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = super().register(fileobj, events, data)
        if self._wakeup is None:
            self._wakeup = key.fd  # the loop makes its own pipe first
        elif sys.platform == "linux":
            self._connections.note(key.fd)
        return key

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        patience = max(self.socket_patience(), self._thread_patience(timeout))
        # Asked after that, so that it sees what has arrived in the meantime.
        ready = super().select(patience)
        if not ready:
            self.now += timeout
        return ready

    def close(self) -> None:
        self._connections.close()
        super().close()

    def socket_patience(self) -> float:
        keys = [key for key in self.get_map().values() if key.fd != self._wakeup]
        if sys.platform != "linux":
            return _BLIND_GRACE if keys else 0.0
        return max(map(self._connections.patience, keys), default=0.0)

    def _thread_patience(self, timeout: float) -> float:
        if self.calls:
            return max(timeout, _THREAD_LIMIT)
        quiet = {*self._quiet_threads, threading.current_thread()}
        return 0.0 if quiet.issuperset(threading.enumerate()) else _GRACE

    def in_worker(self, func: Callable[..., T], *args: Any) -> T:
        self._quiet_threads.add(threading.current_thread())
        return func(*args)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _JumpingSelector()
        self._pool: ThreadPoolExecutor | None = None
        self._futures: weakref.WeakKeyDictionary[asyncio.Future[Any], tuple[CodeType, int]] = (
            weakref.WeakKeyDictionary()
        )
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    def run_forever(self) -> None:
        with _pools_age_by_the_running_loop():
            super().run_forever()

    def set_default_executor(self, executor: Any) -> None:
        self._pool = executor
        super().set_default_executor(executor)

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        if executor is None:
            if self._pool is None:
                self.set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))
            executor = self._pool
        assert executor is not None
        if isinstance(executor, ThreadPoolExecutor):  # processes take no closures
            call = executor.submit(self._clock.in_worker, func, *args)
        else:
            call = executor.submit(func, *args)
        future = asyncio.wrap_future(call, loop=self)
        self._clock.calls.add(call)
        # Added last and done by the loop: the clock may go on only when the loop has the result.
        call.add_done_callback(self._call_came_back)
        return future

    def _call_came_back(self, call: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self.call_soon_threadsafe(self._clock.calls.discard, call)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        # Without the timeout, which would be simulated while the threads are real.
        await super().shutdown_default_executor()

    def create_future(self) -> asyncio.Future[Any]:
        future = super().create_future()
        self._futures[future] = _caller()
        return future

    def pending_futures(self) -> list[str]:
        return [
            f"{future!r} of {code.co_qualname} ({os.path.basename(code.co_filename)}:{line})"
            for future, (code, line) in list(self._futures.items())
            if not future.done()
        ]

    @contextmanager
    def asking_outside(self) -> Generator[None]:
        """While the block lasts, somebody outside is about to speak, as a thread that is out is."""
        question: Future[Any] = Future()
        self._clock.calls.add(question)
        try:
            yield
        finally:
            self._clock.calls.discard(question)

    def linger(self) -> None:
        """Wait for the sockets, without a jump."""
        selectors.DefaultSelector.select(self._clock, self._clock.socket_patience())


def _caller() -> tuple[CodeType, int]:
    """Whose code makes a future: the innermost that is neither asyncio's nor this module's."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_back is not None:
        if (
            os.path.dirname(frame.f_code.co_filename) != _ASYNCIO
            and frame.f_globals is not globals()
        ):
            break
        frame = frame.f_back
    assert frame is not None
    return frame.f_code, frame.f_lineno


_ASYNCIO = os.path.dirname(asyncio.__file__)

_patching = threading.Lock()
_loops_running = 0


@contextmanager
def _pools_age_by_the_running_loop() -> Generator[None]:
    """Give aiohttp's connection pool and DNS cache, which don't ask the loop, its time.

    The module is shared by all threads, hence the count, and the choice at each call.
    """
    global _loops_running
    clocks: dict[str, Any] = connector.__dict__
    with _patching:
        if _loops_running == 0:
            assert clocks["monotonic"] is time.monotonic, "aiohttp no longer works that way"
            clocks["monotonic"] = _time_of_running_loop
        _loops_running += 1
    try:
        yield
    finally:
        with _patching:
            _loops_running -= 1
            if _loops_running == 0:
                clocks["monotonic"] = time.monotonic


def _time_of_running_loop() -> float:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return time.monotonic()
    return loop.time() if isinstance(loop, VirtualTimeLoop) else time.monotonic()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run in a loop of its own, and fail if anything is left over."""

    async def checked() -> T:
        result = await main
        await assert_nothing_is_left()
        return result

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(checked())


async def assert_nothing_is_left() -> None:
    """Fail if a task runs, a timer is set, or (simulated time only) a future is pending.

    All of them are given some turns to end, for those whose end is under way: cancelled tasks,
    and the timers and futures of connections being closed. asyncio and aiohttp then keep none.
    """
    loop = asyncio.get_running_loop()
    for _ in range(40):
        if not _left(loop):
            return
        if isinstance(loop, VirtualTimeLoop):
            loop.linger()
            await asyncio.sleep(0)
        else:
            await asyncio.sleep(0.005)
    gc.collect()  # a future in a cycle of garbage isn't referenced
    if left := _left(loop):
        raise AssertionError("; ".join(left))


def _left(loop: asyncio.AbstractEventLoop) -> list[str]:
    tasks = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
    timers = [repr(handle) for handle in vars(loop)["_scheduled"] if not handle.cancelled()]
    futures = loop.pending_futures() if isinstance(loop, VirtualTimeLoop) else []
    found = {
        "tasks left running": tasks,
        "timers left set": timers,
        "futures left pending": futures,
    }
    return [f"{what}: {things}" for what, things in found.items() if things]
