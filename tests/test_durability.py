"""No spend is lost and none is counted twice, whatever ends the process."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import threading
import time
from pathlib import Path

import deployments
from subject import Process, eventually, started

#: How often the process is killed; more in a long run.
KILLS = int(os.environ.get("TOLLWAY_KILLS", "12"))


def configuration(**tollway: object) -> str:
    return json.dumps(
        {
            "model_list": [
                {
                    "model_name": "m",
                    "litellm_params": {"model": "openai/gpt-4o", "api_key": "k", "mock_response": "hello"},
                }
            ],
            "general_settings": {"master_key": deployments.MASTER_KEY},
            "tollway": {"watch": False, **tollway},
        }
    )


def booked(folder: Path) -> list[tuple[str, int]]:
    with sqlite3.connect(f"file:{folder}/tollway-data/tollway.db?mode=ro", uri=True) as database:
        return database.execute("SELECT request_id, cost_nano FROM spend").fetchall()


def spent(folder: Path) -> int:
    """The key's sum, which is kept beside the rows."""
    with sqlite3.connect(f"file:{folder}/tollway-data/tollway.db?mode=ro", uri=True) as database:
        sql = "SELECT spend_nano FROM window_spend WHERE kind = 'key' AND period = '' AND model = ''"
        found = database.execute(sql).fetchone()
        return found[0] if found else 0


class Crowd:
    """Callers who note which calls were answered."""

    def __init__(self, gateway: Process, size: int = 4) -> None:
        self.gateway = gateway
        self.answered: list[str] = []
        self.stopping = threading.Event()
        self.callers = [threading.Thread(target=self.call) for _ in range(size)]
        for caller in self.callers:
            caller.start()

    def call(self) -> None:
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        stream = False
        while not self.stopping.is_set():
            stream = not stream
            try:
                status, headers, answer = self.gateway.post("/v1/chat/completions", body | {"stream": stream})
            except (OSError, ValueError):
                continue
            complete = not stream or str(answer).rstrip().endswith("[DONE]")
            if status == 200 and complete:
                self.answered.append(headers["x-litellm-call-id"])

    def stop(self) -> list[str]:
        self.stopping.set()
        for caller in self.callers:
            caller.join()
        return self.answered


def test_the_process_may_be_killed_at_any_moment(tmp_path: Path):
    moments = random.Random(4)
    answered: list[str] = []
    for _ in range(KILLS):
        gateway = start(tmp_path)
        crowd = Crowd(gateway)
        time.sleep(moments.uniform(0.05, 0.6))
        gateway.signal(signal.SIGKILL)
        gateway.process.wait()
        answered += crowd.stop()
    with started(tmp_path, configuration()):
        # What was journalled is booked before anything is served.
        rows = booked(tmp_path)
    ids = [request for request, _ in rows]
    assert len(answered) > KILLS, "hardly anything was asked"
    assert set(answered) <= set(ids), f"{len(set(answered) - set(ids))} of {len(answered)} answers are not booked"
    assert len(ids) == len(set(ids))
    assert spent(tmp_path) == sum(cost for _, cost in rows)


def start(folder: Path) -> Process:
    """A gateway that is not expected to end well."""
    from subject import free_port

    file = folder / "config.yaml"
    file.write_text(configuration())
    port = free_port()
    arguments = ["--config", str(file), "--port", str(port)]
    gateway = Process(arguments, port, deployments.MASTER_KEY, folder / "killed.log")
    gateway.wait_until_alive()
    return gateway


def test_a_database_that_is_locked_delays_nobody(tmp_path: Path):
    """Somebody else holds the database: requests are served, and booked when it is free again."""
    with started(tmp_path, configuration()) as gateway:
        ask(gateway)
        eventually(lambda: len(booked(tmp_path)) == 1, "the first booking")
        blocker = sqlite3.connect(tmp_path / "tollway-data" / "tollway.db", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        try:
            for _ in range(20):
                began = time.monotonic()
                ask(gateway)
                assert time.monotonic() - began < 2, "a known caller waits for no database"
            eventually(lambda: "takes no bookings" in gateway.log, "the warning", patience=30)
            assert len(booked(tmp_path)) == 1
        finally:
            blocker.execute("ROLLBACK")
            blocker.close()
        eventually(lambda: len(booked(tmp_path)) == 21, "the booking of all", patience=30)
        eventually(lambda: "takes bookings again" in gateway.log, "the note")


def ask(gateway: Process) -> None:
    status, _, answer = gateway.post("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    assert status == 200, answer


def test_several_gateways_share_a_folder(tmp_path: Path):
    """Each has a journal of its own, and books what one before it left behind."""
    data = str(tmp_path / "data")
    with started(tmp_path / "first", configuration(data_folder=data)) as first:
        with started(tmp_path / "second", configuration(data_folder=data)) as second:
            ask(first)
            ask(second)
    with sqlite3.connect(f"file:{data}/tollway.db?mode=ro", uri=True) as database:
        assert database.execute("SELECT COUNT(*) FROM spend").fetchone() == (2,)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path):
    """Where nobody chose it, requests are served without books; a chosen one must do."""
    from subject import run

    (tmp_path / "tollway-data").write_text("not a folder")
    with started(tmp_path, configuration()) as gateway:
        ask(gateway)
        assert "there are no virtual keys and spend is not kept" in gateway.log
    file = tmp_path / "config.yaml"
    file.write_text(configuration(data_folder=str(tmp_path / "tollway-data")))
    ended = run("--config", str(file), "--port", "0")
    assert ended.returncode != 0 and "tollway.data_folder" in ended.stderr
