"""Whoever is alerted: a server that takes webhooks, and one that takes mail. Both remember what they were told."""

from __future__ import annotations

import email
import email.message
import email.policy
import json
import socketserver
import threading

from http_server import Answer, HttpServer


class WebhookServer(HttpServer):
    """Takes JSON at any path; the path stands for the secret in a webhook's address."""

    def __init__(self) -> None:
        super().__init__()
        #: what was taken: path and body
        self.taken: list[tuple[str, dict]] = []
        #: what the next requests are answered instead of 200
        self.answers: list[int] = []
        #: requests that are not answered before this is set
        self.gate = threading.Event()
        self.gate.set()

    def answer(self, method: str, target: str, headers, body: bytes) -> Answer:
        told = json.loads(body)
        self.gate.wait(60)
        status = self.answers.pop(0) if self.answers else 200
        if status == 200:
            self.taken.append((target, told))
        return status, b"ok", "text/plain"

    def at(self, path: str) -> list[dict]:
        return [body for where, body in self.taken if where == path]

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        super().__exit__()


class MailServer:
    """Speaks as much of SMTP (RFC 5321) as a letter needs."""

    def __init__(self) -> None:
        self.letters: list[email.message.EmailMessage] = []
        owner = self

        class Handler(socketserver.StreamRequestHandler):
            def tell(self, line: str) -> None:
                self.wfile.write(line.encode() + b"\r\n")

            def handle(self) -> None:
                self.tell("220 mail.test")
                for line in self.rfile:
                    match line.split(b" ")[0].strip().upper():
                        case b"DATA":
                            self.tell("354 go on")
                            owner.letters.append(self.letter())
                            self.tell("250 taken")
                        case b"QUIT":
                            return self.tell("221 bye")
                        case _:
                            self.tell("250 mail.test")

            def letter(self) -> email.message.EmailMessage:
                lines = []
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(line.removeprefix(b"."))
                return email.message_from_bytes(b"".join(lines), policy=email.policy.default)

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]

    def __enter__(self) -> MailServer:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
