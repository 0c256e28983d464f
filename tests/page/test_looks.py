"""Light and dark, wide and narrow, with a mouse and without."""

from __future__ import annotations

import pytest

from .browser import Page
from .conftest import Front, sign_in
from .test_job import open_job

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
    inside.wait("!document.querySelector('.screen').innerText.includes('line 1000')")
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
