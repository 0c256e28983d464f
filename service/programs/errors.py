"""What can go wrong with the programs: every message is one line that says what to do."""

from __future__ import annotations

from service.errors import ServiceError


class ProgramError(ServiceError):
    """The programs cannot be started, stopped or reloaded as things are."""


class NotUp(ProgramError):
    """No supervisord answers for this state directory."""

    def __init__(self) -> None:
        """Say how to start."""
        super().__init__("squall is not up; start it with `squall up`")


class Stopping(ProgramError):
    """supervisord is on its way down and takes no more orders."""

    def __init__(self) -> None:
        """Say what to wait for."""
        super().__init__("squall is being stopped; `squall down` waits until it is")


class Deaf(ProgramError):
    """supervisord runs and does not answer."""

    def __init__(self) -> None:
        """Say what it may be, and that what it supervises is not touched by it."""
        super().__init__(
            "supervisord does not answer: is it stopped (`kill -CONT`)? What it started goes on;"
            " what dies does not come back"
        )
