"""A client that openapi-python-client makes of the document, used as its users would."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

NAME = "squall_generated_client"


@pytest.fixture(scope="module")
def generated(service, tmp_path_factory):
    """Generate the client; returns a function that imports a module of it."""
    directory = tmp_path_factory.mktemp("generated")
    document = directory / "openapi.json"
    document.write_bytes(service.ask("GET", "/openapi.json").body)
    programs = Path(sys.executable).parent  # its own ruff formats what it makes
    subprocess.run(
        [programs / "openapi-python-client", "generate", "--path", document, "--meta", "none",
         "--output-path", directory / NAME, "--fail-on-warning"],
        check=True,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
    )  # fmt: skip
    sys.path.insert(0, str(directory))
    try:
        yield lambda name: importlib.import_module(f"{NAME}.{name}")
    finally:
        sys.path.remove(str(directory))


@pytest.fixture
def client(service, generated):
    url = f"http://127.0.0.1:{service.ports[0]}"
    with generated("client").AuthenticatedClient(base_url=url, token=service.token) as client:
        yield client


def test_it_runs_a_job_to_its_end(generated, client):
    models, submit = generated("models"), generated("api.default.submit")
    spec = models.Spec(args=["sh", "-c", "echo out; exit 3"], labels=models.SpecLabels())
    spec.labels["made"] = "by a generated client"
    answer = submit.sync_detailed(client=client, body=spec, prefer="wait=30")
    assert answer.status_code == 200
    job = answer.parsed
    assert isinstance(job, models.Job)
    assert (job.state, job.exit_code, job.stdout.text) == ("failed", 3, "out\n")
    assert job.labels["made"] == "by a generated client"
    listed = generated("api.default.list_").sync(
        client=client, label=["made:by a generated client"]
    )
    assert [each.id for each in listed.jobs] == [job.id]
    again = generated("api.default.get").sync(job.id, client=client)
    assert again.args == spec.args


def test_it_submits_a_batch_with_a_bad_item(generated, client):
    models, submit = generated("models"), generated("api.default.submit")
    specs = [models.Spec(args=["true"]), models.Spec(args=[]), models.Spec(args=["true"])]
    first, problem, last = submit.sync(client=client, body=specs)
    assert isinstance(first, models.Job) and isinstance(last, models.Job)
    assert isinstance(problem, models.Problem)
    assert (problem.type_, problem.status) == ("about:blank", 422)
    assert [error.field for error in problem.errors] == ["args"]


def test_it_is_told_what_is_wrong(generated, client):
    models, submit = generated("models"), generated("api.default.submit")
    problem = submit.sync(client=client, body=models.Spec(args=["true"], timeout=-1))
    assert isinstance(problem, models.Problem) and problem.errors[0].field == "timeout"
    missing = "01a1fbfb-43ed-7000-a63e-87eb0967494d"
    assert generated("api.default.get").sync(missing, client=client).status == 404
    assert generated("api.default.cancel").sync(missing, client=client).status == 404
