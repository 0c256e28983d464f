"""Requests that schemathesis makes up from the document, valid ones and others; all its checks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

CONFIG = """
[checks.positive_data_acceptance]
# no such job, one in another state, a Range outside of what there is
expected-statuses = ["2xx", 401, 404, 409, 416]

# a wrong item of a batch is told inside of a 202; null is as good as nothing
[[operations]]
include-name = ["POST /v1/jobs", "POST /v1/jobs/{id}/rerun"]
[operations.checks.negative_data_rejection]
expected-statuses = [200, 202, 400, 401, 404, 405, 409, 413, 415, 422]

[auth.openapi.token]
bearer = "${TOKEN}"
"""


def test_every_answer_is_one_that_the_document_tells_of(service, tmp_path):
    tmp_path.joinpath("schemathesis.toml").write_text(CONFIG)
    document = tmp_path / "openapi.json"
    document.write_bytes(service.ask("GET", "/openapi.json").body)
    command = [
        Path(sys.executable).with_name("st"), "run",
        document, "--url", f"http://127.0.0.1:{service.ports[0]}",
        "--checks", "all",
        "--exclude-path", "/v1/events",  # which has no end
        "--max-examples", "5",
        "--seed", "9",
        "--no-shrink",
        "--request-timeout", "30",
    ]  # fmt: skip
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TOKEN": service.token,
        "SCHEMATHESIS_HOOKS": "tests.clients.schemathesis_hooks",
    }
    ran = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert service.run("echo", "fine")["stdout"]["text"] == "fine\n"
