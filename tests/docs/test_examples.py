"""Every example of the documentation runs as it stands, and every setting is documented."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service import settings
from tests.conftest import SQUALL

ROOT = Path(__file__).parents[2]
# but for what Tornado itself causes where no loop runs yet, from Python 3.12 on
STRICT = ("-W", "error", "-W", "ignore:There is no current event loop:DeprecationWarning")
BLOCK = re.compile(r"<!-- run: (\w+) -->\n```(?:sh|python)\n(.*?)```", re.S)
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def blocks(document: Path, kind: str) -> list[str]:
    return [text for found, text in BLOCK.findall(document.read_text()) if found == kind]


@pytest.mark.parametrize(
    "document", [d for d in DOCUMENTS if blocks(d, "front")], ids=lambda path: path.name
)
def test_examples_run_beside_the_service(front, document, tmp_path):
    script = "set -euo pipefail\n" + "\n".join(blocks(document, "front"))
    script = script.replace("127.0.0.1:8080", f"127.0.0.1:{front.ports[0]}")
    script = script.replace("/tmp/squall-example", str(tmp_path / "example"))
    script = script.replace("$PWD/.venv/bin", str(SQUALL.parent))
    (tmp_path / "script").write_text(script)
    ran = subprocess.run(
        ["bash", "script"],
        stdin=subprocess.DEVNULL,
        env=front.environ | {"SQUALL_SOURCE": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]


@pytest.mark.parametrize(
    "document", [d for d in DOCUMENTS if blocks(d, "python")], ids=lambda path: path.name
)
def test_python_examples_run(document, tmp_path):
    for block in blocks(document, "python"):
        ran = subprocess.run(
            [sys.executable, *STRICT, "-c", block],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stderr


def test_the_four_commands_of_the_readme_end_as_they_should(tmp_path):
    (example,) = (block for block in blocks(ROOT / "README.md", "python") if "no-such" in block)
    started = time.monotonic()
    ran = subprocess.run(
        [sys.executable, *STRICT, "-c", example], cwd=tmp_path, capture_output=True, text=True
    )
    took = time.monotonic() - started
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0] == "['no-such-program'] cannot be started: No such file or directory"
    assert lines[1].startswith("['cat', 'no-such-file'] status 1 cat: no-such-file: No such file")
    assert lines[2].rstrip() == "['sleep', '1'] status 0"
    assert lines[3] == "['sleep', '5'] status -15 timed out"
    assert 3 <= took < 5 + 5  # sleep 5 was cut short; the rest is a busy machine


def test_every_setting_is_documented_with_its_default():
    text = (ROOT / "docs" / "operations.md").read_text()
    defaults = settings.Settings()
    for section, key in list(settings.keys()):
        default = getattr(getattr(defaults, section), key)
        row = next(
            line for line in text.splitlines() if re.match(rf"\| .*`{section}\.{key}`", line)
        )
        if isinstance(default, bool):
            assert f"`{str(default).lower()}`" in row
        elif isinstance(default, int | float):
            assert f"`{int(default)}`" in row
        elif default:
            assert f"`{default}`" in row


def test_every_document_is_linked_from_the_readme():
    readme = (ROOT / "README.md").read_text()
    for document in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{document.name})" in readme, document.name
