"""What is in force, and where each value came from.

A value is taken from the first of: a flag, the environment (`SQUALL_SECTION_KEY`), one TOML file
(`--config`, `SQUALL_CONFIG`), the default that stands here. Everything that is wrong is named at
once, by its key and the place where it was set.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from service.errors import SettingsError

Port = Annotated[int, Meta(ge=1, le=65_535)]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Size = Annotated[int, Meta(ge=0, le=2**40)]


class StateSettings(msgspec.Struct, frozen=True):
    """Where the service keeps everything that it writes."""

    dir: str = ""
    """Ledger, journals, logs, sockets, token; `$XDG_STATE_HOME/squall` when empty."""


class FrontSettings(msgspec.Struct, frozen=True):
    """The address that clients use; nginx listens there."""

    host: str = "127.0.0.1"
    """An IP address. Anything but loopback needs TLS or `behind_proxy`."""
    port: Port = 8080
    """The TCP port of the front."""
    behind_proxy: bool = False
    """A proxy that ends TLS stands in front of nginx: allows other addresses than loopback."""
    tls_certificate: str = ""
    """A PEM file with the certificate chain; with `tls_key` nginx speaks HTTPS."""
    tls_key: str = ""
    """A PEM file with the private key."""
    allowed_hosts: list[str] = []
    """Names, or `name:port`, that clients may use beside localhost and the front's own address."""


class ProcessesSettings(msgspec.Struct, frozen=True):
    """The service's processes."""

    count: Annotated[int, Meta(ge=1, le=64)] = 4
    """How many; they listen on `first_port` and up, on 127.0.0.1."""
    first_port: Port = 8885
    """The TCP port of the first process."""


class JobsSettings(msgspec.Struct, frozen=True):
    """How many jobs, and how much of each."""

    running: Annotated[int, Meta(ge=1, le=100_000)] = 64
    """Jobs that one process runs at once."""
    queued: Annotated[int, Meta(ge=0, le=10_000_000)] = 20_000
    """Jobs that may wait, over all processes; beyond that a submission is answered 503. With 0
    a process accepts what it can start at once, and nothing else."""
    output_bytes: Size = 16 * 1024 * 1024
    """Bytes kept of each output stream of a job that doesn't say: half head, half tail."""
    drain: Seconds = 30.0
    """Seconds that running jobs have to finish after TERM before they are stopped."""
    survive: bool = True
    """Whether a running job goes on when its process dies or is replaced; see docs/survival.md."""
    cgroup: str = ""
    """A directory of cgroup version 2 that the service may write: each job then has a cgroup of its
    own there, which nothing that it starts can leave. A start then takes some 20 ms."""
    umask: Annotated[str, Meta(pattern="^0?[0-7]{3}$")] = "022"
    """What the files that jobs make are not open for, in octal digits; see umask(2)."""


class RetentionSettings(msgspec.Struct, frozen=True):
    """How long ended jobs and their output stay; whatever bound is reached first."""

    age: Annotated[float, Meta(gt=0, le=3_153_600_000)] = 30 * 86_400.0
    """Seconds after a job's end."""
    count: Annotated[int, Meta(ge=0, le=10**9)] = 2_000_000
    """Ended jobs, the newest ones."""
    output_bytes: Annotated[int, Meta(ge=0, le=2**50)] = 20 * 1024**3
    """Bytes of all output files together."""
    interval: Annotated[float, Meta(ge=0.1, le=86_400)] = 60.0
    """Seconds between two looks."""


class HttpSettings(msgspec.Struct, frozen=True):
    """Limits on what a client may send."""

    body_bytes: Annotated[int, Meta(ge=1024, le=2**31)] = 8 * 1024 * 1024
    """The largest request body."""
    body_seconds: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    """How long a request body may take to arrive."""
    wait_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 3600.0
    """The longest that `Prefer: wait` holds an answer."""
    streams: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """Followed answers that one process has open at once, beyond that 503; 0: seven of eight
    connections that it may have, at most 10,000."""


class LogSettings(msgspec.Struct, frozen=True):
    """What is logged, one JSON object a line."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severity that is written."""


class Settings(msgspec.Struct, frozen=True):
    """All settings, by section."""

    state: StateSettings = StateSettings()
    front: FrontSettings = FrontSettings()
    processes: ProcessesSettings = ProcessesSettings()
    jobs: JobsSettings = JobsSettings()
    retention: RetentionSettings = RetentionSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()

    @property
    def ports(self) -> list[int]:
        """The ports of all processes, lowest first."""
        first = self.processes.first_port
        return list(range(first, first + self.processes.count))

    @property
    def front_url(self) -> str:
        """Where a client on this machine reaches the service, without a slash at the end."""
        host = self.front.host
        if (address := ipaddress.ip_address(host)).is_unspecified:
            host = "127.0.0.1" if address.version == 4 else "::1"
        scheme = "https" if self.front.tls_certificate else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.front.port}"


Key = tuple[str, str]


class Loaded(msgspec.Struct, frozen=True):
    """Settings together with where each value came from: `sources["front", "port"]`."""

    settings: Settings
    sources: dict[Key, str]


def load(
    config: str | Path | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    flags: Mapping[Key, object] = {},
) -> Loaded:
    """Find out what is in force; raises SettingsError that lists everything wrong.

    `flags` maps (section, key) to a value; None there means that the flag was not given.
    """
    values: dict[Key, object] = {}
    sources: dict[Key, str] = {}
    wrong: list[str] = []
    if config := config or environ.get("SQUALL_CONFIG"):
        _from_file(Path(config), values, sources, wrong)
    _from_environ(environ, values, sources)
    for key, value in flags.items():
        if value is not None:
            values[key], sources[key] = value, f"--{key[1].replace('_', '-')}"
    settings = _build(values, sources, wrong)
    wrong += _wrong_together(settings, sources)
    if wrong:
        raise SettingsError("\n".join(wrong))
    if not settings.state.dir:
        settings = msgspec.structs.replace(settings, state=StateSettings(_default_dir(environ)))
    return Loaded(settings, {key: sources.get(key, "default") for key in keys()})


def in_force(path: Path) -> Settings | None:
    """Return the settings that `squall up` wrote to `path`; None when it wrote none for us to read.

    Raises SettingsError when they are not what this version writes.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Settings)
    except OSError:
        return None  # not started by `up`, or by another user
    except msgspec.MsgspecError as exc:
        raise SettingsError(f"what `squall up` left at {path} is wrong: {exc}") from exc


def keys() -> dict[Key, Any]:
    """Return every (section, key) with its type, in the order of this file."""
    found = {}
    for section, struct in typing.get_type_hints(Settings).items():
        for key, type_ in typing.get_type_hints(struct, include_extras=True).items():
            found[section, key] = type_
    return found


def _from_file(
    path: Path, values: dict[Key, object], sources: dict[Key, str], wrong: list[str]
) -> None:
    try:
        text = path.read_text()
        document = tomllib.loads(text)
    except OSError as exc:
        raise SettingsError(f"{path}: {exc.strerror}") from exc
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise SettingsError(f"{path}: {exc}") from exc
    known = keys()
    for section, table in document.items():
        for key, value in table.items() if isinstance(table, dict) else [("", table)]:
            place = f"{path}:{_line(text, section, key)}"
            if (section, key) in known:
                values[section, key], sources[section, key] = value, place
            else:
                wrong.append(f"{f'{section}.{key}'.rstrip('.')}: unknown key ({place})")


def _line(text: str, section: str, key: str) -> int:
    """Find the line of a key, or of its section's header where the key is written another way."""
    current, header = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r"\s*\[([^\[\]]+)\]", line):
            current = match[1].strip()
            header = number if current == section else header
        elif re.match(rf"\s*{re.escape(key if current == section else section)}\s*[.=]", line):
            return number
    return header


def _from_environ(
    environ: Mapping[str, str], values: dict[Key, object], sources: dict[Key, str]
) -> None:
    for (section, key), type_ in keys().items():
        name = f"SQUALL_{section}_{key}".upper()
        if text := environ.get(name):
            is_list = typing.get_origin(type_) is list
            values[section, key] = [item for item in text.split(",") if item] if is_list else text
            sources[section, key] = name


def _build(values: dict[Key, object], sources: dict[Key, str], wrong: list[str]) -> Settings:
    sections: dict[str, dict[str, object]] = {}
    for (section, key), type_ in keys().items():
        if (section, key) not in values:
            continue
        try:
            # what comes from the environment is text: "8080" is a number there, "true" a boolean
            from_text = sources[section, key].startswith("SQUALL_")
            value = msgspec.convert(values[section, key], type_, strict=not from_text)
            sections.setdefault(section, {})[key] = value
        except msgspec.ValidationError as exc:
            wrong.append(f"{section}.{key}: {_why(exc, type_)} ({sources[section, key]})")
    return msgspec.convert(sections, Settings)


def _why(exc: msgspec.ValidationError, type_: object) -> str:
    """Return what is wrong with a value; msgspec does not say which words are right."""
    message = str(exc)[:1].lower() + str(exc)[1:]
    if typing.get_origin(type_) is not typing.Literal:
        return message
    return f"{message}; {', '.join(typing.get_args(type_))} are valid"


def host_and_port(text: str) -> tuple[str, int | None]:
    """Return name or address in lower case, and the port, of `name` or `name:port`; ValueError."""
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.netloc != text or "@" in text or re.search(r"\s", text):
        raise ValueError(f"not a host: {text!r}")
    return parts.hostname, parts.port


def _wrong_together(settings: Settings, sources: dict[Key, str]) -> list[str]:
    front, found = settings.front, []
    where = {key: f" ({source})" for key, source in sources.items()}
    try:
        is_loopback = ipaddress.ip_address(front.host).is_loopback
    except ValueError:
        found.append(f"front.host: must be an IP address{where.get(('front', 'host'), '')}")
        is_loopback = True
    if bool(front.tls_certificate) != bool(front.tls_key):
        found.append("front.tls_certificate: give it together with front.tls_key")
    if not (is_loopback or front.behind_proxy or front.tls_certificate):
        found.append(
            "front.host: an address other than loopback needs front.tls_certificate and"
            " front.tls_key, or front.behind_proxy = true where a proxy ends TLS"
            + where.get(("front", "host"), "")
        )
    for host in front.allowed_hosts:
        try:
            host_and_port(host)
        except ValueError:
            place = where.get(("front", "allowed_hosts"), "")
            found.append(f"front.allowed_hosts: not a name, or name:port: {host!r}{place}")
    ports = settings.ports
    if ports[-1] > 65_535:
        found.append("processes.first_port: too high for that many processes")
    if front.port in ports:
        found.append("front.port: is also the port of a process")
    return found


def _default_dir(environ: Mapping[str, str]) -> str:
    home = environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return str(Path(home) / "squall")
