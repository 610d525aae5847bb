"""What the tests' own HTTP servers have in common: a free port, threads, an end, and nothing to say about clients that leave."""

from __future__ import annotations

import sys
import threading
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

#: Status, body, and the body's type.
Answer = tuple[int, bytes, str]


class HttpServer:
    """Answers every request as `answer` says."""

    def __init__(self) -> None:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def handle_request(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                status, answer, kind = owner.answer(self.command, self.path, self.headers, body)
                self.send_response(status)
                if status != 204:
                    self.send_header("content-type", kind)
                    self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_PUT = do_DELETE = do_POST = handle_request

        self.server = Server(("127.0.0.1", 0), Handler)

    def answer(self, method: str, target: str, headers: HTTPMessage, body: bytes) -> Answer:
        """What a request is answered. `target` has the query too."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        # A client that does not wait for its answer is what many tests are about.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)
