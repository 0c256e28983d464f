"""Calls in order, on one thread, in groups; who asks for the same shares one call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from service.errors import LedgerError
from service.ledger.thread import DatabaseThread, Group

pytestmark = pytest.mark.gen_test(timeout=20)


@pytest.fixture
def thread() -> Iterator[DatabaseThread]:
    thread = DatabaseThread("test-thread", perform)
    yield thread
    thread.close()


def perform(group: Group) -> None:
    for operation in group:
        try:
            operation.outcome = operation.call()
        except LookupError as exc:
            operation.outcome = exc


async def test_calls_are_made_in_order_on_one_other_thread(io_loop, thread):
    seen: list[int] = []
    threads = await asyncio.gather(
        *(thread.call(lambda n=n: seen.append(n) or threading.get_ident()) for n in range(9))
    )
    assert seen == list(range(9))
    assert len(set(threads)) == 1 and threading.get_ident() not in threads


async def test_the_same_asked_for_in_one_turn_is_called_once(io_loop, thread):
    calls: list[int] = []

    def call() -> int:
        calls.append(1)
        return len(calls)

    assert await asyncio.gather(*(thread.call(call, same="a") for _ in range(5))) == [1] * 5
    assert await thread.call(call, same="a") == 2  # another turn: what is read is as new
    both = await asyncio.gather(thread.call(call, same="a"), thread.call(call, same="b"))
    assert both == [3, 4]
    assert await asyncio.gather(thread.call(call), thread.call(call)) == [5, 6]


async def test_one_who_gives_up_takes_nothing_from_the_others(io_loop, thread):
    futures = [thread.call(lambda: "value", same="a") for _ in range(3)]
    futures[0].cancel()
    assert await asyncio.gather(*futures[1:]) == ["value", "value"]


async def test_all_who_share_a_call_get_its_error(io_loop, thread):
    def call() -> None:
        raise LookupError("no")

    futures = [thread.call(call, same="a") for _ in range(2)]
    for future in futures:
        with pytest.raises(LookupError, match="no"):
            await future


async def test_what_performing_raises_is_told_to_all_and_the_thread_goes_on(io_loop, thread):
    def call() -> None:
        raise SystemError("not expected by `perform`")

    outcomes = await asyncio.gather(
        thread.call(call), thread.call(lambda: 1), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [SystemError, SystemError]
    assert await thread.call(lambda: 2) == 2


async def test_nobody_waits_for_a_closed_thread(io_loop):
    thread = DatabaseThread("test-thread", perform)
    last = thread.call(lambda: "done")
    thread.close()
    assert await last == "done"
    with pytest.raises(LedgerError, match="closed"):
        thread.call(lambda: "never")
