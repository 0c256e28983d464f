"""Which job is meant."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from service.cli.errors import Failure
from service.cli.text import printable

if TYPE_CHECKING:
    from service.cli.client import Client

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
END = re.compile(r"[0-9a-f]{8,12}")
RECENT = 1_000


def resolve(client: Client, given: str) -> str:
    """Return the whole id for an id, or for its end as tables show it; raises Failure.

    An end has 8 characters at least, all of them random (48 bits of a UUIDv7 in the last group),
    and is looked for among the newest thousand jobs; it must fit one of them only.
    """
    text = given.lower()
    if UUID.fullmatch(text):
        return text
    if not END.fullmatch(text):
        raise Failure(
            f"{printable(given)!r} is not a job's id, nor the last 8 to 12 letters of one"
        )
    recent = islice(client.jobs(), RECENT)
    found = [job.id for job, _ in recent if job.id.endswith(text)]
    if len(found) == 1:
        return found[0]
    if found:
        raise Failure(f"{len(found)} of the newest jobs end with {text}; give more of the id")
    raise Failure(f"none of the newest {RECENT:,} jobs ends with {text}; give its whole id")
