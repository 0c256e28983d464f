"""`check-config`, `token`, `version`, and what is said when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service import __version__
from service.settings import keys

from .conftest import Squall, error, free_port


def test_check_config_prints_every_setting_with_its_source(squall: Squall, tmp_path: Path) -> None:
    config = tmp_path / "squall.toml"
    config.write_text("[front]\nport = 9999\n")
    done = squall("--config", str(config), "check-config", SQUALL_LOG_LEVEL="debug")
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    assert len(lines) == len(keys())
    words = [" ".join(line.split()) for line in lines]
    assert f"front.port = 9999 ({config}:2)" in words
    assert 'log.level = "debug" (SQUALL_LOG_LEVEL)' in words
    assert "processes.count = 4 (default)" in words


def test_check_config_names_all_that_is_wrong(squall: Squall, tmp_path: Path) -> None:
    config = tmp_path / "squall.toml"
    config.write_text('[front]\nport = "many"\n\n[jobs]\nnope = 1\n')
    done = squall("check-config", SQUALL_CONFIG=str(config), SQUALL_LOG_LEVEL="loud")
    assert (done.returncode, done.stdout) == (1, b"")
    assert f"{config}:2" in error(done) and f"{config}:5" in error(done)
    assert "SQUALL_LOG_LEVEL" in error(done)
    assert "debug, info, warning, error are valid" in error(done)


def test_a_missing_file_of_settings_is_named_once(squall: Squall, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.toml")
    done = squall("--config", missing, "ps")
    assert (done.returncode, done.stdout) == (1, b"")
    assert error(done) == f"squall: {missing}: No such file or directory\n"


def test_check_config_as_json(squall: Squall) -> None:
    found = json.loads(squall("check-config", "--json").stdout)
    assert found["state.dir"] == {"value": str(squall.state_dir), "source": "SQUALL_STATE_DIR"}


def test_token_is_printed(squall: Squall) -> None:
    done = squall("token")
    assert done.stdout.decode() == (squall.state_dir / "token").read_text()


def test_token_of_the_environment_comes_first(squall: Squall, tmp_path: Path) -> None:
    token = (squall.state_dir / "token").read_text().strip()
    done = squall("run", "true", SQUALL_TOKEN=token, SQUALL_STATE_DIR=str(tmp_path))
    assert done.returncode == 0


def test_wrong_token_is_refused_in_one_line(squall: Squall) -> None:
    done = squall("ps", SQUALL_TOKEN="0123456789abcdef")
    assert done.returncode == 1
    assert "token" in error(done) and error(done).count("\n") == 1


def test_missing_token_says_where_it_comes_from(squall: Squall, tmp_path: Path) -> None:
    for command in (["token"], ["ps"]):
        done = squall(*command, SQUALL_STATE_DIR=str(tmp_path))
        assert done.returncode == 1
        assert "squall up" in error(done)
    assert not list(tmp_path.iterdir())


def test_token_of_this_machine_does_not_go_to_another(squall: Squall) -> None:
    done = squall("--url", "http://squall.example", "ps")
    assert done.returncode == 1
    assert "SQUALL_TOKEN" in error(done)


@pytest.mark.parametrize(("command", "code"), [(["ps"], 1), (["run", "true"], 125)])
def test_service_that_is_down_says_how_to_start_it(
    squall: Squall, command: list[str], code: int
) -> None:
    done = squall(*command, SQUALL_URL=f"http://127.0.0.1:{free_port()}")
    assert (done.returncode, done.stdout) == (code, b"")
    assert "squall up" in error(done) and error(done).count("\n") == 1


def test_address_is_the_front_of_the_settings(squall: Squall) -> None:
    port = free_port()
    done = squall("ps", SQUALL_URL="", SQUALL_FRONT_PORT=str(port))
    assert f"http://127.0.0.1:{port};" in error(done)


def test_version_is_an_option_and_a_command(squall: Squall) -> None:
    shown = squall("--version").stdout
    assert shown == squall("version").stdout == squall("-V").stdout
    assert json.loads(squall("version", "--json").stdout)["version"] in shown.decode()


@pytest.mark.parametrize("address", ["ftp://localhost:8080", "http://", "localhost:eighty", ":80"])
def test_address_that_is_none_is_refused(squall: Squall, address: str) -> None:
    done = squall("--url", address, "ps", SQUALL_TOKEN="0123456789abcdef")
    assert done.returncode == 1
    assert "http://HOST:PORT" in error(done)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_host_and_port_of_this_machine_need_no_scheme(squall: Squall, host: str) -> None:
    address = f"{host}:{squall.url.rpartition(':')[2]}"
    assert squall("--url", address, "ps").returncode == 0
    assert squall("ps", SQUALL_URL=f"{address}/").returncode == 0


def test_another_machine_without_a_scheme_is_asked_for_it(squall: Squall) -> None:
    done = squall("--url", "squall.example.org:8080", "ps", SQUALL_TOKEN="0123456789abcdef")
    assert done.returncode == 1
    assert "say https://squall.example.org:8080, or http://" in error(done)


@pytest.mark.parametrize(
    "args", [["nope"], ["run"], ["run", "-t", "soon", "true"], ["ps", "--state", "gone"],
             ["run", "-e", "UNSET_HERE", "true"], ["run", "--limit", "soul=1", "true"],
             ["run", "--limit", "cpu_seconds", "true"]],
)  # fmt: skip
def test_wrong_usage_is_2(squall: Squall, args: list[str]) -> None:
    done = squall(*args)
    assert (done.returncode, done.stdout) == (2, b"")
    assert "Traceback" not in error(done)


def test_version(squall: Squall) -> None:
    assert squall("version").stdout.decode() == f"squall {__version__}\n"
    assert json.loads(squall("version", "--json").stdout) == {"version": __version__}


def test_every_command_has_help(squall: Squall) -> None:
    listed = squall("--help").stdout.decode().partition("Commands:\n")[2]
    names = [line.split()[0] for line in listed.splitlines() if line.startswith("  ")]
    assert {"run", "ps", "logs"} <= set(names)
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    for name in names:
        assert f"\n## {name}" in page or f"`squall {name}" in page, f"{name} is not documented"
        done = squall(name, "--help")
        assert done.returncode == 0
        assert done.stdout.startswith(f"Usage: squall {name} ".encode())
