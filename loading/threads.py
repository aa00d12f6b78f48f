"""Work in threads, with a bound on what waits. Arrow, numpy and file systems release Python's lock while they work."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = 2


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], count: int = THREADS
) -> Iterator[Result]:
    """The results of `work` on each item, in the order of the items, of which a few are in memory at a time."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(count) as threads:
        for item in items:
            waiting.append(threads.submit(work, item))
            if len(waiting) > count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def ahead(items: Iterable[Item]) -> Generator[Item]:
    """`items`, made in a thread, one or two before they are asked for."""
    iterator = iter(items)
    end = object()
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(next, iterator, end) for _ in range(2))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(thread.submit(next, iterator, end))
            yield item  # type: ignore[misc]
