"""A headless chromium, told what to do over a pipe in its DevTools protocol.

That needs nothing but the browser: descriptor 3 takes commands and 4 gives answers and events, JSON
objects that end with a NUL byte. https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import time
from pathlib import Path
from typing import Any

PATIENCE_S = 40.0
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb"),
    *("--lang=en-US", "--remote-debugging-pipe"),
)
KEYS = {
    "Enter": ("Enter", 13, "\r"),
    "Escape": ("Escape", 27, ""),
    "Tab": ("Tab", 9, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
    "ArrowUp": ("ArrowUp", 38, ""),
    "PageDown": ("PageDown", 34, ""),
    "Home": ("Home", 36, ""),
    "End": ("End", 35, ""),
    "?": ("Slash", 191, "?"),
    "/": ("Slash", 191, "/"),
}


def find() -> str | None:
    """Return the chromium there is."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := shutil.which(name))), None)


class Browser:
    """One browser; it may have many pages."""

    def __init__(self, binary: str, directory: Path) -> None:
        """Start it with an empty profile."""
        commands, self._commands = _pipe()
        self._answers, answers = _pipe()
        log = str(directory / "chromium.log")
        self._pid = os.posix_spawn(
            binary,
            [binary, *FLAGS, f"--user-data-dir={directory / 'profile'}", "about:blank"],
            {**os.environ, "HOME": str(directory)},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_DUP2, commands, 3),
                (os.POSIX_SPAWN_DUP2, answers, 4),
            ],
            setpgroup=0,
        )
        os.close(commands)
        os.close(answers)
        self._rest = b""
        self._last = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **params: Any) -> Any:
        """Send a command and wait for its answer."""
        self._last += 1
        command = {"id": self._last, "method": method, "params": params}
        if session:
            command["sessionId"] = session
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            message = self._next(deadline)
            if message.get("id") == self._last:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            self.events.append(message)

    def new_page(self) -> Page:
        """Open a page that shares nothing with the others: no cookies, no storage."""
        return Page(self)

    def close(self) -> None:
        """End it, and what it started."""
        with contextlib.suppress(ProcessLookupError):  # then it is gone already
            os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._commands)
        os.close(self._answers)

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            left = deadline - time.monotonic()
            assert left > 0, "chromium does not answer"
            assert select.select([self._answers], [], [], left)[0], "chromium does not answer"
            data = os.read(self._answers, 1 << 20)
            assert data, "chromium has ended"
            self._rest += data
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)  # type: ignore[no-any-return]


class Page:
    """One tab, in a context of its own."""

    def __init__(self, browser: Browser) -> None:
        """Open it, empty."""
        self._browser = browser
        context = browser.call("Target.createBrowserContext")["browserContextId"]
        self.context = context
        self.forgiven: list[str] = []  # what a test expects the console to complain about
        target = browser.call("Target.createTarget", url="about:blank", browserContextId=context)
        self.target = target["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.size(1280, 800)

    def call(self, method: str, **params: Any) -> Any:
        """Send a command to this page."""
        return self._browser.call(method, self._session, **params)

    def go(self, url: str) -> None:
        """Load a page; it may still be at work afterwards."""
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def js(self, expression: str) -> Any:
        """Return the value of an expression, awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str, timeout_s: float = PATIENCE_S) -> Any:
        """Wait until an expression is true, and return its value."""
        deadline = time.monotonic() + timeout_s
        # a node is true, though its value is nothing; what cannot be found yet is false
        value = f"const value = {expression}; return value?.nodeType ? true : value"
        asked = f"(() => {{ try {{ {value} }} catch {{}} }})()"
        while not (value := self.js(asked)):
            assert time.monotonic() < deadline, (
                f"never: {expression}\n{self.text()}\n{self.complaints()}"
            )
            time.sleep(0.02)
        return value

    def wait_text(self, text: str, selector: str = "body") -> None:
        """Wait until a text is to be read on the page."""
        shown = f"{_node(selector)}.innerText.replaceAll('\\u00a0', ' ')"
        self.wait(f"{shown}.includes({json.dumps(text)})")

    def text(self, selector: str = "body") -> str:
        """Return what is to be read."""
        return str(self.js(f"{_node(selector)}?.innerText ?? ''"))

    def click(self, selector: str) -> None:
        """Click in the middle of an element that can be seen there, as a hand would."""
        at = self.wait(
            f"(() => {{ const node = {_node(selector)}; node.scrollIntoView({{block: 'nearest'}});"
            " const box = node.getBoundingClientRect();"
            " const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];"
            " const top = document.elementFromPoint(x, y);"
            " return node.contains(top) && !node.disabled && [x, y] })()"
        )
        self.click_at(*at)

    def click_at(self, x: float, y: float) -> None:
        """Move to a point and click."""
        for kind, button in (("Moved", "none"), ("Pressed", "left"), ("Released", "left")):
            params = {"type": f"mouse{kind}", "x": x, "y": y, "button": button, "clickCount": 1}
            self.call("Input.dispatchMouseEvent", **params)

    def click_text(self, text: str, selector: str = "button") -> None:
        """Click the element with exactly this text."""
        self.click(f"{selector}::{text}")

    def choose(self, selector: str, value: str) -> None:
        """Choose an option of a select."""
        self.js(
            f"(() => {{ const node = {_node(selector)}; node.value = {json.dumps(value)};"
            " node.dispatchEvent(new Event('change')) })()"
        )

    def before_each_page(self, script: str) -> None:
        """Run a script in each document from now on, before its own."""
        self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def drag(self, x: float, y: float, by: float) -> None:
        """Move a finger up or down, from a point on."""
        steps = [("touchStart", 0.0), *(("touchMove", by * n / 10) for n in range(1, 11))]
        for kind, moved in steps:
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y + moved}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def type(self, text: str) -> None:
        """Write where the focus is."""
        self.call("Input.insertText", text=text)

    def press(self, key: str, *, ctrl: bool = False) -> None:
        """Press and release a key."""
        code, number, text = KEYS.get(key, (f"Key{key.upper()}", ord(key.upper()[0]), key))
        params = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        params["modifiers"] = 2 if ctrl else 0
        self.call("Input.dispatchKeyEvent", type="keyDown", text="" if ctrl else text, **params)
        self.call("Input.dispatchKeyEvent", type="keyUp", **params)

    def size(self, width: int, height: int, *, scale: float = 1, is_phone: bool = False) -> None:
        """Set the size of the window."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=is_phone,
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=is_phone)

    def prefer(self, scheme: str) -> None:
        """Have a system that prefers `light` or `dark`."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def cookies(self) -> list[dict[str, Any]]:
        """Return all cookies, those that scripts can't see too."""
        return self.call("Network.getCookies")["cookies"]  # type: ignore[no-any-return]

    def complaints(self) -> list[str]:
        """Return what the console says is wrong: exceptions, refused contents, failed requests."""
        self.js("0")  # what was said before is here then
        found = []
        for event in self._browser.events:
            if event.get("sessionId") != self._session:
                continue
            params = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                found.append(details.get("exception", {}).get("description", details["text"]))
            if event["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
                entry = params["entry"]
                found.append(f"{entry['text']} {entry.get('url', '')}")
            if event["method"] == "Runtime.consoleAPICalled" and params["type"] == "error":
                found.append(str(params["args"]))
        return found

    def screenshot(self, path: Path) -> None:
        """Take a picture of the window."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        """Close it and forget all that it kept."""
        self._browser.call("Target.disposeBrowserContext", browserContextId=self.context)
        self._browser.events = [
            event for event in self._browser.events if event.get("sessionId") != self._session
        ]


def _node(selector: str) -> str:
    """Find an element by a CSS selector, and by its text when one stands after `::`."""
    css, _, text = selector.partition("::")
    if not text:
        return f"document.querySelector({json.dumps(css)})"
    return (
        f"[...document.querySelectorAll({json.dumps(css)})].find((each) =>"
        f" each.checkVisibility() && each.textContent.trim() === {json.dumps(text)})"
    )


def _pipe() -> tuple[int, int]:
    """Make a pipe whose ends have high numbers: 3 and 4 are taken by chromium's own."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high[0], high[1]
