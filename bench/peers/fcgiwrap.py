"""fcgiwrap: a C program that runs CGI programs for nginx; no token, nothing kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench import front
from bench.needs import program
from bench.peers import Peer
from bench.place import Place, wait_until
from bench.wrk import Request

WORKERS = 16

# A CGI program must print headers, which /bin/true and /bin/echo don't: `tail` prints the rest of
# this file, and is as small a program as they are.
PROGRAM = "#!/usr/bin/tail -n+2\nContent-Type: text/plain\n\n"


@contextmanager
def ready(place: Place) -> Iterator[dict[str, Request]]:
    """Have it run behind nginx; the request for each command."""
    directory = place.directory("fcgiwrap")
    for name, output in (("true", ""), ("echo", "hello\n")):
        cgi = directory / name
        cgi.write_text(PROGRAM + output)
        cgi.chmod(0o755)
    socket = directory / "fcgiwrap.sock"
    with place.running("fcgiwrap", "-c", str(WORKERS), "-s", f"unix:{socket}"):
        wait_until(socket.exists, "fcgiwrap")
        passing = front.BY_FASTCGI.format(directory=directory)
        with front.before(place, f"unix:{socket}", passing) as url:
            yield {name: Request(f"{url}/{name}", "POST", {}, "") for name in ("true", "echo")}


FCGIWRAP = Peer("fcgiwrap", (program("fcgiwrap"), program("nginx", "nginx-light")), ready)
