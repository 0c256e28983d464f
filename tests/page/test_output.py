"""What can be asked of a job's output, and what is said where there is none."""

from __future__ import annotations

import re

from .browser import Browser, Page
from .conftest import Front
from .test_job import open_job, rows

COLOR = (
    "getComputedStyle([...document.querySelectorAll('.xterm-rows span')].find("
    "(span) => span.textContent.includes('{}'))).color"
)
BOTH = (
    "echo from-out; sleep 0.05; printf 'from-err \033[31min-red\033[0m then-err\n' >&2;"
    " sleep 0.05; echo after-out"
)


def ended(page: Page, front: Front, *args: str, **spec: object) -> str:
    """Open a job that has ended, and return its id."""
    id = str(front.submit(*args, **spec)["id"])
    open_job(page, front, id)
    page.wait("['succeeded', 'failed'].includes(document.querySelector('.job-page').dataset.state)")
    return id


def clipboard(browser: Browser, page: Page) -> None:
    """Allow the page to use it."""
    permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"]
    browser.call("Browser.grantPermissions", permissions=permissions, browserContextId=page.context)
    page.call("Page.bringToFront")


def test_an_empty_output_is_said_to_be_empty(inside: Page, front: Front) -> None:
    ended(inside, front, "true")
    inside.wait_text("No output", ".screen .empty")
    inside.js("void (document.querySelector('.empty').style.pointerEvents = 'auto')")
    middle = "(({x, y, width, height}) => [x + width / 2, y + height / 2])"
    box = "document.querySelector('.screen').getBoundingClientRect()"
    on_top = f"document.elementFromPoint(...{middle}({box}))"
    assert inside.js(f"{on_top}.matches('.empty')")
    ended(inside, front, "echo", "something")
    inside.wait_text("something", ".screen")
    assert not inside.js("document.querySelector('.empty').checkVisibility()")
    inside.click_text("stderr")
    inside.wait_text("No output on stderr", ".screen .empty")
    front_id = front.submit("sleep", "300")["id"]
    open_job(inside, front, front_id)
    inside.wait_text("No output yet", ".screen .empty")
    front.request("POST", f"/v1/jobs/{front_id}/cancel", b"")


def test_what_kept_a_command_from_starting_is_said_first(inside: Page, front: Front) -> None:
    ended(inside, front, "no-such-program")
    inside.wait_text("could not be started", ".trouble")
    inside.wait_text("no-such-program", ".trouble")
    before = (
        "document.querySelector('.trouble').compareDocumentPosition(document.querySelector('{}'))"
    )
    for later in (".facts", ".output"):
        assert inside.js(before.format(later)) & 4, later
    assert (
        inside.js("parseFloat(getComputedStyle(document.querySelector('.trouble')).fontSize)") > 14
    )
    assert inside.js("document.querySelector('.trouble').role") == "alert"
    ended(inside, front, "sleep", "300", timeout=0.1)
    inside.wait_text("longer than its timeout", ".trouble")
    ended(inside, front, "true")
    assert not inside.js("document.querySelector('.trouble').checkVisibility()")


def test_both_streams_are_told_apart(inside: Page, front: Front) -> None:
    ended(inside, front, "sh", "-c", BOTH)
    inside.wait_text("after-out", ".screen")
    out, err, red = (inside.js(COLOR.format(text)) for text in ("from-out", "from-err", "in-red"))
    assert len({out, err, red}) == 3
    assert inside.js(COLOR.format("then-err")) == err
    assert inside.js(COLOR.format("after-out")) == out


def test_a_mark_says_that_there_is_something_on_stderr(inside: Page, front: Front) -> None:
    mark = "getComputedStyle(document.querySelector('[data-stream=stderr]'), '::after').visibility"
    ended(inside, front, "echo", "nothing there")
    inside.wait_text("nothing there", ".screen")
    assert inside.js(mark) == "hidden"
    ended(inside, front, "sh", "-c", "echo out; echo err >&2")
    inside.wait(f"{mark} === 'visible'")


def test_a_stream_keeps_its_colours_whatever_the_other_sets(inside: Page, front: Front) -> None:
    script = (
        r"printf '\033[32mgreen'; sleep 0.1; printf '\033[0;1;34mblue\n' >&2; sleep 0.1; echo more"
    )
    ended(inside, front, "sh", "-c", script)
    inside.wait_text("more", ".screen")
    assert inside.js(COLOR.format("green")) == inside.js(COLOR.format("more"))
    assert inside.js(COLOR.format("green")) != inside.js(COLOR.format("blue"))


def test_each_line_tells_when_it_came_and_from_where(inside: Page, front: Front) -> None:
    ended(inside, front, "sh", "-c", f"{BOTH}; echo; printf 'one\\rtwo\\n'")
    inside.wait_text("after-out", ".screen")
    inside.click_text("Times")
    inside.wait_text("err from-err", ".screen")
    inside.wait_text("out two", ".screen")
    lines = [re.sub(r"^\d\d:\d\d:\d\d\.\d{3} ", "", line) for line in rows(inside).split("\n")]
    assert lines == [
        "out from-out",
        "err from-err in-red then-err",
        "out after-out",
        "out",
        "out two",
    ]
    assert inside.js(COLOR.format("then-err")) == inside.js(COLOR.format("from-err"))
    inside.click_text("Times")
    inside.wait("!document.querySelector('.xterm-rows').innerText.includes('err from-err')")


def test_a_text_is_found_in_the_output(inside: Page, front: Front) -> None:
    ended(inside, front, "seq", "-f", "line %.0f.", "3000")
    inside.wait_text("line 3000.", ".screen")
    inside.press("f", ctrl=True)
    inside.wait("document.activeElement.placeholder === 'Find in the output'")
    inside.type("line 17.")
    inside.wait_text("1 of 1", ".found")
    inside.wait_text("line 17.", ".xterm-rows")
    inside.js("document.activeElement.select()")
    inside.type("LINE 299")
    inside.wait("document.querySelector('.found').textContent.endsWith(' of 11')")
    first = inside.text(".found")
    inside.press("Enter")
    inside.wait(f"document.querySelector('.found').textContent !== '{first}'")
    inside.js("document.activeElement.select()")
    inside.type("nowhere")
    inside.wait_text("none", ".found")


def test_copying_takes_whole_lines_and_the_id(browser: Browser, inside: Page, front: Front) -> None:
    clipboard(browser, inside)
    long = "word " * 200 + "end"
    id = ended(inside, front, "printf", f"first\\n{long}\\n\\033[31mlast\\033[0m\\n")
    inside.wait_text("last", ".screen")
    inside.click_text("Copy")
    inside.wait_text("Output copied", ".notices")
    assert inside.js("navigator.clipboard.readText()") == f"first\n{long}\nlast\n"
    inside.click_text("Copy id")
    inside.wait_text("Job id copied", ".notices")
    assert inside.js("navigator.clipboard.readText()") == id


def test_copying_works_without_a_clipboard_of_the_browser(
    browser: Browser, inside: Page, front: Front
) -> None:
    clipboard(browser, inside)
    id = ended(inside, front, "true")
    # as on a page that came without TLS
    inside.js("void (navigator.clipboard.writeText = undefined)")
    inside.click_text("Copy id")
    inside.wait_text("Job id copied", ".notices")
    assert inside.js("navigator.clipboard.readText()") == id


def test_long_lines_are_broken_or_run_on(inside: Page, front: Front) -> None:
    long = "x" * 300
    ended(inside, front, "sh", "-c", f"echo {long}; echo short")
    inside.wait_text("short", ".screen")
    assert len(rows(inside).split("\n")) > 2
    inside.click_text("Wrap")
    inside.wait("!document.querySelector('.xterm-rows > div:nth-child(3)').textContent.trim()")
    assert rows(inside) == f"{long}\nshort"
    wide = "(({scrollWidth, clientWidth}) => scrollWidth > clientWidth)"
    assert inside.js(f"{wide}(document.querySelector('.screen'))")
    ended(inside, front, "sh", "-c", f"echo other; echo {long}{long[:100]}")
    inside.wait_text("other", ".screen")
    inside.wait_text(long, ".xterm-rows")
    assert rows(inside) == f"other\n{long}{long[:100]}"
    inside.click_text("Wrap")
    inside.wait("document.querySelector('.xterm-rows > div:nth-child(3)').textContent.trim()")


def test_a_progress_bar_stays_one_line_in_a_narrow_window(inside: Page, front: Front) -> None:
    inside.size(390, 800, is_phone=True)
    script = (
        "echo begin; for n in $(seq 50); do printf '\\r%03d [%0120d]' $n 0; sleep 0.005; done;"
        " printf '\\r\\033[Kdone\\r'; sleep 0.1; printf '\\nend\\r\\n'"
    )
    ended(inside, front, "sh", "-c", script)
    inside.wait_text("end", ".screen")
    assert rows(inside).split("\n") == ["begin", "done", "end"]
    ended(inside, front, "sh", "-c", "for n in $(seq 50); do printf '\\r%03d [%0120d]' $n 0; done")
    inside.wait_text("050 [", ".screen")
    assert re.fullmatch(r"050 \[0{120}\]", rows(inside).replace("\n", ""))


def test_a_screen_reader_is_told_the_output(inside: Page, front: Front) -> None:
    ended(inside, front, "echo", "for the ears")
    inside.wait(
        "document.querySelector('.screen [role=list]').textContent.includes('for the ears')"
    )
    assert inside.js("document.querySelector('.screen [aria-live]').ariaLive") == "polite"
