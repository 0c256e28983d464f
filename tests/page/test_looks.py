"""Light and dark, wide and narrow, with a mouse and without."""

from __future__ import annotations

from pathlib import Path

import pytest

from .browser import Page
from .conftest import Front, sign_in
from .test_job import open_job

CONTRAST = Path(__file__).with_name("contrast.js").read_text()
GROUND = "getComputedStyle(document.body).backgroundColor"


def test_light_and_dark_follow_the_system_until_one_is_chosen(inside: Page, front: Front) -> None:
    inside.prefer("light")
    light = inside.js(GROUND)
    inside.prefer("dark")
    inside.wait(f"{GROUND} !== '{light}'")
    inside.click_text("Theme")
    inside.wait(f"{GROUND} === '{light}'")
    inside.go(front.url)
    inside.wait_text("live", "header")
    assert inside.js(GROUND) == light
    inside.press("t")
    inside.wait(f"{GROUND} !== '{light}'")
    inside.prefer("light")
    inside.wait(f"{GROUND} === '{light}'")


def test_everything_can_be_done_from_the_keyboard(page: Page, front: Front) -> None:
    front.submit("true", "before")
    sign_in(page, front)
    page.press("n")
    page.type("echo by hand")
    page.press("Enter")
    page.wait_text("by hand", ".screen")
    page.wait_text("succeeded", ".head")
    page.press("o")
    page.wait("document.activeElement.closest('.screen')")
    page.press("Tab")
    page.wait("!document.activeElement.closest('.screen')")
    page.press("Escape")
    page.wait("document.querySelector('.jobs tbody tr')")
    page.press("j")
    page.wait("document.activeElement.matches('.jobs tbody tr:first-child a')")
    page.press("ArrowDown")
    page.wait("document.activeElement.matches('.jobs tbody tr:nth-child(2) a')")
    page.press("Enter")
    page.wait_text("succeeded", ".head")
    page.press("Escape")
    page.wait("document.activeElement.matches('.jobs tbody tr:nth-child(2) a')")
    page.press("k")
    page.press("Enter")
    page.wait_text("by hand", ".screen")
    page.press("?")
    page.wait_text("Back to the list", "dialog")
    page.press("Escape")
    page.wait("!document.querySelector('dialog').open")
    page.wait_text("by hand", ".screen")


def test_a_finger_scrolls_the_output(inside: Page, front: Front) -> None:
    inside.size(390, 800, is_phone=True)
    open_job(inside, front, front.submit("seq", "-f", "line %.0f", "1000")["id"])
    inside.wait_text("line 1000", ".screen")
    box = inside.js(
        "(({x, y}) => [x, y])(document.querySelector('.screen').getBoundingClientRect())"
    )
    inside.drag(box[0] + 100, box[1] + 30, 250)
    inside.wait("!document.querySelector('.xterm-rows').innerText.includes('line 1000')")
    inside.drag(box[0] + 100, box[1] + 280, -270)
    inside.wait_text("line 1000", ".screen")


@pytest.mark.parametrize("width", [320, 390, 768])
def test_nothing_sticks_out_of_a_narrow_window(page: Page, front: Front, width: int) -> None:
    long = "x" * 300
    id = front.submit("sh", "-c", f"echo {long}; # {long}", labels={long: long, "a": "b"})["id"]
    page.size(width, 700, is_phone=True)
    sticks_out = "document.documentElement.scrollWidth > innerWidth"
    sign_in(page, front)
    assert not page.js(sticks_out)
    page.click_text("Options")
    assert not page.js(sticks_out)
    open_job(page, front, id)
    page.wait_text("succeeded", ".head")
    page.wait_text("xxx", ".screen")
    assert not page.js(sticks_out)
    assert page.js("document.querySelector('.screen').scrollWidth > 0")


def test_every_control_has_a_name(inside: Page, front: Front) -> None:
    nameless = (
        "[...document.querySelectorAll('input, select, textarea, button, a')].filter((node) =>"
        " node.checkVisibility() && !node.closest('.xterm') && !(node.ariaLabel ||"
        " node.labels?.length || node.textContent.trim())).map((node) => node.outerHTML)"
    )
    inside.click_text("Options")
    assert inside.js(nameless) == []
    open_job(inside, front, front.submit("cat", stdin="open")["id"])
    inside.wait("document.querySelector('.input').checkVisibility()")
    assert inside.js(nameless) == []
    inside.click_text("End of input")
    inside.wait_text("succeeded", ".head")


def too_faint(page: Page) -> object:
    """Return the texts whose contrast with what is behind them is under 4.5 (WCAG 2.2, 1.4.3)."""
    return page.js(f"({CONTRAST})(4.5)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(page: Page, front: Front, scheme: str) -> None:
    page.prefer(scheme)
    page.go(front.url)
    page.wait("document.activeElement.id === 'token'")
    assert too_faint(page) == []
    page.go("about:blank")
    ends = {
        "succeeded": front.submit("echo", "done", labels={"a": "b"})["id"],
        "failed": front.submit("sh", "-c", "echo wrong >&2; exit 3")["id"],
        "running": front.submit("cat", stdin="open")["id"],
        "cancelled": front.submit("sleep", "300")["id"],
    }
    front.request("POST", f"/v1/jobs/{ends['cancelled']}/cancel", b"")
    sign_in(page, front)
    page.wait_text("cancelled", f"[data-id='{ends['cancelled']}']")
    page.click_text("Options")
    page.wait("document.querySelector('.options label')")
    page.click(".line")
    page.type("ls *")
    assert too_faint(page) == []
    for state in ("failed", "lost", "queued"):  # as they would look
        page.js(
            "void document.querySelectorAll('.jobs tr[data-state], .jobs .state').forEach("
            f"(node) => node.dataset.state = '{state}')"
        )
        assert too_faint(page) == []
    for state, id in ends.items():
        open_job(page, front, id)
        page.wait_text(state, ".head .state")
        page.click_text("Times")
        assert too_faint(page) == []
        for other in ("lost", "queued"):
            page.js(f"void (document.querySelector('.head .state').dataset.state = '{other}')")
            assert too_faint(page) == []
    page.press("?")
    page.wait("document.querySelector('dialog').open")
    assert too_faint(page) == []
    front.request("POST", f"/v1/jobs/{ends['running']}/cancel", b"")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_of_a_program_can_be_read(page: Page, front: Front, scheme: str) -> None:
    page.prefer(scheme)
    sign_in(page, front)
    script = (
        "for n in 30 31 33 37 90 97 '38;5;226' '38;5;17'; do printf '\\033[%smtext\\n' $n; done"
    )
    open_job(page, front, front.submit("sh", "-c", script)["id"])
    page.wait("document.querySelectorAll('.xterm-rows span').length > 7")
    assert too_faint(page) == []


def test_the_measure_of_contrast_finds_what_is_faint(inside: Page) -> None:
    inside.js(
        "void document.querySelector('main').append(Object.assign(document.createElement('p'),"
        " {textContent: 'faint', style: 'color: #888; background: rgb(0 0 255 / 20%)'}))"
    )
    (found,) = inside.js(f"({CONTRAST})(4.5)")
    assert found["text"] == "faint" and 1 < found["contrast"] < 4.5
