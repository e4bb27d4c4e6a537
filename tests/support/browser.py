"""A page in headless Chromium, driven over its debugging pipe, so that no driver and no package is needed."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time

#: Names under which Chromium is installed.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Chromium's side of the pipe has these numbers.
_READS, _WRITES = 3, 4
_PATIENCE = 120.0


def program():
    """The browser; None where none is installed."""
    return next((found for name in PROGRAMS if (found := shutil.which(name)) is not None), None)


class Browser:
    """One page, without a network unless it is asked for.

    Attributes:
        faults: uncaught errors, and errors in the console.
        requests: what the page has asked for.
    """

    def __init__(self, folder, offline=True):
        """Start it.

        Args:
            folder: for its profile.
            offline: reach nothing, not even a server of this machine.
        """
        self.faults, self.requests, self._past, self._count, self._rest = [], [], [], 0, b""
        theirs, self._out = (_high(fd) for fd in os.pipe())
        self._in, answers = (_high(fd) for fd in os.pipe())

        def connect():
            os.dup2(theirs, _READS)
            os.dup2(answers, _WRITES)

        words = ["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--no-proxy-server"]
        words += ["--disable-background-networking", "--disable-dev-shm-usage", f"--user-data-dir={folder}"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:  # its sandbox refuses to run as root
            words.append("--no-sandbox")
        self._process = subprocess.Popen(
            [program(), *words, "about:blank"],
            preexec_fn=connect,
            pass_fds=(_READS, _WRITES),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(answers)
        self._session = None
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self._session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for part in ("Page", "Runtime", "Log", "Network"):
            self(f"{part}.enable")
        self("Network.emulateNetworkConditions", offline=offline, latency=0, downloadThroughput=-1, uploadThroughput=-1)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._session = None
        self("Browser.close")
        self._process.wait(_PATIENCE)
        os.close(self._out)
        os.close(self._in)

    def __call__(self, method, **parameters):
        """Send a command of the Chrome DevTools protocol; returns its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def open(self, page, width=1280, height=900):
        """Show a file or an address in a window of some size; faults and requests begin anew."""
        self._size(width, height)
        self("Page.navigate", url="about:blank")
        self.faults, self.requests, self._past = [], [], []
        self("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        while "Page.loadEventFired" not in self._past:
            self._next()
        self.settle()

    def resize(self, width, height=900):
        """Give the window of the page that is shown another size."""
        self._size(width, height)
        self.settle()

    def settle(self):
        """Wait until what was asked for is drawn."""
        self.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def value(self, script):
        """What an expression of JavaScript is in the page; of a promise what it comes to."""
        found = self("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key):
        """Press a key of one letter."""
        self("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        self("Input.dispatchKeyEvent", type="keyUp", key=key)
        self.settle()

    def strike(self, key, *, shift=False):
        """Press a key that has a name, such as Tab or Enter."""
        codes = {"Tab": 9, "Enter": 13, " ": 32, "ArrowDown": 40, "ArrowRight": 39}
        text = {"Enter": "\r", " ": " "}.get(key)
        more = {"key": key, "windowsVirtualKeyCode": codes[key], "modifiers": 8 if shift else 0}
        down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        self("Input.dispatchKeyEvent", **down, **more)
        self("Input.dispatchKeyEvent", type="keyUp", **more)
        self.settle()

    def choose_files(self, selector, *files):
        """Give files to an input, as a person does in the dialog."""
        root = self("DOM.getDocument")["root"]["nodeId"]
        node = self("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])
        self.settle()

    def until(self, script, patience=_PATIENCE):
        """Wait until an expression of JavaScript is true."""
        end = time.monotonic() + patience
        while not self.value(script):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.05)

    def screenshot(self, path):
        """Save what the window shows, as PNG."""
        path.write_bytes(base64.b64decode(self("Page.captureScreenshot", format="png")["data"]))

    def click(self, selector):
        """Click at the middle of an element."""
        self.value(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        box = self.value(f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()")
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        for kind in ("mousePressed", "mouseReleased"):
            self("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)
        self.settle()

    def _size(self, width, height):
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def _next(self):
        """The next message; events are noted."""
        until = time.monotonic() + _PATIENCE
        while b"\0" not in self._rest:
            assert select.select([self._in], [], [], max(0.0, until - time.monotonic()))[0], "Chromium does not answer"
            part = os.read(self._in, 1 << 16)
            assert part, "Chromium has ended"
            self._rest += part
        text, self._rest = self._rest.split(b"\0", 1)
        message = json.loads(text)
        method, told = message.get("method"), message.get("params", {})
        self._past.append(method)
        if method == "Runtime.exceptionThrown":
            self.faults.append(told["exceptionDetails"])
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "assert"):
            self.faults.append(told["args"])
        elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.faults.append(told["entry"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        return message


def _high(fd):
    """The same end of a pipe under a number that is not one of Chromium's."""
    high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(fd)
    return high
