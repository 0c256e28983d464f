"""The same on other loops: without epoll, and on uvloop. What depends on the loop is run again."""

from __future__ import annotations

import asyncio
import types

import pytest
import test_callback
import test_exit
import test_grandchildren
import test_input
import test_output
import test_resources
import test_start
import test_stop
from children import TRUE

from executor import run
from executor.watch import LoopWatch, Watch, watch_of

AGAIN = {
    test_callback: (
        "all_is_over_when_the_callback_is_called",
        "callback_is_called_once_on_the_loop_and_never_inside_a_call",
        "callbacks_run_in_the_context_of_their_start",
        "awaited_on_output_runs_in_the_context_of_its_start_too",
        "callback_may_be_a_coroutine_function",
        "start_before_the_loop_runs_works",
        "interrupt_within_code_of_the_caller_ends_the_loop_and_all_children",
    ),
    test_exit: (
        "child_that_is_gone_before_we_look_settles",
        "readable_pidfd_of_a_traced_child_is_asked_again_without_a_spin",
        "hundred_children_that_end_at_once_all_settle",
        "loops_of_other_threads_work",
        "other_users_of_subprocess_are_not_disturbed",
        "child_reaped_by_another_settles",
        "with_sigchld_ignored_every_run_settles",
        "without_pidfds_the_exit_is_polled_for",
        "signals_that_interrupt_every_call_change_nothing",
    ),
    test_grandchildren: (
        "held_stdout_is_given_up_after_the_drain",
        "held_stdin_with_input_left_is_given_up_after_the_drain",
        "whole_group_is_dead_after_a_stop_whoever_ignores_it",
        "normal_end_kills_background_children_when_asked",
    ),
    test_input: (
        "input_beyond_the_pipe_and_as_much_output_do_not_deadlock",
        "child_that_reads_nothing_is_a_success",
        "endless_source_ends_with_the_child_and_is_closed",
        "error_of_the_source_stops_the_child_and_is_raised",
        "child_that_closes_stdin_lives_on",
        "ping_pong_over_both_pipes",
        "wait_says_the_same_for_ever",
        "writer_waits_for_a_child_that_does_not_read",
        "writer_that_waits_is_woken_by_the_death_of_the_child",
        "output_of_one_command_may_be_the_input_of_the_next",
    ),
    test_output: (
        "output_of_any_size_is_complete",
        "both_streams_filled_in_turns_do_not_deadlock",
        "what_is_in_the_pipe_at_the_exit_is_delivered",
        "closed_streams_are_not_the_end_of_the_child",
        "awaitable_of_on_output_pauses_its_stream",
        "error_of_on_output_stops_the_child_and_is_raised",
        "slow_reader_slows_the_child_and_gets_all",
        "dropped_reader_lets_the_stream_flow",
        "reader_that_went_while_full_does_not_let_the_next_ones_stream_flow",
        "cancelled_on_output_has_ended_before_the_run",
        "cancelled_read_loses_nothing",
        "loud_child_does_not_starve_a_quiet_one",
        "on_output_that_never_comes_back_does_not_hold_up_a_cancel",
    ),
    test_resources: (
        "out_of_descriptors_at_any_step_is_a_clean_error",
        "first_start_on_a_loop_without_descriptors_is_a_clean_error",
        "dropped_run_warns_and_is_killed_with_its_group",
        "run_dropped_on_another_thread_is_killed",
        "closed_loop_takes_its_children_with_it",
        "cancelled_main_task_leaves_no_child",
        "forked_copy_is_inert",
        "forked_copy_may_run_commands_of_its_own",
        "fork_that_lives_on_does_not_hold_a_childs_stdin_open",
        "output_goes_with_its_last_reference_and_not_with_a_garbage_collection",
    ),
    test_start: (
        "failed_start_may_be_tried_again",
        "starts_from_several_threads_and_loops_do_not_cross",
        "hundred_starts_in_one_turn_of_the_loop_all_end",
        "nothing_but_the_passed_descriptors_reaches_a_child",
    ),
    test_stop: (
        "timeout_terminates_and_keeps_what_came",
        "timeout_that_races_the_end_gives_one_outcome",
        "first_reason_wins",
        "cancelled_task_stops_its_child_and_is_cancelled",
        "cancelled_at_every_turn_of_the_loop_nothing_is_left",
        "cancelled_again_in_the_grace_kills_at_once",
        "stopped_child_is_killed_all_the_same",
    ),
}
globals().update(
    {f"test_{name}": getattr(place, f"test_{name}") for place in AGAIN for name in AGAIN[place]}
)


@pytest.fixture(autouse=True, params=["no epoll", "uvloop"])
def kind(request, monkeypatch):
    if request.param == "no epoll":
        monkeypatch.setattr("executor.watch.select", types.SimpleNamespace())
        yield request.param
        return
    uvloop = pytest.importorskip("uvloop")
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    yield request.param
    asyncio.set_event_loop_policy(before)


@pytest.mark.gen_test(timeout=60)
async def test_it_is_another_loop(io_loop, kind):
    loop = asyncio.get_running_loop()
    await run(TRUE)
    assert type(watch_of(loop)) is (LoopWatch if kind == "no epoll" else Watch)
    assert ("uvloop" in type(loop).__module__) == (kind == "uvloop")
