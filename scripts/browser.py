"""A real, headless Chromium, spoken to in WebDriver's own protocol: JSON over HTTP.

Source: https://www.w3.org/TR/webdriver2/.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from scripts.debian_tools import Tool

PATIENCE_SECONDS: Final = 90.0
_POLL_SECONDS: Final = 0.05
_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"  # how the protocol names an element
_ARGUMENTS: Final = (
    "--headless",
    "--no-sandbox",  # root's browser refuses to start otherwise, and it only sees our own page
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--lang=en",
)

KEYS: Final[Mapping[str, str]] = {"Enter": "\ue007", "Escape": "\ue00c", "ArrowDown": "\ue015", "ArrowUp": "\ue013"}
"""Names of keys that have no character."""


class BrowserError(AssertionError):
    """The browser could not do something, or a condition did not come true; the message has what it said."""


class Browser:
    """One window."""

    def __init__(self, server: str, arguments: Sequence[str], binary: str) -> None:
        self._server = server
        wanted = {
            "browserName": "chrome",
            "acceptInsecureCerts": True,
            "goog:chromeOptions": {"binary": binary, "args": list(arguments)},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        self._session = ""
        answer = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{answer['sessionId']}"

    def open(self, url: str) -> None:
        """Go to an address and wait until it is loaded."""
        self._ask("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: object) -> Any:  # noqa: ANN401 - whatever it returns
        """Run a function's body in the page; gives what it returns."""
        return self._ask("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, script: str, *arguments: object) -> Any:  # noqa: ANN401
        """Run a function's body until what it returns is true; gives that."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            found = self.run(script, *arguments)
            if found:
                return found
            time.sleep(_POLL_SECONDS)
        raise BrowserError(f"never true: {script} {arguments}\n{self.text()[:3000]}\n{self.console()}")

    def wait_for_text(self, text: str, css: str = "body") -> None:
        """Wait until an element says something."""
        self.wait("return document.querySelector(arguments[0])?.innerText.includes(arguments[1])", css, text)

    def text(self, css: str = "body") -> str:
        """Give what an element says; "" when it is not there."""
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", css))

    def click(self, css: str) -> None:
        """Click on an element."""
        found = self._ask("POST", f"{self._session}/element", {"using": "css selector", "value": css})
        self._ask("POST", f"{self._session}/element/{found[_ELEMENT]}/click", {})

    def press(self, *keys: str) -> None:
        """Press keys one after the other: characters, or names of `KEYS`."""
        actions = []
        for key in keys:
            character = KEYS.get(key, key)
            actions += [{"type": "keyDown", "value": character}, {"type": "keyUp", "value": character}]
        device = {"type": "key", "id": "keyboard", "actions": actions}
        self._ask("POST", f"{self._session}/actions", {"actions": [device]})

    def console(self) -> list[str]:
        """Give what the browser's console has got since the last time: warnings and errors."""
        entries = self._ask("POST", f"{self._session}/se/log", {"type": "browser"})
        return [f"{one['level']}: {one['message']}" for one in entries if one["level"] in ("WARNING", "SEVERE")]

    def picture(self, width: int, height: int) -> bytes:
        """Photograph the window in a size; PNG."""
        self._ask("POST", f"{self._session}/window/rect", {"width": width, "height": height})
        return base64.b64decode(self._ask("GET", f"{self._session}/screenshot"))

    def devtools(self, command: str, **parameters: object) -> Any:  # noqa: ANN401
        """Send a command of Chromium's own protocol."""
        return self._ask("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def quit(self) -> None:
        """Close the window."""
        self._ask("DELETE", self._session)

    def _ask(self, method: str, path: str, content: object = None) -> Any:  # noqa: ANN401
        body = None if content is None else json.dumps(content).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._server + path, body, headers, method=method)  # noqa: S310 - our own
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            said = json.load(error)["value"]
            raise BrowserError(f"{method} {path}: {said['error']}: {said['message']}") from error


@contextmanager
def browser(chromedriver: Tool, folder: Path, *more: str) -> Iterator[Browser]:
    """Run Chromium with a profile of its own, below ``folder``."""
    log = folder / "chromedriver.log"
    environment = {**chromedriver.env, "HOME": str(folder), **_fonts(folder, Path(chromedriver.path).parents[2])}
    with log.open("wb") as output:
        command = [chromedriver.path, "--port=0"]
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        # Beside the driver in the package's own folder: the command in PATH is a script for installed packages.
        binary = Path(chromedriver.path).resolve().parents[1] / "lib/chromium/chromium"
        arguments = [*_ARGUMENTS, f"--user-data-dir={folder / 'profile'}", *more]
        window = Browser(f"http://127.0.0.1:{_port(log, process)}", arguments, str(binary))
        try:
            yield window
        finally:
            window.quit()
    finally:
        process.terminate()
        process.wait()


def _port(log: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(rb"started successfully on port (\d+)", log.read_bytes()):
            return int(found[1])
        time.sleep(_POLL_SECONDS)
    raise BrowserError(f"chromedriver did not start: {log.read_text()[-2000:]}")


def _fonts(folder: Path, tree: Path) -> dict[str, str]:
    """Tell fontconfig where fonts are on a machine that has none: in the unpacked packages."""
    if os.path.exists("/etc/fonts/fonts.conf"):
        return {}
    config = folder / "fonts.conf"
    config.write_text(
        f"<fontconfig><dir>{tree}/usr/share/fonts</dir><cachedir>{folder}/fonts</cachedir></fontconfig>\n"
    )
    return {"FONTCONFIG_FILE": str(config)}
