"""The examples in the documentation run; a user's type checker accepts a user's program."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import inspect
import os
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import executor

DOCS = Path(__file__).resolve().parents[2] / "docs"
EXAMPLES = re.findall(r"```python\n(.*?)```", (DOCS / "library.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
@pytest.mark.gen_test(timeout=60)
async def test_example_of_the_documentation_runs(io_loop, number):
    code = compile(EXAMPLES[number], "library.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    made = eval(code, {"__name__": "example"})
    if inspect.iscoroutine(made):
        await asyncio.wait_for(made, 30)


@pytest.mark.gen_test(timeout=60)
async def test_program_of_the_documentation_executes_itself_anew(io_loop, tmp_path):
    (program,) = re.findall(r"```py\n(.*?)```", (DOCS / "library.md").read_text(), re.DOTALL)
    (tmp_path / "program.py").write_text(program)
    env = {**os.environ, "PYTHONPATH": str(DOCS.parent)}
    args = [sys.executable, str(tmp_path / "program.py")]
    result = await executor.run(args, env=env, text=True, timeout=60)
    assert (result.stdout, result.stderr) == ("7 b'done\\n'\n", "")


def test_every_option_and_name_is_documented():
    text = (DOCS / "library.md").read_text() + (executor.Subprocess.__doc__ or "")
    names = set(executor.__all__) - {"Usage", "Result", "ExecutorError"}
    options = set(inspect.signature(executor.Subprocess).parameters) - {"popen_args"}
    assert [name for name in sorted(names | options) if name not in text] == []


def test_library_imports_nothing_of_the_service():
    code = "import sys, executor; print(*sorted(name for name in sys.modules if '.' not in name))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    names = set(done.stdout.split())
    assert "service" not in names
    assert names - sys.stdlib_module_names - {"executor", "tornado"} <= {
        name for name in names if name.startswith(("_", "sitecustomize")) or "editable" in name
    }


USER = """
import asyncio
from executor import PIPE, CommandFailed, Handover, Limits, Result, Subprocess, Usage, run

def done(status: int | None, stdout: bytes, stderr: bytes, has_timed_out: bool) -> None:
    print(status, stdout.hex(), stderr, has_timed_out)

def done_text(status: int | None, stdout: str, stderr: str, has_timed_out: bool) -> None:
    print(status, stdout.casefold(), stderr, has_timed_out)

async def note(stream: str, chunk: bytes) -> None:
    print(stream, chunk)

async def reap() -> tuple[int, Usage | None] | None:
    return 0, None

async def main() -> None:
    Subprocess(done, 3, args=["true"]).start()
    Subprocess(done_text, timeout=3, args=["true"], encoding="utf-8").start()
    raw: Result[bytes] = await run(["true"], on_output=note, limits=Limits(open_files=9), cwd="/")
    text: Result[str] = await run("true", shell=True, text=True, drain=None, umask=0o22)
    print(raw.stdout.hex(), text.stdout.casefold())
    async with Subprocess(args=["cat"], stdin=PIPE, text=True) as sp:
        await sp.write("x")
        sp.close_stdin()
        async for line in sp.lines():
            print(line.casefold())
        async for chunk in sp.chunks("stderr"):
            print(chunk.casefold())
        handover: Handover = sp.release()
        taken: Subprocess[bytes] = Subprocess.take_over(handover, done, reap=reap)
        other = Subprocess.take_over(handover, text=True, on_output=note, drain=None)
        print((await taken.wait()).stdout.hex(), (await other.wait()).stdout.casefold())
    try:
        await run(["false"], check=True)
    except CommandFailed as error:
        print(error.result.status)

asyncio.run(main())
"""
WRONG = "from executor import Subprocess\nSubprocess(args=['true'], no_such_option=1)\n"


def test_an_editor_sees_the_options_of_run():
    options = typing.get_type_hints(executor.run)["options"]
    (named,) = typing.get_args(options)
    names = set(inspect.signature(executor.Subprocess).parameters) - {"popen_args", "callback"}
    assert names - set(inspect.signature(executor.run).parameters) <= set(named.__annotations__)
    assert {"cwd", "env", "umask"} <= set(named.__annotations__)


@pytest.mark.skipif(not importlib.util.find_spec("mypy"), reason="mypy is not installed")
def test_users_type_checker_accepts_a_users_program(tmp_path):
    def check(name: str, text: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / name).write_text(text)
        args = [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--cache-dir",
            str(tmp_path / "cache"),
            name,
        ]
        # an editable install is found at run time only
        env = {**os.environ, "MYPYPATH": str(DOCS.parent)}
        return subprocess.run(
            args, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )

    right = check("right.py", USER)
    assert right.returncode == 0, right.stdout + right.stderr
    wrong = check("wrong.py", WRONG)
    assert wrong.returncode == 1
    assert "wrong.py" in wrong.stdout
