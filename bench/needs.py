"""What the peers need, what of it is missing, and how to install it; nothing is downloaded here."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass

PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
MODULES = ("celery", "rq", "huey", "flask", "gunicorn", "redis")

# The interpreter that has the Python peers: `--peers-python`, or the one that runs this.
_interpreter = sys.executable


@dataclass(frozen=True)
class Need:
    """A program, or a Python module, and the Debian package or PyPI project that has it."""

    name: str
    package: str
    is_module: bool = False

    @property
    def is_there(self) -> bool:
        """Whether it is installed."""
        if self.is_module:
            return self.name in _modules(_interpreter)
        return find(self.name) is not None

    @property
    def advice(self) -> str:
        """How to install it."""
        return f"{'pip' if self.is_module else 'apt'} install {self.package}"


def program(name: str, package: str = "") -> Need:
    """Need a program."""
    return Need(name, package or name)


def module(name: str) -> Need:
    """Need a Python module."""
    return Need(name, name, is_module=True)


def find(name: str) -> str | None:
    """Return the path of a program; system administrators' programs too."""
    return shutil.which(name, path=PATH)


def missing(needs: Iterable[Need]) -> list[Need]:
    """Return what is not installed."""
    return [need for need in needs if not need.is_there]


def use_python(interpreter: str) -> None:
    """Take the Python peers from this interpreter."""
    global _interpreter
    _interpreter = interpreter


def python() -> str:
    """Return the interpreter that has the Python peers."""
    return _interpreter


@functools.cache
def _modules(interpreter: str) -> frozenset[str]:
    code = (
        "import importlib.util as u, json;"
        f"print(json.dumps([m for m in {MODULES!r} if u.find_spec(m)]))"
    )
    done = subprocess.run([interpreter, "-c", code], capture_output=True, check=True)
    return frozenset(json.loads(done.stdout))
