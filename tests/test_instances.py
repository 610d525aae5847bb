"""Several gateways before one PostgreSQL: one set of keys, one budget, one limit. Needs PostgreSQL and `redis-server`."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import deployments
from alert_receivers import WebhookServer
from management import Management, unique
from redis_server import RedisServer
from subject import ROOT, Process, eventually, started

#: What one call to the model costs: 10 tokens in and 20 out at gpt-4o's prices.
CALL = 0.000225


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """The PostgreSQL of TEST_DATABASE_URL, else one that lives as long as the tests."""
    command = [str(ROOT / "scripts/with-postgres"), "sh", "-c", "echo $TEST_DATABASE_URL; exec cat"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    url = server.stdout.readline().strip()
    assert url, "there is no PostgreSQL: install it (apt-get install postgresql), or set TEST_DATABASE_URL"
    yield url
    server.stdin.close()
    server.wait(30)


@pytest.fixture(params=["database", "redis"])
def leases(request: pytest.FixtureRequest) -> dict:
    """Where instances lend each other parts of limits: `router_settings`."""
    if request.param == "database":
        return {}
    server: RedisServer = request.getfixturevalue("redis_server")
    return {"redis_host": "127.0.0.1", "redis_port": server.port}


@pytest.fixture
def instances(tmp_path: Path, database_url: str, leases: dict) -> Iterator[list[Process]]:
    """Two gateways that nobody else shares anything with."""
    mark = "&" if "?" in database_url else "?"
    url = f"{database_url}{mark}schema={unique('instances').replace('-', '_')}"
    with contextlib.ExitStack() as running:
        yield [running.enter_context(started(tmp_path / name, configuration(url, leases))) for name in ("a", "b")]


def configuration(database_url: str, router_settings: dict, env: dict | None = None, **general: object) -> str:
    params = {"model": "openai/gpt-4o", "api_key": "k", "mock_response": "hello"}
    return json.dumps(
        {
            "model_list": [{"model_name": "m", "litellm_params": params}],
            "router_settings": router_settings,
            "general_settings": {"master_key": deployments.MASTER_KEY, "database_url": database_url, **general},
            "environment_variables": env or {},
            "tollway": {"watch": False},
        }
    )


def ask(gateway: Process, key: str, **fields: object) -> int:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return gateway.post("/v1/chat/completions", body, headers={"authorization": f"Bearer {key}"}, key=False)[0]


def crowd(instances: list[Process], key: str, calls: int, **fields: object) -> list[int]:
    """Many calls at once, at all instances; their statuses."""
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda number: ask(instances[number % len(instances)], key, **fields), range(calls)))


def test_a_key_is_known_everywhere_until_it_is_revoked(instances: list[Process]):
    first, second = instances
    key = Management(first).post("/key/generate", {})["key"]
    assert (ask(first, key), ask(second, key)) == (200, 200)
    Management(first).post("/key/block", {"key": key})
    assert ask(first, key) == 401
    began = time.monotonic()
    eventually(lambda: ask(second, key) == 401, "the blocking at the other instance", patience=5)
    # Within a second; the rest is for a busy machine.
    assert time.monotonic() - began < 4


def test_what_all_notice_is_told_by_one(tmp_path: Path, database_url: str, leases: dict):
    mark = "&" if "?" in database_url else "?"
    url = f"{database_url}{mark}schema={unique('alerts').replace('-', '_')}"
    with WebhookServer() as hooks, contextlib.ExitStack() as running:
        env = {"WEBHOOK_URL": hooks.url + "/webhook"}
        config = configuration(url, leases, env, alerting=["webhook"], alert_types=["budget_alerts"])
        both = [running.enter_context(started(tmp_path / name, config)) for name in ("a", "b")]
        key = Management(both[0]).key_of(max_budget=2 * CALL)
        assert 422 in crowd(both, key, 40)
        for gateway in both:
            eventually(lambda gateway=gateway: ask(gateway, key) == 422, "the end of the budget")
        eventually(lambda: hooks.at("/webhook"), "the alert")
    events = [event["event"] for event in hooks.at("/webhook")]
    assert events.count("budget_crossed") == 1, events


def test_a_model_that_is_added_is_served_everywhere(instances: list[Process]):
    first, second = instances
    model = {"model": "openai/gpt-4o", "api_key": "k", "mock_response": "new"}
    made = Management(first).post("/model/new", {"model_name": "added", "litellm_params": model})
    eventually(lambda: ask(second, deployments.MASTER_KEY, model="added") == 200, "the model's being served")
    Management(first).post("/model/delete", {"id": made["model_id"]})
    eventually(lambda: ask(second, deployments.MASTER_KEY, model="added") == 400, "its being taken away")


def test_a_budget_holds_across_instances(instances: list[Process]):
    """Every call says how much it may cost at most, so nothing is overshot, and nothing that fits is refused."""
    first = instances[0]
    key = Management(first).post("/key/generate", {"max_budget": 40 * CALL})["key"]
    statuses = crowd(instances, key, 120, max_tokens=20)
    assert set(statuses) <= {200, 422}
    served = statuses.count(200)
    assert served <= 40, "the budget is overshot"
    # What a first crowd held in reserve comes back to those who ask later.
    eventually(lambda: crowd(instances, key, 8, max_tokens=20).count(200) == 0, "the budget's being used up", patience=30)
    spent = lambda: Management(first).get("/key/info", key=key)["info"]["spend"]  # noqa: E731
    eventually(lambda: round(spent() / CALL) == 40, "the booking of what fits, and no more", patience=20)


def test_requests_per_minute_hold_across_instances(instances: list[Process]):
    key = Management(instances[0]).post("/key/generate", {"rpm_limit": 60})["key"]
    statuses = crowd(instances, key, 150)
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) == 60


def test_without_the_store_of_leases_each_takes_its_part(tmp_path: Path, database_url: str):
    mark = "&" if "?" in database_url else "?"
    url = f"{database_url}{mark}schema={unique('alone').replace('-', '_')}"
    with RedisServer() as server, contextlib.ExitStack() as running:
        settings = {"redis_host": "127.0.0.1", "redis_port": server.port}
        instances = [running.enter_context(started(tmp_path / name, configuration(url, settings))) for name in ("a", "b")]
        key = Management(instances[0]).post("/key/generate", {"rpm_limit": 100})["key"]
        assert crowd(instances, key, 4) == [200] * 4
        server.kill()
        for gateway in instances:
            eventually(lambda: "not shared at the moment" in gateway.log, "the warning", patience=20)  # noqa: B023
        served = crowd(instances, key, 150).count(200)
        assert 40 <= served <= 100, served
        server.start()
        for gateway in instances:
            eventually(lambda: "are shared again" in gateway.log, "the note", patience=30)  # noqa: B023
