"""The form that runs a command: its line, and every field of a spec."""

from __future__ import annotations

import json
from typing import Any

from .browser import Page
from .conftest import Front
from .test_job import open_job

LABELS = {"app": "web", "night shift": "x:y=z", "two": "lines\nof text"}
# every field of a spec, none of them at its default
WHOLE: dict[str, Any] = {
    "args": ["sh", "-c", 'cat; printf "%s|" "$@"', "-", "two words", "it's", "a\nb\rc\td", ""],
    "env": {"GREETING": "hello = you", "LINES": "one\ntwo", "EMPTY": ""},
    "cwd": "/usr",
    "stdin": {"base64": "w6T/AA=="},
    "timeout": 12.25,
    "stop": {"signal": "SIGINT", "grace": 1.5},
    "limits": {
        "address_space": 2**61 + 1,
        "cpu_seconds": 50,
        "open_files": 256,
        "processes": 5000,
        "file_size": 10**9,
        "core_size": 0,
        "output_bytes": 70_000,
    },
    "labels": LABELS,
}


def fields(front: Front) -> Any:
    document = json.loads(front.ask("GET", "/openapi.json", headers=front.headers())[2])
    return document["components"]["schemas"]["Spec"]["properties"]


def field(title: str) -> str:
    """Find the control with this name."""
    return (
        "[...document.querySelectorAll('.options label')].find((label) =>"
        f" label.textContent.trim() === {json.dumps(title)})"
        ".querySelector('input, select, textarea')"
    )


def write(page: Page, title: str, text: str) -> None:
    """Write into the control with this name, in place of what is there."""
    page.wait(f"{field(title)}.checkVisibility()")
    page.js(f"(() => {{ const control = {field(title)}; control.focus(); control.select() }})()")
    page.type(text) if text else page.js(f"void ({field(title)}.value = '')")


def accepted(page: Page, front: Front, before: str = "") -> Any:
    """Return the job whose page is shown, another one than before."""
    page.wait(f"location.pathname.startsWith('/jobs/') && !location.pathname.endsWith('/{before}')")
    page.wait_text("succeeded", ".head")
    return front.get(page.js("location.pathname.slice(6)"))


def edit(page: Page, front: Front, id: str) -> None:
    open_job(page, front, id)
    page.wait_text("succeeded", ".head")
    page.click_text("Edit and run")
    page.wait("document.querySelector('.line').value !== ''")
    page.wait("document.querySelector('.options').checkVisibility()")
    page.wait("document.querySelector('.stdin select').value === 'before'")


def test_every_field_of_a_spec_survives_edit_and_run(inside: Page, front: Front) -> None:
    known = fields(front)
    assert WHOLE.keys() == known.keys()
    assert WHOLE["limits"].keys() == known["limits"]["default"].keys()
    first = front.submit(*WHOLE["args"], **{k: v for k, v in WHOLE.items() if k != "args"})
    edit(inside, front, first["id"])
    inside.click_text("Run")
    again = accepted(inside, front, first["id"])
    asked = WHOLE.keys() - {"stdin"}
    assert {name: again[name] for name in asked} == {name: WHOLE[name] for name in asked}
    assert again["rerun_of"] == first["id"]
    assert again["stdout"] == front.get(first["id"])["stdout"]
    edit(inside, front, again["id"])
    write(inside, "Timeout", "9")
    inside.js("document.querySelector('.line').select()")
    inside.type("cat")
    inside.press("Enter")
    changed = accepted(inside, front, again["id"])
    assert (changed["args"], changed["timeout"]) == (["cat"], 9)
    asked -= {"args", "timeout"}
    assert {name: changed[name] for name in asked} == {name: WHOLE[name] for name in asked}


def test_a_field_that_is_emptied_is_as_if_it_was_never_asked(inside: Page, front: Front) -> None:
    limits = {"open_files": 100, "cpu_seconds": 9}
    first = front.submit("true", cwd="/usr", timeout=9, limits=limits, labels={"a": "b"})
    edit(inside, front, first["id"])
    for title in ("Directory", "Timeout", "Open files"):
        write(inside, title, "")
    inside.click(".pair:not(:last-child) button[aria-label='Remove']")
    inside.click_text("Run")
    job = accepted(inside, front, first["id"])
    assert (job["cwd"], job["timeout"], job["labels"]) == (None, None, {})
    assert job["limits"] == {**first["limits"], "open_files": None}


def test_the_form_has_every_field_by_the_name_that_the_service_gives(
    inside: Page, front: Front
) -> None:
    inside.click_text("Options")
    inside.wait("document.querySelector('.options label')")
    shown = inside.text(".options")
    for name, described in fields(front).items():
        assert name == "args" or described["title"] in shown, name
    for name, described in fields(front)["limits"]["default"].items():
        assert name.replace("_", " ") in shown.lower(), (name, described)
    assert "Seconds until the job is stopped" in shown


def test_what_a_command_needs_is_said_in_the_form(inside: Page, front: Front) -> None:
    inside.click(".line")
    inside.type('echo "$GREETING from $PWD" | tr a-z A-Z; sleep 300')
    inside.click_text("Use a shell")
    inside.click_text("Options")
    write(inside, "Directory", "/usr")
    write(inside, "Timeout", "0.7")
    names = {
        legend: f"[...document.querySelectorAll('fieldset')].find((set) =>"
        f" set.firstElementChild.textContent === '{legend}')"
        ".querySelector('.pair:last-child input')"
        for legend in ("Environment", "Labels")
    }
    for legend, text in (
        ("Environment", "GREETING=hello=you"),
        ("Labels", "a:b"),
        ("Labels", "c=d:e"),
    ):
        inside.js(f"{names[legend]}.focus()")
        for part in text:
            inside.type(part)
    inside.click_text("Run")
    inside.wait_text("HELLO=YOU FROM /USR", ".screen")
    inside.wait_text("timeout", ".facts")
    job = front.get(inside.js("location.pathname.slice(6)"))
    assert job["args"][:2] == ["sh", "-c"] and job["labels"] == {"a": "b", "c": "d:e"}
    inside.click_text("Edit and run")
    inside.wait("document.querySelector('.line').value.startsWith('echo')")
    assert inside.js("document.querySelector('.run [type=checkbox]').checked")


def test_a_copy_is_left_by_starting_anew(inside: Page, front: Front) -> None:
    first = front.submit("true", labels={"of": "the first"})
    edit(inside, front, first["id"])
    inside.wait_text(first["id"], ".edits")
    inside.click_text("Start anew")
    inside.type("echo alone")
    inside.press("Enter")
    job = accepted(inside, front, first["id"])
    assert (job["args"], job["labels"], job["rerun_of"]) == (["echo", "alone"], {}, None)


def test_input_that_was_not_kept_must_be_given_again(inside: Page, front: Front) -> None:
    inside.forgiven = ["409"]
    id = front.submit("cat", stdin="open")["id"]
    front.request("POST", f"/v1/jobs/{id}/stdin?close=true", b"typed")
    open_job(inside, front, id)
    inside.wait_text("succeeded", ".head")
    inside.click_text("Rerun")
    inside.wait_text("standard input was not kept", ".notices")


def test_a_command_line_becomes_the_arguments_that_are_shown(inside: Page, front: Front) -> None:
    inside.press("n")
    inside.type("""printf '%s|' "two words" it\\'s '' $HOME""")
    words = "[...document.querySelectorAll('.word')].map((word) => word.textContent)"
    assert inside.js(words) == ["printf", "%s|", "two words", "it's", "", "$HOME"]
    inside.wait_text("No shell reads this", ".words")
    inside.press("Enter")
    inside.wait_text("succeeded", ".head")
    inside.wait_text("%s|two words|it's||$HOME|"[3:], ".screen")


def test_a_command_that_cannot_be_taken_is_told_beside_the_form(inside: Page) -> None:
    inside.forgiven = ["422"]
    inside.click(".line")
    inside.type("echo 'open")
    inside.wait_text("the quote ' is not closed", ".words")
    inside.press("Enter")
    inside.js("void document.querySelector('.line').select()")
    inside.type("true")
    inside.click_text("Options")
    inside.wait("document.querySelector('.options label')")
    inside.click("input[placeholder='e.g. /srv/data']")
    inside.type("not/absolute")
    inside.press("Enter")
    inside.wait_text("cwd: must be an absolute path", ".run .wrong")
