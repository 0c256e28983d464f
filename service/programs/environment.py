"""What `squall up` was given, kept for as long as the programs run.

The processes get it as their environment. `reload` and the others read it back, so that they mean
the service that runs, whatever the environment of the shell that they are called from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from service import settings as settings_
from service.programs.files import ProgramFiles
from service.settings import Loaded, Settings

PATHS = {("state", "dir"), ("front", "tls_certificate"), ("front", "tls_key")}


def environment_of(loaded: Loaded, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the SQUALL_* variables that lead to these settings from anywhere.

    What stands in the configuration file stays there: a process reads it when it starts.
    """
    found = {"SQUALL_STATE_DIR": str(Path(loaded.settings.state.dir).absolute())}
    for (section, key), source in loaded.sources.items():
        value = getattr(getattr(loaded.settings, section), key)
        if source.startswith(("--", "SQUALL_")):
            found[f"SQUALL_{section}_{key}".upper()] = _text(value, (section, key) in PATHS)
        elif source != "default":
            found["SQUALL_CONFIG"] = str(Path(source.rpartition(":")[0]).absolute())
    if "SQUALL_CONFIG" not in found and environ.get("SQUALL_CONFIG"):
        found["SQUALL_CONFIG"] = str(Path(environ["SQUALL_CONFIG"]).absolute())
    return found


def remember(files: ProgramFiles, environment: dict[str, str], settings: Settings) -> None:
    """Write down what was given, and what is in force by it."""
    files.environment.write_bytes(msgspec.json.encode(environment))
    files.settings.write_bytes(msgspec.json.encode(settings))


def in_force(files: ProgramFiles, loaded: Loaded) -> Settings:
    """Return the settings of the service that runs; those of `loaded` when `up` started none.

    They do not change with the configuration file before a reload has taken it over.
    """
    return settings_.in_force(files.settings) or loaded.settings


def read_anew(files: ProgramFiles, loaded: Loaded) -> tuple[dict[str, str], Settings]:
    """Return what was given, and what is in force by it with the configuration file as it is now.

    Raises SettingsError when the file has become wrong.
    """
    environment = remembered(files, loaded)
    return environment, settings_.load(environ=environment).settings


def remembered(files: ProgramFiles, loaded: Loaded) -> dict[str, str]:
    """Return the SQUALL_* variables of what runs; those of `loaded` when `up` started none."""
    try:
        return msgspec.json.decode(files.environment.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return environment_of(loaded)


def _text(value: object, is_path: bool) -> str:
    if isinstance(value, list):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(Path(str(value)).absolute()) if is_path and value else str(value)
