"""Whatever a job prints or is called: it is shown, and does nothing."""

from __future__ import annotations

from .browser import Browser, Page
from .conftest import Front
from .test_job import open_job, rows

HTML = [
    "<script>window.pwned = 1</script>",
    "<img src=x onerror='window.pwned = 2'>",
    "<svg onload=window.pwned=3>",
    "<iframe srcdoc='<script>parent.pwned = 4</script>'></iframe>",
    '"><a href="javascript:window.pwned = 5">click</a>',
    "{{constructor.constructor('window.pwned = 6')()}}",
]
COUNT = "document.querySelectorAll('img, iframe, svg:not(.mark), script:not([src]), a[href^=java]')"


def test_html_in_a_command_a_label_and_an_output_is_text(inside: Page, front: Front) -> None:
    labels = {html.replace(":", ""): html for html in HTML}
    environ = {"HTML": HTML[1]}
    for html in HTML:
        front.submit("echo", html, labels=labels, env=environ)
    id = front.submit("sh", "-c", 'printf "%s\\n" "$@"', HTML[0], *HTML, labels=labels)["id"]
    front.submit(HTML[1], labels=labels)
    inside.wait("document.querySelectorAll('.jobs tbody tr').length > 7")
    inside.wait_text("<img src=x", ".jobs .labels")
    open_job(inside, front, id)
    inside.wait_text("succeeded", ".head")
    inside.wait_text("<iframe srcdoc", ".screen")
    assert rows(inside).split("\n") == HTML
    assert HTML[0] in inside.text("h1.command") and HTML[1] in inside.text(".facts")
    assert inside.js(f"{COUNT}.length") == 0
    assert inside.js("window.pwned === undefined")
    inside.click_text("Edit and run")
    inside.wait_text("<img src=x", ".words")
    assert inside.js(f"{COUNT}.length") == 0
    assert inside.js("window.pwned === undefined")


def test_escapes_reach_neither_the_title_nor_the_clipboard(
    browser: Browser, inside: Page, front: Front
) -> None:
    browser.call(
        "Browser.grantPermissions",
        permissions=["clipboardReadWrite", "clipboardSanitizedWrite"],
        browserContextId=inside.context,
    )
    inside.call("Page.bringToFront")
    inside.js("navigator.clipboard.writeText('mine')")
    script = (
        r"printf '\033]0;pwned title\007\033]2;pwned title\033\\';"
        r"printf '\033]52;c;cHduZWQ=\007\033]52;p;cHduZWQ=\033\\';"
        r"printf '\033]8;;javascript:window.pwned=1\007click here\033]8;;\007\n';"
        r"printf '\033]8;;https://evil.example/\033\\and here\033]8;;\033\\\n';"
        r"printf '\033]1337;File=inline=1:AAAA\007\033[21t\033[6n\033[c\033]4;1;?\007';"
        r"printf '\033[?1000h\033[?1049h\033[?2004h\033c'; echo; echo 'after all'"
    )
    job = front.submit("sh", "-c", script, "-", stdin="open")
    open_job(inside, front, job["id"])
    inside.wait_text("succeeded", ".head")
    inside.wait_text("after all", ".screen")
    assert inside.js("document.title") == "sh · squall"
    assert inside.js("navigator.clipboard.readText()") == "mine"
    assert inside.js("window.pwned === undefined")


def test_a_link_in_the_output_leads_nowhere(inside: Page, front: Front) -> None:
    script = r"printf '\033]8;;https://evil.example/\007click here\033]8;;\007\n'"
    open_job(inside, front, front.submit("sh", "-c", script)["id"])
    inside.wait_text("click here", ".screen")
    inside.js("void (window.asked = 0, window.confirm = window.open = () => { window.asked++ })")
    where = inside.js("location.href")
    box = "(({x, y}) => [x + 5, y + 5])(document.querySelector('.xterm-rows > div > span')"
    inside.click_at(*inside.js(f"{box}.getBoundingClientRect())"))
    assert inside.js("location.href") == where
    assert inside.js("window.asked") == 0


def test_the_browser_itself_refuses_what_the_policy_forbids(page: Page, front: Front) -> None:
    page.forgiven = ["violates", "requires 'TrustedHTML'", "Refused", "blocked"]
    page.go(front.url)
    page.wait("document.querySelector('#token')")
    refused = "(() => {{ try {{ {}; return 'done' }} catch (error) {{ return error.name }} }})()"
    assert page.js(refused.format("document.body.innerHTML = '<b>x</b>'")) == "TypeError"
    assert page.js(refused.format("setTimeout('window.pwned = 1')")) == "TypeError"
    page.js(
        "void document.body.append(Object.assign(document.createElement('script'),"
        " {text: 'window.pwned = 1'}))"
        if page.js(refused.format("document.createElement('script').text = 'x'")) == "done"
        else "0"
    )
    assert (
        page.js("fetch('https://evil.example/').then(() => 'sent', () => 'refused')") == "refused"
    )
    assert page.js("window.pwned === undefined")
