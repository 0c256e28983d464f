"""Starts by ``subprocess.Popen``, where ``fork_exec`` is not known to fit: the same outcome."""

from __future__ import annotations

import pytest
import test_resources
import test_start
from children import TRUE
from test_start import untouched  # noqa: F401  (a fixture)

from executor import run, spawn

AGAIN = {
    test_resources: (
        "failed_starts_with_limits_leave_everything_as_it_was",
        "out_of_descriptors_at_any_step_is_a_clean_error",
        "refused_fork_is_an_oserror_and_leaves_nothing",
        "no_zombie_after_a_thousand_runs",
    ),
    test_start: (
        "missing_program_raises_in_the_caller",
        "program_that_may_not_be_executed_is_a_permission_error",
        "file_without_a_format_is_an_oserror_and_not_given_to_a_shell",
        "missing_cwd_is_named_and_not_the_program",
        "failed_start_may_be_tried_again",
        "arguments_arrive_byte_for_byte",
        "str_bytes_and_paths_are_taken_everywhere",
        "empty_env_is_empty",
        "program_is_looked_up_in_the_path_of_the_given_env",
        "relative_program_is_looked_up_from_the_cwd",
        "shell_takes_a_string",
        "session_and_group_are_set_before_start_returns",
        "umask_reaches_the_child",
        "user_and_groups_reach_the_child",
        "errors_of_a_start_as_another_user_name_the_program",
        "child_ignores_and_blocks_no_signal_that_python_does",
        "nothing_but_the_passed_descriptors_reaches_a_child",
        "start_in_a_process_without_standard_streams_works",
        "passed_descriptors_may_repeat_and_come_from_an_iterator",
        "soft_limit_of_descriptors_is_the_childs_alone",
        "own_standard_streams_may_be_given_in_any_order",
        "variable_given_as_text_and_as_bytes_is_one_and_the_last_counts",
        "user_or_group_that_we_may_not_become_is_an_error_of_the_program",
        "inheritable_descriptors_reach_a_child_with_a_umask_too",
    ),
}
globals().update(
    {f"test_{name}": getattr(place, f"test_{name}") for place in AGAIN for name in AGAIN[place]}
)


@pytest.fixture(autouse=True)
def by_popen(monkeypatch):
    monkeypatch.setattr(spawn, "_FAST", False)


@pytest.mark.gen_test(timeout=60)
async def test_it_is_another_way(io_loop, monkeypatch):
    monkeypatch.setattr(spawn, "_fork", None)
    assert (await run(TRUE)).status == 0
