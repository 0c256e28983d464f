"""The door: calls in order, on one thread, in groups; who asks for the same shares one call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from service.ledger.door import Door, Group

pytestmark = pytest.mark.gen_test(timeout=20)


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door("test-door", perform)
    yield door
    door.close()


def perform(group: Group) -> None:
    for operation in group:
        try:
            operation.outcome = operation.call()
        except LookupError as exc:
            operation.outcome = exc


async def test_calls_are_made_in_order_on_one_other_thread(io_loop, door):
    seen: list[int] = []
    threads = await asyncio.gather(
        *(door.pass_through(lambda n=n: seen.append(n) or threading.get_ident()) for n in range(9))
    )
    assert seen == list(range(9))
    assert len(set(threads)) == 1 and threading.get_ident() not in threads


async def test_the_same_asked_for_in_one_turn_is_called_once(io_loop, door):
    calls: list[int] = []

    def call() -> int:
        calls.append(1)
        return len(calls)

    assert await asyncio.gather(*(door.pass_through(call, same="a") for _ in range(5))) == [1] * 5
    assert await door.pass_through(call, same="a") == 2  # another turn: what is read is as new
    both = await asyncio.gather(
        door.pass_through(call, same="a"), door.pass_through(call, same="b")
    )
    assert both == [3, 4]
    assert await asyncio.gather(door.pass_through(call), door.pass_through(call)) == [5, 6]


async def test_one_who_gives_up_takes_nothing_from_the_others(io_loop, door):
    futures = [door.pass_through(lambda: "value", same="a") for _ in range(3)]
    futures[0].cancel()
    assert await asyncio.gather(*futures[1:]) == ["value", "value"]


async def test_all_who_share_a_call_get_its_error(io_loop, door):
    def call() -> None:
        raise LookupError("no")

    futures = [door.pass_through(call, same="a") for _ in range(2)]
    for future in futures:
        with pytest.raises(LookupError, match="no"):
            await future
