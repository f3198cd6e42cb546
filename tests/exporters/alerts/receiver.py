"""A receiver of webhooks, in a process of its own so that it can be killed: ``receiver.py PORT FILE MODE``.

Each body that it took is a line of FILE. MODE ``take`` answers 200, ``refuse`` 503; ``hang`` reads the request, says so
on standard output and never answers.
"""

from __future__ import annotations

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Takes POSTs as the mode says."""

    file = ""
    mode = ""

    def do_POST(self) -> None:
        """Take one request."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.mode == "hang":
            sys.stdout.write("got one\n")
            sys.stdout.flush()
            time.sleep(3600)
        if self.mode == "take":
            with open(self.file, "ab") as log:
                log.write(body + b"\n")
        self.send_response(200 if self.mode == "take" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be quiet."""


if __name__ == "__main__":
    Handler.file, Handler.mode = sys.argv[2:4]
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    server.serve_forever()
