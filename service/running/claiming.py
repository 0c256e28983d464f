"""Taking jobs out of the queue: as many as there is room for here, however they were heard of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.ledger import Claim, Ledger
from service.peers.notices import KNOWS_OF_WORK, Peers
from service.running.slots import Slots


class Claiming:
    """What this process knows of waiting jobs, and its claims that are on their way.

    A slot is taken from the moment a claim is asked for until the job has ended.
    """

    def __init__(
        self,
        ledger: Ledger,
        peers: Peers,
        owner: str,
        slots: Slots,
        on_claim: Callable[[Claim, bool], None],
    ) -> None:
        """`on_claim(claim, is_unwanted)` is called for each job that has become this process's."""
        self.knows_of_work = False
        self._ledger = ledger
        self._peers = peers
        self._owner = owner
        self._slots = slots
        self._on_claim = on_claim
        self._asked = 0  # claims on their way
        self._unwanted: set[str] = set()  # cancelled while their claims were on their way to us

    def begin(self) -> bool:
        """Whether to `claim` now: jobs are known to wait, and there is room for some.

        That is forgotten before the look: what is queued from now on is told again.
        """
        if not self.knows_of_work or not self._slots.free:
            return False
        self.know_of_work(False)
        return True

    @contextmanager
    def asked(self, room: int) -> Iterator[list[Claim]]:
        """Keep `room` slots for claims that are asked for meanwhile; those that came are ours."""
        self._slots.take(room)
        self._asked += 1
        claims: list[Claim] = []
        try:
            yield claims
        finally:
            self._asked -= 1
            self._slots.give_back(room - len(claims))
            unwanted = self._unwanted & {claim.id for claim in claims}
            self._unwanted = self._unwanted - unwanted if self._asked else set()
            for claim in claims:
                self._on_claim(claim, claim.id in unwanted)

    async def claim(self) -> int:
        """Claim as many of the jobs that wait as there is room for; return how many came."""
        room = self._slots.free
        if not room:  # it was taken meanwhile
            self.know_of_work(True)
            return 0
        try:
            with self.asked(room) as claims:
                claims += await self._ledger.claim(self._owner, room)
        except BaseException:
            self.know_of_work(True)
            raise
        if len(claims) == room:
            self.know_of_work(True)  # there may be more
        return len(claims)

    def refuse(self, id: str) -> None:
        """Note that a job was cancelled whose claim may be on its way to us."""
        if self._asked:
            self._unwanted.add(id)

    def know_of_work(self, is_known: bool) -> None:
        """Note whether jobs are known to wait; the peers tell of more only who doesn't know."""
        self.knows_of_work = is_known
        self._peers.say(KNOWS_OF_WORK, is_known)

    def tell_of_work(self) -> None:
        """Note that jobs wait, and tell the peers."""
        self.know_of_work(True)
        self._peers.tell_of_work()
