"""The list of jobs, and the line that runs a command."""

from __future__ import annotations

import json

from service.cli.text import duration

from .browser import Page
from .conftest import Front, sign_in
from .test_job import open_job

FIRST_ROW = ".jobs tbody tr:first-child"


def row_of(id: str) -> str:
    return f".jobs tr[data-id='{id}']"


def test_only_the_right_token_opens_the_page(page: Page, front: Front) -> None:
    page.forgiven = ["401"]
    page.go(front.url)
    page.wait("document.activeElement.id === 'token'")
    page.type("not the token")
    page.press("Enter")
    page.wait_text("This is not the token of this service.")
    assert page.cookies() == []
    assert not page.js("document.querySelector('header').checkVisibility()")
    sign_in(page, front)
    (cookie,) = page.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    assert page.js("document.cookie") == ""
    assert front.token not in json.dumps(cookie) + page.js("location.href")


def test_a_session_outlives_a_reload_and_ends_with_signing_out(inside: Page, front: Front) -> None:
    inside.go(front.url)
    inside.wait_text("live", "header")
    inside.click_text("Sign out")
    inside.wait("document.querySelector('#token')")
    assert inside.cookies() == []
    inside.go(f"{front.url}/jobs/01a1fbfb-43ed-7000-a63e-87eb0967494d")
    inside.wait("document.querySelector('#token')")


def test_a_session_that_ends_elsewhere_leads_to_signing_in(inside: Page, front: Front) -> None:
    inside.forgiven = ["401"]
    inside.call("Network.clearBrowserCookies")
    inside.js("void document.querySelector('.states [data-state=failed]').click()")
    inside.wait("document.querySelector('#token')")


def test_the_list_follows_what_others_do(inside: Page, front: Front) -> None:
    job = front.submit("sleep", "300", labels={"team": "night"})
    inside.wait_text("running", row_of(job["id"]))
    inside.wait_text("night", row_of(job["id"]))
    front.request("POST", f"/v1/jobs/{job['id']}/cancel", b"")
    inside.wait_text("cancelled", row_of(job["id"]))
    inside.wait_text("SIGTERM", row_of(job["id"]))


def test_the_list_can_be_narrowed_by_state_label_and_text(inside: Page, front: Front) -> None:
    one = front.submit("true", "narrow-one", labels={"narrow": "yes"})["id"]
    two = front.submit("false", "narrow-two", labels={"narrow": "yes"})["id"]
    inside.wait_text("failed", row_of(two))
    inside.click(".states [data-state='failed']")
    inside.wait(f'!document.querySelector("{row_of(one)}")')
    inside.wait_text("failed", row_of(two))
    inside.click(".states [data-state='all']")
    inside.wait_text("succeeded", row_of(one))
    inside.press("/")
    inside.type("NARROW-ONE")
    inside.wait("document.querySelectorAll('.jobs tbody tr').length === 1")
    assert "narrow-one" in inside.text(FIRST_ROW)
    inside.js("void (document.activeElement.value = '')")
    inside.click("input[placeholder='key:value']")
    inside.type("narrow:yes")
    inside.wait("document.querySelectorAll('.jobs tbody tr').length === 2")
    front.submit("true", "narrow-not")
    three = front.submit("true", labels={"narrow": "yes"})["id"]
    inside.wait_text("succeeded", row_of(three))
    assert "narrow-not" not in inside.text(".jobs")


def test_older_jobs_come_when_asked_for(inside: Page, front: Front) -> None:
    batch = [{"args": ["true", f"old-{n}"], "labels": {"age": "old"}} for n in range(230)]
    assert front.ask("POST", "/v1/jobs", batch, front.headers())[0] == 202
    inside.click("input[placeholder='key:value']")
    inside.type("age:old")
    rows = "[...document.querySelectorAll('.jobs tbody tr')]"
    all_are_old = f"{rows}.every((row) => row.textContent.includes('old-'))"
    inside.wait(f"{rows}.length === 100 && {all_are_old}")
    for shown in (200, 230):
        inside.click_text("Older jobs")
        inside.wait(f"{rows}.length === {shown} && {all_are_old}")
    assert "old-0" in inside.text(".jobs tbody tr:last-child")
    ids = inside.js("[...document.querySelectorAll('.jobs tbody tr')].map((row) => row.dataset.id)")
    assert ids == sorted(ids, reverse=True)
    inside.wait("!document.querySelector('.more button').checkVisibility()")


def test_no_change_is_lost_when_much_changes_at_once(inside: Page, front: Front) -> None:
    batch = [{"args": ["true", f"many-{n}"]} for n in range(600)]
    jobs = json.loads(front.ask("POST", "/v1/jobs", batch, front.headers())[2])
    inside.wait_text("succeeded", row_of(jobs[-1]["id"]))
    rows = "[...document.querySelectorAll('.jobs tbody tr')]"
    inside.wait(f"{rows}.every((row) => row.dataset.state === 'succeeded')")
    ids = inside.js(f"{rows}.map((row) => row.dataset.id)")
    assert ids == [job["id"] for job in jobs[:-101:-1]]
    inside.wait("document.querySelector('.figure').textContent === '0'")


def test_the_charts_show_figures(inside: Page, front: Front) -> None:
    front.submit("true", "chart")
    inside.wait("document.querySelectorAll('.plot canvas').length === 4")
    inside.wait("Number(document.querySelectorAll('.figure')[2].textContent) > 0")


def test_a_median_is_told_of_five_at_least(inside: Page) -> None:
    ended = (
        "[...Array({}).keys()].map((n) => ({{id: String(n), state: 'succeeded', duration: n,"
        " created_at: now, started_at: now, finished_at: now}}))"
    )
    median = (
        "(async () => {{ const {{Figures}} = await import('/static/js/figures.js');"
        " const now = new Date().toISOString(); const figures = new Figures();"
        " figures.load({}, []); return figures.median() }})()"
    )
    assert inside.js(median.format(ended.format(4))) == {"value": None, "of": 4}
    assert inside.js(median.format(ended.format(5))) == {"value": 2, "of": 5}


def test_durations_are_written_as_on_the_command_line(inside: Page) -> None:
    written = "import('/static/js/format.js').then(({{duration}}) => duration({}))"
    for seconds in (0.25, 2.5, 65, 7_440, 100_000, 1_000_000):
        assert inside.js(written.format(seconds)) == duration(seconds)


def test_the_words_are_those_of_the_contract(inside: Page, front: Front) -> None:
    spawn = front.submit("no-such-program")["id"]
    timeout = front.submit("sleep", "300", timeout=0.1)["id"]
    stubborn = front.submit("sh", "-c", "trap '' TERM; echo; while :; do sleep 1; done")["id"]
    for id, state, reason in (
        (spawn, "failed", "spawn_error"),
        (timeout, "failed", "timeout"),
        (stubborn, "running", ""),
    ):
        inside.wait_text(state, row_of(id))
        inside.wait_text(reason, f"{row_of(id)} .result")
    front.request("POST", f"/v1/jobs/{stubborn}/cancel", b"")
    open_job(inside, front, stubborn)
    inside.wait_text("Cancel\nrequested", ".facts")
    assert inside.text(".head .state").strip() == "running"
    front.request("POST", f"/v1/jobs/{stubborn}/signal", b'{"signal": "SIGKILL"}')
    inside.wait_text("cancelled", ".head .state")


def test_signing_out_ends_what_is_under_way(inside: Page, front: Front) -> None:
    # a busy machine: what the list asks for is sent when the session is over already
    inside.before_each_page(
        "{ const real = window.fetch; window.late = 0;"
        " window.fetch = async (path, options) => {"
        " window.late++; if (path.startsWith('/v1/')) {"
        " while (!window.isOver) await new Promise((again) => setTimeout(again, 5)) }"
        " try { return await real(path, options) } finally { window.late-- } } }"
    )
    inside.go(front.url)
    inside.wait_text("live", "header")
    inside.wait("window.late > 1")
    inside.click_text("Sign out")
    inside.wait("document.querySelector('#token')")
    assert inside.cookies() == []
    inside.js("void (window.isOver = true)")
    inside.wait("window.late <= 0")
    # nor is anything of that told as wrong (the page's fixture looks at the console)
    assert inside.text(".notices") == ""
