"""HTTP by hand, for requests that no client library would send."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass
class Answer:
    status: int
    head: str
    body: bytes


def send(url: str, pieces: Iterable[bytes], timeout: float = 30) -> Answer:
    """Sends the pieces until they are all sent or the server stops listening; returns what the server says."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=timeout) as connection:
        connection.settimeout(timeout)
        try:
            for piece in pieces:
                connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # an answer may have come before the end of the request
        received = b""
        try:
            while b"\r\n\r\n" not in received or not is_complete(received):
                more = connection.recv(65536)
                if not more:
                    break
                received += more
        except ConnectionResetError:
            pass
    head, _, body = received.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/1.") else 0
    return Answer(status, head.decode("latin-1"), body)


def is_complete(received: bytes) -> bool:
    head, _, body = received.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return False


def head(path: str, key: str | None, *lines: str) -> bytes:
    fields = [f"POST {path} HTTP/1.1", "host: gateway", "content-type: application/json", *lines]
    if key:
        fields.append(f"authorization: Bearer {key}")
    return "\r\n".join([*fields, "", ""]).encode("latin-1")
