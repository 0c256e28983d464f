"""Where one is: addresses, going back, and finding."""

from __future__ import annotations

import json

import pytest

from .browser import Page
from .conftest import Front
from .test_job import open_job
from .test_jobs import row_of

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
COUNT = "document.querySelectorAll('.jobs tbody tr').length"
LABEL = "input[placeholder='key:value']"
TOMORROW = (
    "{ const real = Date; const day = 86_400_000;"
    " window.Date = class extends real { constructor(...given) {"
    " super(...(given.length ? given : [real.now() + day])) }"
    " static now() { return real.now() + day } } }"
)


def test_what_the_list_shows_is_its_address(inside: Page, front: Front) -> None:
    one = front.submit("false", "Place-One", labels={"place": "here there"})["id"]
    front.submit("false", "place-two", labels={"place": "elsewhere"})
    front.submit("true", "place-one", labels={"place": "here there"})
    inside.click(".states [data-state='failed']")
    inside.wait("location.search === '?state=failed'")
    inside.click(LABEL)
    inside.type("'place=here there'")
    inside.click(".filter [type=search]")
    inside.type("PLACE-ONE")
    found = "?state=failed&label=place%3Ahere+there&q=PLACE-ONE"
    inside.wait(f"{COUNT} === 1 && location.search === '{found}'")
    inside.click(f"{row_of(one)} a")
    inside.wait_text("failed", ".head")
    inside.click_text("← All jobs", "a")
    inside.wait(f"location.search === '{found}' && {COUNT} === 1")
    assert inside.js(f'document.querySelector("{LABEL}").value') == "'place:here there'"
    inside.call("Page.reload")
    inside.wait(f"{COUNT} === 1 && document.querySelector('[type=search]').value === 'PLACE-ONE'")
    inside.js("void setTimeout(() => history.back())")
    inside.wait("location.search === ''")
    inside.wait(f"{COUNT} > 1")
    assert inside.js("document.querySelector('[data-state=all]').ariaPressed") == "true"


def test_a_job_that_was_edited_leads_back_to_the_same_list(inside: Page, front: Front) -> None:
    id = front.submit("true", "back", labels={"back": "yes"})["id"]
    inside.go(f"{front.url}/?label=back%3Ayes")
    inside.wait_text("back", row_of(id))
    inside.click(f"{row_of(id)} .of-state")
    inside.wait_text("succeeded", ".head")
    inside.click_text("Edit and run")
    inside.wait("location.search === '?label=back%3Ayes'")
    inside.wait(f"{COUNT} === 1")


@pytest.mark.parametrize("text", ["app=web", "app:web"])
def test_a_label_is_written_with_either_mark(inside: Page, front: Front, text: str) -> None:
    id = front.submit("true", labels={"app": "web"})["id"]
    other = front.submit("true", labels={"app": "mail"})["id"]
    inside.wait_text("mail", row_of(other))
    inside.click(LABEL)
    inside.type(text)
    inside.wait(f'{COUNT} === 1 || !document.querySelector("{row_of(other)}")')
    inside.wait_text("web", row_of(id))


def test_what_is_no_label_is_told(inside: Page) -> None:
    inside.click(LABEL)
    inside.type("app")
    inside.wait_text("A label is key:value or key=value: app", ".filter .wrong")
    assert inside.js(f'document.querySelector("{LABEL}").ariaInvalid') == "true"
    inside.type(":web")
    inside.wait("document.querySelector('.filter .wrong').textContent === ''")


def test_the_list_is_narrowed_to_a_span_of_time(inside: Page, front: Front) -> None:
    jobs = [front.submit("true", "span", str(n), labels={"span": "of time"}) for n in range(3)]
    since, until = jobs[1]["created_at"], jobs[2]["created_at"]
    query = f"label=span%3Aof+time&since={since}&until={until}"
    inside.go(f"{front.url}/?{query}")
    # the fields go to the second, which is what is asked for then
    inside.wait("document.querySelector('.between').checkVisibility()")
    inside.wait("document.querySelector('.between input').value !== ''")
    inside.choose(".span select", "1h")
    inside.wait("location.search.includes('since=1h') && !location.search.includes('until')")
    inside.wait(f"{COUNT} === 3")
    inside.before_each_page(TOMORROW)
    inside.go(f"{front.url}/?label=span%3Aof+time&since=1h")
    inside.wait_text("No such job", ".count")
    inside.choose(".span select", "7d")
    inside.wait(f"{COUNT} === 3")


def test_what_comes_is_found_as_what_was_there_whatever_the_case(
    inside: Page, front: Front
) -> None:
    there = front.submit("true", "GROSSE STRASSE")["id"]
    inside.go(f"{front.url}/?q=gro%C3%9Fe+stra%C3%9Fe")
    inside.wait_text("succeeded", row_of(there))
    comes = front.submit("true", "Grosse Strasse")["id"]
    inside.wait_text("succeeded", row_of(comes))


def test_a_job_of_another_day_shows_its_date(inside: Page, front: Front) -> None:
    id = front.submit("true", "of yesterday")["id"]
    inside.wait_text("succeeded", row_of(id))
    time = inside.text(f"{row_of(id)} .time")
    inside.before_each_page(TOMORROW)
    inside.go(front.url)
    inside.wait_text("succeeded", row_of(id))
    fits = "(({scrollWidth, clientWidth}) => scrollWidth <= clientWidth)"
    for width in (1280, 800, 390, 320):
        inside.size(width, 800)
        shown = inside.text(f"{row_of(id)} .time")
        assert shown.endswith(time[:5]) and len(shown) > len(time), width
        assert shown.split()[0].isdigit() and shown.split()[1].isalpha()
        assert inside.js(f'{fits}(document.querySelector("{row_of(id)} .time"))'), width


def test_going_back_finds_as_many_rows_at_the_same_height(inside: Page, front: Front) -> None:
    batch = [{"args": ["true", f"height-{n}"], "labels": {"height": "same"}} for n in range(150)]
    assert front.ask("POST", "/v1/jobs", batch, front.headers())[0] == 202
    inside.go(f"{front.url}/?label=height%3Asame")
    inside.wait(f"{COUNT} === 100")
    inside.click_text("Older jobs")
    inside.wait(f"{COUNT} === 150")
    inside.js("scrollTo(0, 3000)")
    row = "[...document.querySelectorAll('.jobs a')].find((a) => a.getBoundingClientRect().y > 200)"
    inside.js(f"{row}.click()")
    inside.wait_text("succeeded", ".head")
    inside.press("Escape")
    inside.wait(f"{COUNT} === 150 && scrollY === 3000")


def test_an_address_of_an_earlier_version_leads_to_the_job(inside: Page, front: Front) -> None:
    id = front.submit("echo", "from of old")["id"]
    inside.go(f"{front.url}/#/jobs/{id}")
    inside.wait_text("from of old", ".screen")
    assert inside.js("location.pathname + location.hash") == f"/jobs/{id}"


@pytest.mark.parametrize("path", ["/jobs/xyz", "/nothing", "/v1/nothing", "/jobs/%3Cb%3E"])
def test_a_wrong_address_is_a_page_to_a_browser(inside: Page, front: Front, path: str) -> None:
    inside.forgiven = ["404"]
    for port in (front.front_port, front.ports[0]):
        status, headers, body = front.ask("GET", path, headers=BROWSER, port=port)
        assert (status, headers["Content-Type"]) == (404, "text/html; charset=utf-8")
        assert (
            b"<!doctype html>" in body and "script-src 'self'" in headers["Content-Security-Policy"]
        )
        for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
            status, headers, body = front.ask(
                "GET", path, headers={**front.headers(), **accept}, port=port
            )
            assert (status, headers["Content-Type"]) == (404, "application/problem+json")
            assert json.loads(body)["status"] == 404
        assert front.ask("POST", path, headers={**front.headers(), **BROWSER}, port=port)[0] == 404
    inside.go(front.url + path)
    inside.wait_text("There is nothing at this address")
    inside.click_text("All jobs", "a")
    inside.wait("document.querySelector('.jobs')")


def test_the_page_of_a_job_is_served_at_its_address(front: Front) -> None:
    id = front.submit("true")["id"]
    for port in (front.front_port, front.ports[0]):
        status, headers, body = front.ask("GET", f"/jobs/{id}", headers=BROWSER, port=port)
        assert (status, body) == (200, front.ask("GET", "/")[2])
        assert headers["Cache-Control"] == "no-cache"


def test_another_host_is_refused_at_a_wrong_address_too(front: Front) -> None:
    headers = {**BROWSER, "Host": "evil.example"}
    assert front.ask("GET", "/nothing", headers=headers)[0] == 403


def test_keys_of_a_page_lead_where_its_links_do(inside: Page, front: Front) -> None:
    id = front.submit("true", "keys")["id"]
    open_job(inside, front, id)
    inside.wait("document.activeElement.matches('h1')")
    inside.press("Escape")
    inside.wait("document.querySelector('.jobs')")
