"""A headless Chromium that a test drives, through DevTools over a pipe: no password in arguments or addresses."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
    *("--window-size=1280,800", "--remote-debugging-pipe"),
)
ANSWER_SECONDS = 60
CHUNK = 1 << 16


class Browser:
    """One page of a running browser."""

    def __init__(self, reads: int, writes: int) -> None:
        self._reads, self._writes = reads, writes
        self._rest = b""
        self._count = 0
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return DevTools' answer to one command; AssertionError with its words where it refuses."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        os.write(self._writes, json.dumps(message | ({"sessionId": self._session} if self._session else {})).encode())
        os.write(self._writes, b"\0")
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            answer = self._next(deadline)
            if answer.get("id") == self._count:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])

    def open(self, url: str, user: str, password: str) -> None:
        """Go to a page, with a basic login in the header of every request."""
        login = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.call("Network.enable")
        self.call("Network.setExtraHTTPHeaders", headers={"Authorization": f"Basic {login}"})
        found = self.call("Page.navigate", url=url)
        assert "errorText" not in found, found

    def show(self, file: Path) -> None:
        """Go to a page that is a file."""
        found = self.call("Page.navigate", url=file.resolve().as_uri())
        assert "errorText" not in found, found

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page; AssertionError where it throws."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def point(self, selector: str) -> None:
        """Move the mouse onto the middle of the first element that `selector` finds."""
        box = f"(() => {{const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
        x, y = self.evaluate(f"{box} return [box.x + box.width / 2, box.y + box.height / 2]}})()")
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def write(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def text(self) -> str:
        """Return the words that a person sees now."""
        return str(self.evaluate("document.body ? document.body.innerText : ''") or "")

    def wait_for(self, *words: str, seconds: float = 120) -> str:
        """Return the page's text when all `words` are in it; AssertionError with the text where they do not come."""
        deadline = time.monotonic() + seconds
        while not all(word in (text := self.text()) for word in words):
            assert time.monotonic() < deadline, f"no {words} within {seconds:g} s in: {text[:2000]}"
            time.sleep(0.5)
        return text

    def screenshot(self) -> bytes:
        """Return the page as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._reads], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"Chromium did not answer within {ANSWER_SECONDS} s"
            chunk = os.read(self._reads, CHUNK)
            assert chunk, "Chromium is gone"
            self._rest += chunk
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Run Chromium with a profile of its own."""
    there_reads, writes = os.pipe()
    reads, there_writes = os.pipe()
    with tempfile.TemporaryDirectory(prefix="platform-iac-browser-", ignore_cleanup_errors=True) as profile:
        # DevTools speaks on descriptors 3 and 4, whatever they are here.
        shell = f'exec chromium "$@" 3<&{there_reads} 4>&{there_writes}'
        process = subprocess.Popen(
            ["bash", "-c", shell, "chromium", *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(there_reads, there_writes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            os.close(there_reads)
            os.close(there_writes)
            yield Browser(reads, writes)
        finally:
            process.kill()
            process.wait(timeout=30)
            os.close(reads)
            os.close(writes)
