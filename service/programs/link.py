"""The link beside the committed supervisord.conf, by which supervisorctl finds the fleet."""

from __future__ import annotations

import os
from pathlib import Path

from service.programs import conf
from service.programs.files import FleetFiles, template
from service.programs.supervisord import Supervisor


def make(files: FleetFiles) -> None:
    """Point `supervisor/run` at this fleet, unless another fleet that runs has it."""
    link = _path()
    if link.is_symlink():
        other = Supervisor(link / files.supervisor_socket.name)
        if link.readlink() != files.state.run and other.is_up():
            return
    elif link.exists():
        return
    fresh = link.with_name(f".run.{os.getpid()}")
    try:
        fresh.symlink_to(files.state.run)
        fresh.replace(link)
    except OSError:
        pass  # installed where this user cannot write: STATE_DIR/supervisord.conf works as well


def remove(files: FleetFiles) -> None:
    """Take the link away if it is this fleet's."""
    link = _path()
    try:
        if link.readlink() == files.state.run:
            link.unlink()
    except OSError:
        pass  # there is none, or it cannot be removed and dangles: the next `up` replaces it


def _path() -> Path:
    return template(conf.SUPERVISORD).with_name("run")
