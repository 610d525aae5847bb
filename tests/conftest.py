"""What every test gets: a simulated provider, a gateway in front of it, and official clients of that gateway."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import anthropic
import openai
import pytest
from google import genai

import deployments
import subject
from redis_server import redis_server as redis_server
from upstream import Upstream
from upstream.server import closed_port

#: Something that already runs, with the configuration that `python tests/configure.py` prints.
RUNNING = os.environ.get("TOLLWAY_URL")
RUNNING_UPSTREAM_PORT = int(os.environ.get("TOLLWAY_UPSTREAM_PORT", "9912"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A gateway that runs already can't be started, stopped or looked into."""
    if not RUNNING:
        return
    skip = pytest.mark.skip(reason="TOLLWAY_URL is set: this test starts its own gateway")
    for item in items:
        own = {"process", "start", "cached", "memory", "running"}
        if own & set(getattr(item, "fixturenames", ())) or "cli" in item.keywords:
            item.add_marker(skip)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cli: runs the program tollway")


@pytest.fixture(scope="session")
def provider_side() -> Iterator[Upstream]:
    with Upstream(RUNNING_UPSTREAM_PORT if RUNNING else 0) as running:
        yield running


@pytest.fixture
def upstream(provider_side: Upstream) -> Upstream:
    """The simulated provider, with an empty memory."""
    provider_side.forget()
    return provider_side


@pytest.fixture(scope="session")
def config(provider_side: Upstream) -> Iterator[str]:
    """The configuration of the gateway that the tests share."""
    reserved, port = closed_port()
    with reserved:
        yield deployments.configuration(provider_side.url, f"http://127.0.0.1:{port}")


@pytest.fixture(scope="session")
def shared(config: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subject.Gateway]:
    if RUNNING:
        yield subject.Gateway(RUNNING.rstrip("/"), os.environ.get("TOLLWAY_KEY", deployments.MASTER_KEY))
        return
    with subject.started(tmp_path_factory.mktemp("gateway"), config) as gateway:
        yield gateway


@pytest.fixture
def gateway(shared: subject.Gateway, upstream: Upstream) -> subject.Gateway:
    """The gateway that most tests share, before a provider with an empty memory."""
    return shared


@pytest.fixture
def process(gateway: subject.Gateway) -> subject.Process:
    """The same, for tests that look into its process."""
    assert isinstance(gateway, subject.Process)
    return gateway


@pytest.fixture
def start(tmp_path: Path):
    """Starts a gateway of the test's own."""

    def starter(config: str | None, *arguments: str, **more):
        return subject.started(tmp_path, config, *arguments, **more)

    return starter


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Shows the end of the gateway's log below a failure."""
    outcome = yield
    report = outcome.get_result()
    gateway = getattr(item, "funcargs", {}).get("gateway")
    if report.failed and isinstance(gateway, subject.Process):
        report.sections.append(("log of the gateway (end)", gateway.log[-3000:]))


@pytest.fixture
def openai_client(gateway: subject.Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture
def anthropic_client(gateway: subject.Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture
def gemini_client(gateway: subject.Gateway) -> genai.Client:
    return genai.Client(api_key=gateway.key, http_options={"base_url": gateway.url, "timeout": 20_000})


def named(value: object) -> str:
    return getattr(value, "name", str(value))


@pytest.fixture(params=deployments.PROVIDERS, ids=named)
def provider(request: pytest.FixtureRequest) -> deployments.Provider:
    """Each provider dialect in turn."""
    return request.param
