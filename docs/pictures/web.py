"""The pictures of the page "The web page": ``python docs/pictures/web.py``, with Chromium."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.support.browser import Browser

#: Name of a picture: width and height of the window.
WINDOWS = {"web_page": (1120, 1520), "web_narrow": (380, 1500)}


def main() -> None:
    """Ask about the example pair and keep what the window shows."""
    words = [sys.executable, "-m", "htnet", "serve", "--port", "0"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server,
    ):
        url = server.stdout.readline().split()[0]
        with Browser(folder, offline=False) as browser:
            for name, (width, height) in WINDOWS.items():
                browser.open(url + "/", width=width, height=height)
                browser.until("document.querySelector('#weights').options.length > 1")
                browser.click("#example")
                browser.until("parseInt(document.querySelector('#report').style.height) > 500")
                browser.value("scrollTo(0, 0)")
                browser.settle()
                time.sleep(2)  # until the frame has its last height
                path = Path(folder) / "shot.png"
                browser.screenshot(path)
                shot = Image.open(io.BytesIO(path.read_bytes())).convert("RGB")
                shot.thumbnail((900, 1500))
                shot.save(Path(__file__).parent / f"{name}.jpg", quality=80)
        server.send_signal(signal.SIGINT)


if __name__ == "__main__":
    main()
