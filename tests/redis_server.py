"""A Redis of the tests' own: started on a free port, without files, and stopped or frozen as a test likes."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator

import pytest

from subject import eventually, free_port


class RedisServer:
    def __init__(self) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        assert program, "there is no redis-server: install it (apt-get install redis-server)"
        self.port = free_port()
        self._command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        eventually(lambda: self.says("PING") == "+PONG", "the start of Redis")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def says(self, *words: str) -> str | None:
        """The first line of the answer to a command; `None` if there is none."""
        command = f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 2) as connection:
            connection.sendall(command.encode())
            return connection.makefile("rb").readline().decode().strip()
        return None

    def count(self) -> int:
        """How many keys there are."""
        return int(self.says("DBSIZE").removeprefix(":"))

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.thaw()
    server.kill()
