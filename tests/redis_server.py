"""A Redis of the tests' own: started on a free port, without files, and stopped or frozen as a test likes."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from subject import eventually, free_port


class RedisServer:
    """`options` go to the program; `file` is a configuration file, `tls` a folder with a key and a certificate."""

    def __init__(
        self, *options: str, file: Path | None = None, password: str | None = None, tls: Path | None = None
    ) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        assert program, "there is no redis-server: install it (apt-get install redis-server)"
        self.port = free_port()
        self.password = password
        self._folder = tempfile.TemporaryDirectory()
        self._command = [program, *([str(file)] if file else []), "--port", str(self.port), "--bind", "127.0.0.1"]
        self._command += ["--dir", self._folder.name, *options]
        if "--sentinel" not in options:
            self._command += ["--save", "", "--appendonly", "no"]
        if password:
            self._command += ["--requirepass", password]
        if tls:
            self.tls_port = free_port()
            self._command += ["--tls-port", str(self.tls_port), "--tls-auth-clients", "no"]
            for option, name in (("cert", "certificate"), ("key", "key"), ("ca-cert", "certificate")):
                self._command += [f"--tls-{option}-file", str(tls / f"{name}.pem")]
        self.start()

    def __enter__(self) -> RedisServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.thaw()
        self.kill()
        self._folder.cleanup()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        eventually(lambda: self.says("PING") == "+PONG", "the start of Redis")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def says(self, *words: str) -> str | None:
        """The first line of the answer to a command; `None` if there is none."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 2) as connection:
            answers = connection.makefile("rb")
            if self.password:
                connection.sendall(command("AUTH", self.password))
                answers.readline()
            connection.sendall(command(*words))
            return answers.readline().decode().strip()
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


def command(*words: str) -> bytes:
    return (f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)).encode()


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server
