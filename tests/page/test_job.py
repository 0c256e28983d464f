"""A job's page: its output as it comes, its input, and what can be done to it."""

from __future__ import annotations

from pathlib import Path

from tests.programs.conftest import wait_for

from .browser import Page
from .conftest import Front


def open_job(page: Page, front: Front, id: str) -> None:
    """Open a job in the page that is there, as a link would."""
    go = f"history.pushState(null, '', '/jobs/{id}'), dispatchEvent(new PopStateEvent('popstate'))"
    page.js(f"void ({go})")
    page.wait(f"document.querySelector('.id code').textContent === '{id}'")
    page.wait("document.querySelector('.screen .xterm-rows')")


def rows(page: Page) -> str:
    return str(
        page.js(
            "[...document.querySelectorAll('.xterm-rows > div')].map((row) =>"
            " row.textContent.replaceAll('\\u00a0', ' ').trimEnd()).join('\\n').trimEnd()"
        )
    )


def test_output_is_there_while_the_command_runs(inside: Page, front: Front, tmp_path: Path) -> None:
    go = tmp_path / "go"
    inside.press("n")
    inside.type(f"echo first; while ! test -e {go}; do sleep 0.02; done; echo second >&2")
    inside.click(".run [type=checkbox]")
    inside.click_text("Run")
    inside.wait_text("first", ".screen")
    inside.wait_text("running", ".head")
    go.touch()
    inside.wait_text("second", ".screen")
    inside.wait_text("succeeded", ".head")
    inside.click_text("stderr")
    inside.wait("!document.querySelector('.xterm-rows').innerText.includes('first')")
    inside.wait_text("second", ".screen")


def test_a_job_is_stopped_and_run_again(inside: Page, front: Front) -> None:
    id = front.submit("sleep", "300")["id"]
    open_job(inside, front, id)
    inside.wait_text("running", ".head")
    inside.click_text("Cancel")
    inside.wait_text("cancelled", ".head")
    inside.wait_text("SIGTERM", ".facts")
    inside.click_text("Rerun")
    inside.wait(f"!location.pathname.includes('{id}')")
    inside.wait_text("running", ".head")
    assert front.get(inside.js("location.pathname.slice(6)"))["args"] == ["sleep", "300"]
    inside.js("void (document.querySelector('.signal select').value = 'SIGKILL')")
    inside.click_text("Send", ".signal button")
    inside.wait_text("failed", ".head")
    inside.wait_text("SIGKILL", ".facts")


def test_a_job_is_deleted_once_that_is_confirmed(inside: Page, front: Front) -> None:
    inside.forgiven = ["404"]
    id = front.submit("true")["id"]
    open_job(inside, front, id)
    inside.wait_text("succeeded", ".head")
    inside.js("void (window.confirm = () => true)")
    inside.click_text("Delete")
    inside.wait("document.querySelector('.jobs')")
    assert front.request("GET", f"/v1/jobs/{id}")[0] == 404
    inside.go(f"{front.url}/jobs/{id}")
    inside.wait_text("There is no such job")
    for gone in ("a[download]", ".screen", ".actions"):
        assert not inside.js(f"document.querySelector('{gone}')"), gone


def test_lines_go_to_the_stdin_of_a_command(inside: Page, front: Front) -> None:
    inside.press("n")
    inside.type("cat -n")
    inside.click_text("Options")
    inside.js(
        "(() => { const choice = document.querySelector('.stdin select');"
        " choice.value = 'open'; choice.dispatchEvent(new Event('change')) })()"
    )
    inside.click_text("Run")
    inside.wait("document.activeElement.matches('.input input')")
    for line in ("good evening", "<b>zwei</b> ✓"):
        inside.type(line)
        inside.press("Enter")
        inside.wait_text(line, ".screen")
    inside.click_text("End of input")
    inside.wait_text("succeeded", ".head")
    assert "     1  good evening\n     2  <b>zwei</b> ✓" in rows(inside)


def test_input_can_be_ended_on_a_phone(inside: Page, front: Front) -> None:
    inside.size(390, 800, is_phone=True)
    id = front.submit("cat", stdin="open")["id"]
    open_job(inside, front, id)
    inside.wait("document.activeElement.matches('.input input')")
    inside.type("by thumb")
    inside.press("Enter")
    inside.wait_text("by thumb", ".screen")
    assert inside.js("document.querySelector('.input input').clientWidth > 200")
    inside.click_text("End of input")
    inside.wait_text("succeeded", ".head")


def test_a_command_without_open_stdin_is_offered_none(inside: Page, front: Front) -> None:
    inside.forgiven = ["409"]
    id = front.submit("sleep", "300")["id"]
    open_job(inside, front, id)
    inside.wait_text("running", ".head")
    inside.wait("performance.getEntriesByType('resource').some((r) => r.name.endsWith('/stdin'))")
    assert not inside.js("document.querySelector('.input').checkVisibility()")
    front.request("POST", f"/v1/jobs/{id}/cancel", b"")


def test_the_terminal_knows_colours_and_carriage_returns(inside: Page, front: Front) -> None:
    script = (
        r"printf 'plain \033[31mred\033[0m \033[38;2;1;100;3mtrue\033[0m\n';"
        r"printf ' 10%%\r 55%%\r100%% done\n'; printf '\303'; sleep 0.1; printf '\244\n'"
    )
    open_job(inside, front, front.submit("sh", "-c", script)["id"])
    inside.wait_text("succeeded", ".head")
    inside.wait_text("ä", ".screen")
    assert rows(inside).split("\n") == ["plain red true", "100% done", "ä"]
    color = "getComputedStyle([...document.querySelectorAll('.xterm-rows span')].find("
    color += "(span) => span.textContent.trim() === '{}')).color"
    assert inside.js(color.format("true")) == "rgb(1, 100, 3)"
    red = inside.js(color.format("red"))
    inside.press("t")
    inside.wait(f"{color.format('red')} !== '{red}'")


def test_a_hundred_thousand_lines_leave_the_page_at_hand(inside: Page, front: Front) -> None:
    id = front.submit("sh", "-c", "seq -f 'line %.0f' 100000; sleep 300")["id"]
    open_job(inside, front, id)
    inside.wait_text("line 100000", ".screen")
    inside.wait_text("The last 10,000 lines", ".output-bar")
    assert inside.js("document.querySelectorAll('.xterm-rows *').length") < 1000
    inside.click(".screen")
    inside.press("Home")
    inside.wait("!document.querySelector('.xterm-rows').innerText.includes('line 100000')")
    first = rows(inside).split("\n")[0]
    assert 89_000 < int(first.removeprefix("line ")) < 91_000
    inside.press("End")
    inside.wait_text("line 100000", ".screen")
    inside.click_text("Cancel")
    inside.wait_text("cancelled", ".head")


def test_output_that_was_not_kept_is_told(inside: Page, front: Front) -> None:
    limits = {"output_bytes": 4000}
    id = front.submit("sh", "-c", "seq 20000; echo the end", limits=limits)["id"]
    wait_for(lambda: front.get(id)["state"] == "succeeded")  # who follows may see all of it
    open_job(inside, front, id)
    inside.wait_text("the end", ".screen")
    inside.wait_text("not kept", ".facts")
    inside.click(".screen")
    inside.press("Home")
    for _ in range(100):
        if "of stdout not kept" in rows(inside):
            break
        inside.press("PageDown")
        inside.js("new Promise((shown) => requestAnimationFrame(() => setTimeout(shown)))")
    assert "of stdout not kept" in rows(inside)


def test_a_download_is_the_output_byte_by_byte(inside: Page, front: Front) -> None:
    id = front.submit("printf", r"\377\0<b>\033[31m")["id"]
    open_job(inside, front, id)
    inside.wait_text("succeeded", ".head")
    bytes_of = "[...new Uint8Array(await (await fetch(document.querySelector('.downloads a').href))"
    assert inside.js(f"(async () => {bytes_of}.arrayBuffer())])()") == list(b"\xff\0<b>\033[31m")


def test_the_page_goes_on_when_the_processes_are_replaced(inside: Page, front: Front) -> None:
    inside.forgiven = ["ERR_", "503", "502"]
    script = "trap 'echo told; exit 0' USR1; echo ready; while :; do sleep 0.05; done"
    before = front.submit("sh", "-c", "for n in $(seq 30); do echo $n; sleep 0.1; done")["id"]
    open_job(inside, front, before)
    inside.wait_text("3", ".screen")
    front.squall("reload")
    inside.wait_text("live", "header")
    inside.wait_text("30", ".screen")
    inside.wait_text("succeeded", ".head")
    shown = rows(inside).split("\n")
    assert len(shown) > 10 and shown == [str(n) for n in range(31 - len(shown), 31)]
    after = front.submit("sh", "-c", script)["id"]
    open_job(inside, front, after)
    inside.wait_text("ready", ".screen")
    inside.js("void (document.querySelector('.signal select').value = 'SIGUSR1')")
    inside.click_text("Send", ".signal button")
    inside.wait_text("told", ".screen")
