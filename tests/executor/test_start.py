"""Start, arguments, environment: cases 1 to 18 of the conformance list."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import pty
import pwd
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from children import (
    CAT,
    SLEEP_30,
    TRUE,
    children_of_ours,
    descriptors,
    holdings,
    in_a_fork,
    py,
    sh,
    until,
)

from executor import DEVNULL, PIPE, STDOUT, Limits, Subprocess, run

LIMITS = [None, Limits(core_size=0)]
BOTH_WAYS = pytest.mark.parametrize("limits", LIMITS, ids=["plain", "limits"])
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


def never(*_: object) -> None:
    pytest.fail("the callback was called")


@pytest.fixture
def untouched():
    """Nothing is spawned, nothing is opened."""
    before = descriptors(), children_of_ours()
    yield
    assert (descriptors(), children_of_ours()) == before


# 1
@BOTH_WAYS
@pytest.mark.parametrize("name", ["/nonexistent/program", "no-such-program-in-path"])
@pytest.mark.gen_test(timeout=60)
async def test_missing_program_raises_in_the_caller(io_loop, name, limits):
    with pytest.raises(FileNotFoundError) as caught:
        Subprocess(never, args=[name], limits=limits).start()
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, name)
    await asyncio.sleep(0)


@BOTH_WAYS
@pytest.mark.parametrize("name", ["/etc/passwd", "/etc"])
@pytest.mark.gen_test(timeout=60)
async def test_program_that_may_not_be_executed_is_a_permission_error(io_loop, name, limits):
    with pytest.raises(PermissionError) as caught:
        await run([name], limits=limits)
    assert caught.value.filename == name


@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_file_without_a_format_is_an_oserror_and_not_given_to_a_shell(
    io_loop, tmp_path, limits
):
    script = tmp_path / "script"
    script.write_text("echo no interpreter is named")
    script.chmod(0o755)
    with pytest.raises(OSError) as caught:
        await run([script], limits=limits)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOEXEC, script)


@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_arguments_too_long_for_the_system_are_an_oserror(io_loop, limits):
    with pytest.raises(OSError) as caught:
        await run(["true", "x" * (4 << 20)], limits=limits)
    assert (caught.value.errno, caught.value.filename) == (errno.E2BIG, "true")


# 2
@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_missing_cwd_is_named_and_not_the_program(io_loop, limits):
    with pytest.raises(FileNotFoundError) as caught:
        await run(TRUE, cwd="/nonexistent/place", limits=limits)
    assert caught.value.filename == "/nonexistent/place"


@pytest.mark.gen_test(timeout=60)
async def test_cwd_that_is_a_file_is_named(io_loop):
    with pytest.raises(NotADirectoryError) as caught:
        await run(TRUE, cwd="/etc/passwd")
    assert caught.value.filename == "/etc/passwd"


@pytest.mark.gen_test(timeout=60)
async def test_failed_start_may_be_tried_again(io_loop, tmp_path):
    program = tmp_path / "late"
    sp = Subprocess(args=[program])
    with pytest.raises(FileNotFoundError):
        sp.start()
    program.symlink_to("/bin/true")
    sp.start()
    assert (await sp.wait()).status == 0


# 3
@pytest.mark.parametrize("args", [[], (), "", b"", [""], None], ids=repr)
def test_empty_arguments_are_refused_before_anything_is_opened(args, untouched):
    with pytest.raises(ValueError, match="args"):
        Subprocess(args=args)


# 4
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"stdout": STDOUT}, ValueError),
        ({"stdin": STDOUT}, ValueError),
        ({"stdout": -7}, ValueError),
        ({"stdin": True}, TypeError),
        ({"stdin": 1.5}, TypeError),
        ({"input": b"x", "stdin": PIPE}, ValueError),
        ({"input": "text"}, TypeError),
        ({"input": 3.5}, TypeError),
        ({"input": -1}, ValueError),
        ({"unknown_keyword": 1}, TypeError),
        ({"preexec_fn": print}, TypeError),
        ({"process_group": 0}, TypeError),
        ({"bufsize": 0}, TypeError),
        ({"start_new_session": False}, ValueError),
        ({"timeout": "3"}, TypeError),
        ({"timeout": float("nan")}, ValueError),
        ({"drain": -1}, ValueError),
        ({"max_output": -1}, ValueError),
        ({"max_output": 1.5}, TypeError),
        ({"stop": ()}, ValueError),
        ({"stop": ((999, 1),)}, ValueError),
        ({"stop": ((signal.SIGTERM, -1),)}, ValueError),
        ({"encoding": "no-such-encoding"}, ValueError),
        ({"encoding": "utf-8", "errors": "no-such-way"}, ValueError),
        ({"callback": 3}, TypeError),
        ({"on_output": 3}, TypeError),
        ({"limits": {"cpu_seconds": 1}}, TypeError),
        ({"pipesize": "big"}, TypeError),
        ({"user": "no-such-user"}, ValueError),
        ({"user": -1}, ValueError),
        ({"user": 1.5}, TypeError),
        ({"group": "no-such-group"}, ValueError),
        ({"extra_groups": [2**40]}, ValueError),
        ({"umask": 0o1000}, ValueError),
        ({"umask": "022"}, TypeError),
        ({"encoding": "hex"}, ValueError),
        ({"encoding": "undefined"}, ValueError),
        ({"input": "ü", "encoding": "ascii"}, ValueError),
    ],
    ids=str,
)
def test_wrong_option_is_refused_and_nothing_spawned(options, error, untouched):
    with pytest.raises(error):
        Subprocess(**{"args": TRUE, **options})


@pytest.mark.gen_test(timeout=60)
async def test_descriptor_that_is_closed_is_an_error_and_nothing_is_left(io_loop):
    await run(TRUE)  # opens what a loop needs once
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    before = descriptors(), children_of_ours()
    with pytest.raises(OSError) as caught:
        await run(TRUE, stdin=read)
    assert caught.value.errno == errno.EBADF
    assert (descriptors(), children_of_ours()) == before


# 5
@pytest.mark.parametrize(
    "options",
    [
        {"args": ["tr\0ue"]},
        {"args": ["true", "a\0b"]},
        {"args": TRUE, "cwd": "/\0"},
        {"args": TRUE, "executable": "/bin/\0"},
        {"args": TRUE, "env": {"A": "b\0c"}},
        {"args": TRUE, "env": {"A\0": "b"}},
        {"args": TRUE, "env": {"A=B": "c"}},
        {"args": TRUE, "env": {"": "c"}},
    ],
    ids=str,
)
def test_nul_and_bad_names_are_refused_and_nothing_spawned(options, untouched):
    with pytest.raises(ValueError):
        Subprocess(**options)


# 6
@pytest.mark.gen_test(timeout=60)
async def test_second_start_is_refused_and_leaves_the_first_run_alone(io_loop):
    sp = Subprocess(args=CAT, input=b"first")
    sp.start()
    with pytest.raises(RuntimeError, match="started already"):
        sp.start()
    result = await sp.wait()
    assert (result.status, result.stdout) == (0, b"first")
    with pytest.raises(RuntimeError, match="started already"):
        sp.start()
    assert sp.result is result


def test_before_the_start_there_are_no_facts_and_nothing_to_stop(untouched):
    sp = Subprocess(args=TRUE)
    assert (sp.pid, sp.status, sp.stdout, sp.stderr, sp.result) == (None,) * 5
    assert sp.has_timed_out is False
    assert sp.cancel() is False
    with pytest.raises(RuntimeError, match="not started"):
        sp.send_signal(signal.SIGTERM)
    with pytest.raises(RuntimeError, match="not started"):
        sp.chunks()


# 7
@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_arguments_arrive_byte_for_byte(io_loop, limits):
    words = [
        "",
        " ",
        "a b",
        "'",
        '"',
        "$HOME",
        "*",
        "\\",
        "\n",
        "ü",
        os.fsdecode(b"\xff\xfe"),
        "-x",
    ]
    code = "import os,sys; sys.stdout.buffer.write(b'\\0'.join(map(os.fsencode, sys.argv[1:])))"
    result = await run(py(code, *words), limits=limits)
    assert result.stdout.split(b"\0") == [os.fsencode(word) for word in words]


# 8
@pytest.mark.parametrize("kind", [str, os.fsencode, Path], ids=["str", "bytes", "path"])
@pytest.mark.gen_test(timeout=60)
async def test_str_bytes_and_paths_are_taken_everywhere(io_loop, tmp_path, kind):
    place = kind(str(tmp_path))
    result = await run([kind("/bin/ls"), place], cwd=place)
    assert (result.status, result.stderr) == (0, b"")
    alone = await run(kind("/bin/pwd"), cwd=place)
    assert alone.stdout == os.fsencode(tmp_path) + b"\n"
    named = await run(["other-name", "-c", "echo $0"], executable=kind("/bin/sh"))
    assert named.stdout == b"other-name\n"


# 9
@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_empty_env_is_empty(io_loop, limits):
    result = await run(["/usr/bin/env"], env={}, limits=limits)
    assert (result.status, result.stdout) == (0, b"")


# 10
@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_env_replaces_ours(io_loop, limits):
    env = {"A": "1", b"B": b"\xff", "C": "=x"}
    result = await run(["/usr/bin/env", "-0"], env=env, limits=limits)
    assert sorted(result.stdout.split(b"\0")[:-1]) == [b"A=1", b"B=\xff", b"C==x"]


@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_without_env_the_child_has_ours(io_loop, monkeypatch, limits):
    monkeypatch.setenv("EXECUTOR_TEST", "here")
    result = await run(["/usr/bin/env", "-0"], limits=limits)
    assert set(result.stdout.split(b"\0")[:-1]) >= {k + b"=" + v for k, v in os.environb.items()}


@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_program_is_looked_up_in_the_path_of_the_given_env(io_loop, tmp_path, limits):
    program = tmp_path / "only-here"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    found = await run(["only-here"], env={"PATH": f"/nonexistent:{tmp_path}"}, limits=limits)
    assert found.stdout == b"found\n"
    with pytest.raises(FileNotFoundError):
        await run(["only-here"], limits=limits)


@pytest.mark.gen_test(timeout=60)
async def test_relative_program_is_looked_up_from_the_cwd(io_loop, tmp_path):
    program = tmp_path / "here"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    assert (await run(["./here"], cwd=tmp_path)).stdout == b"found\n"


# 11
@pytest.mark.gen_test(timeout=60)
async def test_shell_takes_a_string(io_loop):
    result = await run("printf '%s' a b | cat; exit 3", shell=True)
    assert (result.status, result.stdout) == (3, b"ab")


def test_shell_takes_no_list(untouched):
    with pytest.raises(ValueError, match="shell"):
        Subprocess(args=["echo", "hi"], shell=True)


# 12
@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_pid_is_that_of_the_program_and_stays_readable(io_loop, limits):
    sp = Subprocess(args=sh("echo $$"), limits=limits)
    sp.start()
    pid = sp.pid
    result = await sp.wait()
    assert int(result.stdout) == pid == sp.pid == result.pid


# 13
@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_session_and_group_are_set_before_start_returns(io_loop, limits):
    async with Subprocess(args=SLEEP_30, limits=limits) as sp:
        assert os.getsid(sp.pid) == os.getpgid(sp.pid) == sp.pid
        assert sp.pid != os.getpgrp()


# 14
@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_umask_reaches_the_child(io_loop, limits):
    assert (await run(sh("umask"), umask=0o027, limits=limits)).stdout == b"0027\n"


@AS_ROOT
@pytest.mark.gen_test(timeout=60)
async def test_user_and_groups_reach_the_child(io_loop):
    nobody = pwd.getpwnam("nobody")
    result = await run(
        sh("id -u; id -g; id -G"),
        user="nobody",
        group=nobody.pw_gid,
        extra_groups=[nobody.pw_gid, 7],
    )
    uid, gid, groups = result.stdout.decode().splitlines()
    assert (int(uid), int(gid)) == (nobody.pw_uid, nobody.pw_gid)
    assert set(map(int, groups.split())) == {nobody.pw_gid, 7}


@AS_ROOT
@pytest.mark.gen_test(timeout=60)
async def test_errors_of_a_start_as_another_user_name_the_program(io_loop):
    with pytest.raises(FileNotFoundError) as caught:
        await run(["/nonexistent"], user="nobody")
    assert caught.value.filename == "/nonexistent"
    with pytest.raises(FileNotFoundError) as caught:
        await run(TRUE, user="nobody", cwd="/nonexistent")
    assert caught.value.filename == "/nonexistent"


# 15
def signal_sets(status: bytes) -> dict[str, int]:
    lines = (line.split(":") for line in status.decode().splitlines() if line.startswith("Sig"))
    return {name: int(value, 16) for name, value in lines if name in ("SigBlk", "SigIgn", "SigCgt")}


@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_child_ignores_and_blocks_no_signal_that_python_does(io_loop, limits):
    ours = signal_sets(Path("/proc/self/status").read_bytes())
    assert ours["SigIgn"] & (1 << signal.SIGPIPE - 1)
    theirs = signal_sets((await run(["cat", "/proc/self/status"], limits=limits)).stdout)
    python = sum(1 << number - 1 for number in (signal.SIGPIPE, signal.SIGXFSZ))
    assert theirs["SigIgn"] == ours["SigIgn"] & ~python
    assert theirs["SigBlk"] == 0


@pytest.mark.gen_test(timeout=60)
async def test_mask_of_the_child_is_empty_though_ours_is_not(io_loop):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})
    try:
        theirs = signal_sets((await run(["cat", "/proc/self/status"])).stdout)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1, signal.SIGTERM})
    assert theirs["SigBlk"] == 0


@pytest.mark.gen_test(timeout=60)
async def test_signals_stay_as_ours_when_asked(io_loop):
    theirs = signal_sets((await run(["cat", "/proc/self/status"], restore_signals=False)).stdout)
    assert theirs["SigIgn"] & (1 << signal.SIGPIPE - 1)


# 16
LIST_FDS = py(
    "import os\n"
    "for fd in range(3, 1000):\n"
    "    try: os.fstat(fd)\n"
    "    except OSError: continue\n"
    "    print(fd)"
)


async def fds_of_child(**options: object) -> set[int]:
    result = await run(LIST_FDS, **options)
    return {int(fd) for fd in result.stdout.split()}


@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_nothing_but_the_passed_descriptors_reaches_a_child(io_loop, limits):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.set_inheritable(True)
        read, write = os.pipe()
        os.set_inheritable(write, True)
        async with Subprocess(args=SLEEP_30):  # its pidfd and pipes, and the epoll
            assert await fds_of_child(limits=limits) == set()
            assert await fds_of_child(limits=limits, pass_fds=(read,)) == {read}
        os.close(read)
        os.close(write)


@pytest.mark.gen_test(timeout=60)
async def test_inheritable_descriptors_reach_a_child_when_asked(io_loop):
    read, write = os.pipe()
    os.set_inheritable(read, True)
    assert await fds_of_child(close_fds=False) >= {read}
    assert write not in await fds_of_child(close_fds=False)
    os.close(read)
    os.close(write)


# 17
def test_starts_from_several_threads_and_loops_do_not_cross():
    wrong: list[object] = []

    async def some(name: str) -> None:
        words = [f"{name}-{number}" for number in range(40)]
        results = await asyncio.gather(*(run(["echo", word]) for word in words))
        wrong.extend(
            r for w, r in zip(words, results, strict=True) if r.stdout.decode() != w + "\n"
        )

    threads = [threading.Thread(target=asyncio.run, args=(some(str(n)),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert wrong == []


# 18
LIMIT_NAMES = {
    "address_space": (resource.RLIMIT_AS, 1 << 30),
    "cpu_seconds": (resource.RLIMIT_CPU, 7),
    "open_files": (resource.RLIMIT_NOFILE, 64),
    "processes": (resource.RLIMIT_NPROC, 4000),
    "file_size": (resource.RLIMIT_FSIZE, 1 << 20),
    "core_size": (resource.RLIMIT_CORE, 0),
}


@pytest.mark.gen_test(timeout=60)
async def test_limits_are_in_force_in_the_program_and_not_here(io_loop):
    before = {number: resource.getrlimit(number) for number, _ in LIMIT_NAMES.values()}
    limits = Limits(**{name: value for name, (_, value) in LIMIT_NAMES.items()})
    code = "import resource; print([resource.getrlimit(n)[0] for n in %r])"
    numbers = [number for number, _ in LIMIT_NAMES.values()]
    result = await run(py(code % numbers), limits=limits)
    assert result.stdout.decode().strip() == str([value for _, value in LIMIT_NAMES.values()])
    assert {number: resource.getrlimit(number) for number in before} == before


@pytest.mark.gen_test(timeout=60)
async def test_program_over_its_cpu_limit_is_ended_by_the_kernel(io_loop):
    result = await run(sh("while :; do :; done"), limits=Limits(cpu_seconds=1, core_size=0))
    assert result.status == -signal.SIGXCPU
    assert not result.has_timed_out


@pytest.mark.gen_test(timeout=60)
async def test_program_over_its_file_size_is_ended_by_the_kernel(io_loop, tmp_path):
    limits = Limits(file_size=4096, core_size=0)
    result = await run(
        ["dd", "if=/dev/zero", "bs=1024", "count=100"], limits=limits, stdout=tmp_path / "f"
    )
    assert result.status == -signal.SIGXFSZ
    assert (tmp_path / "f").stat().st_size == 4096


@pytest.mark.gen_test(timeout=60)
async def test_limits_let_a_large_environment_and_long_arguments_through(io_loop):
    words = ["x" * 100_000] * 5
    env = {f"V{n}": "y" * 100_000 for n in range(5)}
    seen = await run(
        [*sh("env; printf '%s\n' \"$@\""), "sh", *words], env=env, limits=Limits(core_size=0)
    )
    assert seen.stdout.count(b"y" * 100_000) == seen.stdout.count(b"x" * 100_000) == 5


@pytest.mark.gen_test(timeout=60)
async def test_interpreter_that_cannot_run_is_an_error_of_the_start(io_loop, monkeypatch):
    for interpreter, code in (("/bin/true", errno.ENOEXEC), ("/nonexistent", errno.ENOENT)):
        monkeypatch.setattr(sys, "executable", interpreter)
        with pytest.raises(OSError) as caught:
            await run(["echo", "never"], limits=Limits(core_size=0))
        assert (caught.value.errno, caught.value.filename) == (code, interpreter)


@pytest.mark.parametrize("value", [-1, 2**63])
def test_limit_out_of_range_is_refused(value):
    with pytest.raises(ValueError):
        Limits(open_files=value)


def test_limit_that_is_no_whole_number_is_refused():
    with pytest.raises(TypeError):
        Limits(cpu_seconds=1.5)


# beyond the list
def test_start_in_a_process_without_standard_streams_works():
    """A daemon may have closed 0, 1 and 2: the pipes of a start are then these very numbers."""
    code = """
import os, sys
from executor import *
import asyncio
for fd in (0, 1, 2): os.close(fd)
async def main():
    for limits in (None, Limits(core_size=0)):
        r = await run(["sh", "-c", "cat; echo err >&2; exit 5"], input=b"in", limits=limits)
        if (r.status, r.stdout, r.stderr) != (5, b"in", b"err\\n"): os._exit(1)
        try: await run(["/nonexistent"], limits=limits)
        except FileNotFoundError: pass
        else: os._exit(2)
try: asyncio.run(main())
except BaseException: os._exit(3)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    assert done.returncode == 0


@pytest.mark.gen_test(timeout=60)
async def test_file_that_is_open_for_writing_is_text_busy(io_loop, tmp_path):
    program = tmp_path / "busy"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o755)
    with program.open("r+b"), pytest.raises(OSError) as caught:
        await run([program])
    assert caught.value.errno == errno.ETXTBSY


@pytest.mark.gen_test(timeout=60)
async def test_repr_tells_the_state(io_loop):
    sp = Subprocess(args=["sh", "-c", "exit 3"])
    assert "not started" in repr(sp)
    sp.start()
    assert f"running as process {sp.pid}" in repr(sp)
    await sp.wait()
    assert "ended with exit code 3" in repr(sp)


@pytest.mark.gen_test(timeout=60)
async def test_hundred_starts_in_one_turn_of_the_loop_all_end(io_loop):
    ended: list[int | None] = []
    for number in range(100):
        Subprocess(lambda s, *_: ended.append(s), args=sh(f"exit {number}")).start()
    await until(lambda: len(ended) == 100)
    assert sorted(ended) == list(range(100))


# beyond the list: what the test suites of others hold themselves to, and what follows from ours


@pytest.mark.gen_test(timeout=60)
async def test_words_may_come_from_an_iterator_and_later_changes_do_not_count(io_loop):
    words = ["echo", "said"]
    sp = Subprocess(args=words)
    words[1] = "changed"
    sp.start()
    result = await sp.wait()
    assert (result.args, result.stdout) == (["echo", "said"], b"said\n")
    assert (await run(iter(["echo", "x"]))).stdout == b"x\n"


@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_passed_descriptors_may_repeat_and_come_from_an_iterator(io_loop, limits):
    read, write = os.pipe()
    sp = Subprocess(
        args=sh(f"echo passed >/proc/self/fd/{write}"), pass_fds=iter((write, write)), limits=limits
    )
    sp.start()
    os.close(write)
    assert (await sp.wait()).status == 0
    assert os.read(read, 100) == b"passed\n"
    os.close(read)


@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_descriptor_above_a_lowered_limit_does_not_reach_a_child(io_loop, limits):
    """CPython test_close_fds_when_max_fd_is_lowered: closing up to the limit is not enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    high = os.dup2(0, soft - 1, inheritable=True)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft - 1, 200), hard))
    try:
        result = await run(["ls", "/proc/self/fd"], limits=limits, text=True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(high)
    assert str(high) not in result.stdout.split()


@pytest.mark.gen_test(timeout=60)
async def test_pipes_of_one_run_never_reach_another(io_loop):
    """CPython test_pipe_cloexec: or the first one's input would have no end."""
    before = set(descriptors())
    first = Subprocess(args=CAT, stdin=PIPE)
    first.start()
    ours = {link for fd, link in descriptors().items() if fd not in before}
    second = Subprocess(args=SLEEP_30, close_fds=False)
    second.start()
    theirs = {os.readlink(link) for link in Path(f"/proc/{second.pid}/fd").iterdir()}
    assert {link for link in ours if link.startswith("pipe:")} & theirs == set()
    first.close_stdin()
    assert (await first.wait()).status == 0
    second.cancel()
    await second.wait()


def test_start_with_more_than_1024_descriptors_open_works():
    def act() -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < 1500:
            return
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1500), hard))
        opened = [os.dup(0) for _ in range(1200)]
        assert opened[-1] > 1024
        assert asyncio.run(run(CAT, input=b"x" * 200_000)).stdout_total == 200_000
        asyncio.run(left_running())

    async def left_running() -> None:
        Subprocess(print, args=SLEEP_30).start()

    in_a_fork(act)


@BOTH_WAYS
def test_soft_limit_of_descriptors_is_the_childs_alone(limits):
    """Also where this process holds more descriptors than the child may."""

    def act() -> None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        ours = (min(1500, hard), hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, ours)
        opened = [os.dup(0) for _ in range(300)]
        says = sh("ulimit -Sn; ulimit -Hn")
        result = asyncio.run(run(says, text=True, soft_open_files=200, limits=limits))
        assert result.stdout.split() == ["200", "unlimited" if hard == -1 else str(hard)]
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == ours
        plain = asyncio.run(run(sh("ulimit -Sn"), text=True))
        assert plain.stdout.split() == [str(ours[0])]
        for fd in opened:
            os.close(fd)

    in_a_fork(act)


@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_soft_limit_after_a_start_that_failed_is_what_it_was(io_loop, limits):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pytest.raises(FileNotFoundError):
        await run(["/nonexistent/program"], soft_open_files=16, limits=limits)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
    more = before[1] if before[1] != resource.RLIM_INFINITY else 2**62
    result = await run(sh("ulimit -Sn"), text=True, soft_open_files=more, limits=limits)
    assert result.stdout.split() == [str(more)]


@pytest.mark.parametrize(
    ("wrong", "error"), [(-1, ValueError), (2**63, ValueError), ("9", TypeError), (True, TypeError)]
)
def test_wrong_soft_limits_are_refused_at_once(wrong, error, untouched):
    with pytest.raises(error, match="soft_open_files"):
        Subprocess(args=TRUE, soft_open_files=wrong)


@pytest.mark.parametrize(("stdout", "stderr"), [(2, 1), (1, 1), (2, 2), (2, STDOUT), (None, 1)])
@pytest.mark.parametrize("stdin", [None, DEVNULL])
def test_own_standard_streams_may_be_given_in_any_order(tmp_path, stdin, stdout, stderr):
    """CPython test_swap_fds: one must not be overwritten before the other is made of it."""

    def act() -> None:
        for fd in (1, 2):
            os.dup2(os.open(tmp_path / str(fd), os.O_CREAT | os.O_APPEND | os.O_WRONLY), fd)
        said = sh("echo out; echo err >&2")
        asyncio.run(run(said, stdin=stdin, stdout=stdout, stderr=stderr))

    in_a_fork(act)
    place = {None: 1, STDOUT: stdout}
    for name, given in (("out", stdout), ("err", stderr)):
        assert name in (tmp_path / str(place.get(given, given))).read_text().split()


@pytest.mark.gen_test(timeout=60)
async def test_one_open_file_may_be_all_three_streams(io_loop, tmp_path):
    """CPython test_stdout_stdin_are_single_inout_fd."""
    with open(tmp_path / "file", "w+b") as file:
        file.write(b"in\n")
        file.seek(0)
        result = await run(
            sh("read x; echo out $x; echo err >&2"), input=file, stdout=file, stderr=file
        )
    assert result.status == 0
    assert (tmp_path / "file").read_bytes() == b"in\nout in\nerr\n"


@pytest.mark.gen_test(timeout=60)
async def test_terminal_may_be_all_three_streams_and_does_not_become_ours(io_loop):
    ours, theirs = pty.openpty()
    try:
        name = os.ttyname(theirs)
        given = [{"input": theirs, "stdout": theirs, "stderr": theirs}]
        given.append({"stdin": name, "stdout": name, "stderr": name})
        for streams in given:
            result = await run(sh("test -t 0 -a -t 1 -a -t 2 && echo yes"), **streams)
            assert result.status == 0
            assert os.read(ours, 100) == b"yes\r\n"
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.gen_test(timeout=60)
async def test_path_of_a_fifo_never_makes_the_loop_wait(io_loop, tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    await run(TRUE)  # opens what a loop needs once
    before = holdings()
    with pytest.raises(OSError) as caught:
        await run(TRUE, stdout=path)
    assert (caught.value.errno, caught.value.filename) == (errno.ENXIO, str(path))
    assert holdings() == before
    assert (await run(CAT, stdin=path)).stdout == b""
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    # the child finds a blocking descriptor, as a program expects
    flags = py("import os; print(os.get_blocking(1))")
    assert (await run(flags, stdout=path)).status == 0
    assert os.read(reader, 100) == b"True\n"
    os.close(reader)


@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_search_goes_on_after_places_that_are_no_directories(io_loop, tmp_path, limits):
    """The first refusal is what is told when nothing is found; otherwise it does not matter."""
    refused = tmp_path / "refused"
    refused.mkdir()
    (refused / "true").write_text("no program")
    places = f"/etc/passwd:/nonexistent:{refused}"
    found = await run(TRUE, env={"PATH": f"{places}:{os.defpath}"}, limits=limits)
    assert found.status == 0
    with pytest.raises(PermissionError):
        await run(TRUE, env={"PATH": places}, limits=limits)
    assert (await run(TRUE, env={}, limits=limits)).status == 0


@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_name_that_can_be_no_path_is_an_oserror(io_loop, tmp_path, limits):
    (tmp_path / "loop").symlink_to("loop")
    for program, number in (("/" + "x" * 5000, errno.ENAMETOOLONG), ("./loop", errno.ELOOP)):
        with pytest.raises(OSError) as caught:
            await run([program], cwd=tmp_path, limits=limits)
        assert (caught.value.errno, caught.value.filename) == (number, program)


def test_start_works_where_our_own_directory_is_gone():
    def act() -> None:
        gone = tempfile.mkdtemp()
        os.chdir(gone)
        os.rmdir(gone)
        for limits in LIMITS:
            assert asyncio.run(run(TRUE, limits=limits)).status == 0

    in_a_fork(act)


class Interrupted(Exception):
    pass


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"limits": Limits(core_size=0)},
        {"soft_open_files": 64},
        pytest.param({"user": os.geteuid()}, marks=AS_ROOT),
    ],
    ids=["plain", "limits", "soft limit", "by fork"],
)
def test_start_interrupted_by_a_signal_handler_leaves_no_child(options):
    """As Ctrl-C does; whenever it comes."""

    def interrupt(*_: object) -> None:
        raise Interrupted

    async def main() -> None:
        await run(TRUE, **options)
        interrupted = 0
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        step = 0.00015 if "limits" in options else 1e-5
        for number in range(120):
            sp = Subprocess(args=SLEEP_30, **options)
            try:
                signal.setitimer(signal.ITIMER_REAL, (number + 1) * step)
                sp.start()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupted:
                interrupted += sp.pid is None
            if sp.pid is not None:
                sp.cancel()
                await sp.wait()
        assert interrupted
        assert children_of_ours() == set()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == before

    def act() -> None:
        signal.signal(signal.SIGALRM, interrupt)
        asyncio.run(main())

    in_a_fork(act)


@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_variable_given_as_text_and_as_bytes_is_one_and_the_last_counts(io_loop, limits):
    """Go TestDedupEnvEcho: which of two a program takes is its own affair."""
    env = {"A": "first", b"A": b"last"}
    assert (await run(["/usr/bin/env"], env=env, limits=limits)).stdout == b"A=last\n"


@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_first_word_may_differ_from_the_program(io_loop, limits):
    """Tokio process_arg0."""
    named = await run(["other", "-c", "echo $0"], executable="/bin/sh", limits=limits)
    assert named.stdout == b"other\n"


@BOTH_WAYS
@pytest.mark.parametrize("asked", [{"user": 0}, {"group": 0}, {"extra_groups": [0]}], ids=str)
def test_user_or_group_that_we_may_not_become_is_an_error_of_the_program(asked, limits):
    async def main() -> None:
        before = holdings()
        with pytest.raises(PermissionError) as caught:
            await run(TRUE, cwd="/", limits=limits, **asked)
        assert caught.value.filename in ("true", sys.executable)
        assert holdings()[1:] == before[1:]

    def act() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
        asyncio.run(main())

    in_a_fork(act)


@BOTH_WAYS
@pytest.mark.gen_test(timeout=60)
async def test_inheritable_descriptors_reach_a_child_with_a_umask_too(io_loop, limits):
    read, write = os.pipe()
    os.set_inheritable(write, True)
    text = f"umask >/proc/self/fd/{write}"
    result = await run(sh(text), umask=0o027, close_fds=False, limits=limits)
    assert (result.status, os.read(read, 100)) == (0, b"0027\n")
    os.close(read)
    os.close(write)


# 84
@pytest.mark.parametrize(
    ("options", "event"),
    [
        ({"args": ["echo", "x"]}, ("echo", ["echo", "x"], None, None)),
        (
            {"args": "echo x", "shell": True, "cwd": "/", "env": {"A": "b"}},
            ("/bin/sh", ["/bin/sh", "-c", "echo x"], "/", {"A": "b"}),
        ),
        ({"args": ["no-such-program"]}, ("no-such-program", ["no-such-program"], None, None)),
    ],
    ids=["plain", "shell", "that fails"],
)
@BOTH_WAYS
def test_start_is_one_audit_event_before_it(options, event, limits):
    """PEP 578, as subprocess.Popen's."""
    events = []

    def act() -> None:
        sys.addaudithook(lambda *seen: events.append(seen) if "subprocess" in seen[0] else None)
        with contextlib.suppress(FileNotFoundError):
            asyncio.run(run(limits=limits, **options))
        assert events == [("subprocess.Popen", event)]

    in_a_fork(act)


def test_audit_hook_may_refuse_a_start(tmp_path):
    class Refused(Exception):
        pass

    def refuse(name: str, _: object) -> None:
        if name == "subprocess.Popen":
            raise Refused

    async def main() -> None:
        await run(TRUE)
        before = holdings()
        sys.addaudithook(refuse)
        for limits in LIMITS:
            with pytest.raises(Refused):
                Subprocess(args=TRUE, stdout=tmp_path / "file", limits=limits).start()
        assert holdings() == before
        assert list(tmp_path.iterdir()) == []

    in_a_fork(lambda: asyncio.run(main()))
