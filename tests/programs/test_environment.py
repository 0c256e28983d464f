"""What `squall up` was given reaches the processes and `reload`, from anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import SettingsError
from service.programs import environment
from service.programs.files import ProgramFiles
from service.settings import load
from service.state import StateDir


@pytest.fixture
def files(tmp_path: Path) -> ProgramFiles:
    files = ProgramFiles(StateDir(tmp_path / "state"))
    files.create()
    return files


def test_flags_and_environment_come_back_from_anywhere(
    files: ProgramFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {
        "SQUALL_STATE_DIR": "state",
        "SQUALL_FRONT_ALLOWED_HOSTS": "a.example,b.example",
        "SQUALL_FRONT_TLS_CERTIFICATE": "cert.pem",
        "SQUALL_FRONT_TLS_KEY": "/etc/key.pem",
    }
    flags: dict[tuple[str, str], object] = {("front", "port"): 81, ("front", "behind_proxy"): True}
    loaded = load(environ=environ, flags=flags)
    environment.remember(files, environment.environment_of(loaded, environ), loaded.settings)
    monkeypatch.chdir("/")
    _, recalled = environment.read_anew(files, load(environ={}))
    assert recalled.state.dir == str(tmp_path / "state")
    assert recalled.front.allowed_hosts == ["a.example", "b.example"]
    assert (recalled.front.port, recalled.front.behind_proxy) == (81, True)
    assert recalled.front.tls_certificate == str(tmp_path / "cert.pem")
    assert recalled.front.tls_key == "/etc/key.pem"


@pytest.mark.parametrize("way", ["flag", "environment"])
def test_the_configuration_file_is_read_anew(
    way: str, files: ProgramFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "squall.toml"
    config.write_text("[jobs]\nrunning = 2\n")
    environ = {"SQUALL_STATE_DIR": str(files.state.path)}
    if way == "environment":
        environ["SQUALL_CONFIG"] = "squall.toml"
    loaded = load("squall.toml" if way == "flag" else None, environ=environ)
    environment.remember(files, environment.environment_of(loaded, environ), loaded.settings)
    monkeypatch.chdir("/")
    assert environment.read_anew(files, load(environ={}))[1].jobs.running == 2
    config.write_text("[jobs]\nrunning = 3\n")
    assert environment.read_anew(files, load(environ={}))[1].jobs.running == 3
    config.write_text("[jobs]\nrunning = 'many'\n")
    with pytest.raises(SettingsError, match=r"jobs\.running: .*squall\.toml:2"):
        environment.read_anew(files, load(environ={}))
    assert environment.in_force(files, load(environ={})).jobs.running == 2


def test_nothing_secret_is_in_the_environment_of_the_processes(files: ProgramFiles) -> None:
    token = files.state.token()
    environ = {"SQUALL_STATE_DIR": str(files.state.path)}
    assert environment.environment_of(load(environ=environ), environ) == environ
    assert token not in str(environ)
