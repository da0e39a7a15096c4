"""The server under the doubles of engines: one port for its life, faults on demand, and a list of what was asked."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Refusal(Exception):
    """An answer that is a failure."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


@dataclass
class Fault:
    """What goes wrong with the next requests that fit: before they are done, or after they have been."""

    method: str
    path: str
    status: int
    after: bool
    times: int


@dataclass
class Wire:
    """The server.

    Attributes:
        asked: Method and path of every request so far.
    """

    asked: list[tuple[str, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None
    _port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self, handler: type[Handler]) -> None:
        """Begins to answer, on the same port as before."""
        self._server = _Server(("127.0.0.1", self._port), handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Answers no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def break_next(self, method: str, path: str, status: int = 0, *, after: bool = False, times: int = 1) -> None:
        """The next fitting request is answered with that status; 0: its connection is cut."""
        self.faults.append(Fault(method, path, status, after, times))

    def fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times and fault.method == method and re.search(fault.path, path):
                fault.times -= 1
                return fault
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """A client that has gone is no event."""


class Handler(BaseHTTPRequestHandler):
    """One request; what it means is the double's to say."""

    protocol_version = "HTTP/1.1"
    wire: Wire
    failure: Callable[[Refusal], Any]

    def answer(self, method: str, path: str, query: dict[str, str], content: bytes) -> Any:
        raise NotImplementedError

    def send_file(self, path: Path, query: dict[str, str]) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.wire._server is None:  # it has been stopped: also connections of before get no answer
            self.close_connection = True
            return
        target = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(target.query).items()}
        self.wire.asked.append((self.command, target.path))
        fault = self.wire.fault(self.command, target.path)
        answer: Any = None
        if fault is None or fault.after:
            try:
                answer = self.answer(self.command, target.path, query, content)
            except Refusal as refusal:
                answer = refusal
        if fault is not None:
            answer = Refusal(fault.status, "Broken", "the test breaks it")
        if fault is not None and not fault.status:
            self.close_connection = True
        elif isinstance(answer, Refusal):
            self.send(answer.status, self.failure(answer))
        elif isinstance(answer, Path):
            self.send_file(answer, query)
        else:
            self.send(200, answer)

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815  the server's own names

    def send(self, status: int, answer: Any) -> None:
        content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """It is silent."""
