"""The others, a file each: what it needs, and a context in which it is ready to be measured."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from bench.needs import Need, missing
from bench.place import Place

Ready = TypeVar("Ready")
APPS = Path(__file__).parent / "apps"


@dataclass(frozen=True)
class Peer(Generic[Ready]):
    """One of the others. `ready(place)` starts it, and ends it when the context is left."""

    name: str
    needs: tuple[Need, ...]
    ready: Callable[[Place], AbstractContextManager[Ready]]

    @property
    def is_there(self) -> bool:
        """Whether all that it needs is installed."""
        return not missing(self.needs)
