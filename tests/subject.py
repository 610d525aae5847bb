"""The gateway under test, seen from outside: a program that is started, an address that answers, a log."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import deployments

ROOT = Path(__file__).resolve().parent.parent
BINARY = os.environ.get("TOLLWAY_BIN", str(ROOT / "target/debug/tollway"))

#: Variables of the developer's own shell that would change what the gateway does.
FOREIGN = (
    "_API_KEY",
    "_API_BASE",
    "_BASE_URL",
    "LITELLM_",
    "TOLLWAY_",
    "OPENAI_",
    "ANTHROPIC_",
    "GEMINI_",
    "AZURE_",
    "GOOGLE_",
    "GCE_METADATA_",
    "CLOUDSDK_",
    "VERTEX",
    "CONFIG_FILE_PATH",
)


def environment(**more: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not any(mark in name for mark in FOREIGN)}
    for name in ("PORT", "HOST", "NUM_WORKERS"):
        own.pop(name, None)
    return own | deployments.ENVIRONMENT | {"NO_PROXY": "127.0.0.1,localhost"} | more


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(condition: Callable[[], object], what: str, patience: float = 10.0) -> object:
    """The first true value of `condition`, which is asked again and again."""
    deadline = time.monotonic() + patience
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, f"{what} did not happen within {patience} s"
        time.sleep(0.02)


def run(*arguments: str, text: str | None = None, timeout: float = 30, **env: str) -> subprocess.CompletedProcess:
    """Runs a command of the program to its end."""
    command = [BINARY, *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=timeout, env=environment(**env))


class Gateway:
    """A gateway that answers at `url`."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url
        self.key = key

    def request(self, method: str, path: str, body: object = None, headers: dict | None = None, key: bool = True):
        """Sends one request without any client library. Returns status, headers and the body, read as JSON if it is."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json"} if data is not None else {}
        if key and self.key:
            sent["authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self.url + path, data, sent | (headers or {}), method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.headers, read(response)
        except urllib.error.HTTPError as refused:
            return refused.code, refused.headers, read(refused)

    def get(self, path: str, **more):
        return self.request("GET", path, **more)

    def post(self, path: str, body: object, **more):
        return self.request("POST", path, body, **more)

    def is_alive(self) -> bool:
        try:
            return self.request("GET", "/health/liveliness")[0] == 200
        except OSError:
            return False


def read(response) -> object:
    raw = response.read()
    with contextlib.suppress(ValueError):
        return json.loads(raw)
    return raw.decode(errors="replace")


class Process(Gateway):
    """A gateway that this test started."""

    def __init__(self, arguments: list[str], port: int, key: str | None, log: Path, **env: str) -> None:
        super().__init__(f"http://127.0.0.1:{port}", key)
        self.port = port
        self.log_file = log
        with log.open("wb") as out:
            self.process = subprocess.Popen([BINARY, *arguments], stdout=out, stderr=out, env=environment(**env))

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def wait_until_alive(self) -> None:
        def alive_or_dead() -> bool:
            assert self.process.poll() is None, f"the gateway ended with {self.process.returncode}:\n{self.log}"
            return self.is_alive()

        eventually(alive_or_dead, "the start of the gateway", patience=30)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """Stops it as an operator does, and returns its exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            return self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the gateway did not stop after SIGTERM:\n{self.log}") from None

    def memory(self) -> int:
        """The most memory that it has ever held, in bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the kernel does not tell the process's memory")

    def forget_memory_peak(self) -> None:
        """Lets `memory` count from now on."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


@contextlib.contextmanager
def started(
    folder: Path, config: str | None, *arguments: str, key: str | None = deployments.MASTER_KEY, **env: str
) -> Iterator[Process]:
    """Starts the gateway with the configuration, and sees to it that it stops in good order."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = ["--port", str(port), *arguments]
    if config is not None:
        file = folder / "config.yaml"
        file.write_text(config)
        command = ["--config", str(file), *command]
    gateway = Process(command, port, key, folder / "gateway.log", **env)
    try:
        gateway.wait_until_alive()
        yield gateway
    finally:
        code = gateway.stop()
    assert code == 0, f"the gateway ended with {code}:\n{gateway.log}"
