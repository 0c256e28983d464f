"""What `squall up` was given, kept for as long as the fleet runs.

The processes get it as their environment. `reload` and `down` read it back, so that they mean the
fleet that runs, whatever the environment of the shell that they are called from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from service import settings as settings_
from service.fleet.files import FleetFiles
from service.settings import Loaded, Settings

PATHS = {("state", "dir"), ("front", "tls_certificate"), ("front", "tls_key")}


def environment(loaded: Loaded, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the SQUALL_* variables that lead to these settings from anywhere.

    What stands in the configuration file stays there: a process reads it when it starts.
    """
    given = {"SQUALL_STATE_DIR": str(Path(loaded.settings.state.dir).absolute())}
    for (section, key), source in loaded.sources.items():
        value = getattr(getattr(loaded.settings, section), key)
        if source.startswith(("--", "SQUALL_")):
            given[f"SQUALL_{section}_{key}".upper()] = _text(value, (section, key) in PATHS)
        elif source != "default":
            given["SQUALL_CONFIG"] = str(Path(source.rpartition(":")[0]).absolute())
    if "SQUALL_CONFIG" not in given and environ.get("SQUALL_CONFIG"):
        given["SQUALL_CONFIG"] = str(Path(environ["SQUALL_CONFIG"]).absolute())
    return given


def remember(files: FleetFiles, given: dict[str, str]) -> None:
    """Write it down for the fleet's lifetime."""
    files.environment.write_bytes(msgspec.json.encode(given))


def recall(files: FleetFiles, loaded: Loaded) -> Settings:
    """Return the settings of the fleet that runs, its configuration file read anew.

    `loaded` counts when `squall up` left no word; raises SettingsError when the file became wrong.
    """
    try:
        given = msgspec.json.decode(files.environment.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return loaded.settings
    return settings_.load(environ=given).settings


def _text(value: object, is_path: bool) -> str:
    if isinstance(value, list):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(Path(str(value)).absolute()) if is_path and value else str(value)
