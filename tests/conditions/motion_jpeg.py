"""Cameras that send JPEG pictures over HTTP, and servers for them."""

from __future__ import annotations

import contextlib
import io
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from PIL import Image


def jpeg(number: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (160, 120), (8 * number % 256, 90, 30)).save(content, "JPEG")
    return content.getvalue()


class MotionJpeg(BaseHTTPRequestHandler):
    """A camera that sends ten JPEG pictures a second, as those of twenty years do.

    ``named`` is how it names what is between two pictures (None: not at all), ``between`` what that is,
    ``part_headers`` what it says of each picture, ``before`` what comes before the first.
    """

    named: str | None = "picture"
    between = b"--picture\r\n"
    part_headers = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
    before = between

    def do_GET(self) -> None:
        if self.path != "/video.mjpg":
            self.send_error(404)
            return
        self.send_response(200)
        parameter = "" if self.named is None else f"; boundary={self.named}"
        self.send_header("Content-Type", f"multipart/x-mixed-replace{parameter}")
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(self.before)
            for number in range(300):
                content = jpeg(number)
                header = self.part_headers % len(content) if b"%d" in self.part_headers else self.part_headers
                self.wfile.write(header + content + b"\r\n" + self.between)
                time.sleep(0.1)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def web(handler: type[BaseHTTPRequestHandler], shown: Path | None = None) -> Iterator[int]:
    """A server on a port of its own; over TLS where it has a certificate with its key to show."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if shown is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(shown)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
