"""Two gateways before the same deployments tell each other through Redis what they know of them."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import subject
from redis_server import RedisServer
from subject import Process, eventually
from routed import Site, ask, configuration, state
from routed import site as site
from upstream import Upstream

Pair = tuple[Process, Process]
Start = Callable[..., contextlib.AbstractContextManager[Pair]]


@pytest.fixture
def two(tmp_path: Path) -> Start:
    """Starts two gateways with one configuration, and waits until they hear each other."""

    @contextlib.contextmanager
    def starter(model_list: list[dict], server: RedisServer, hear: bool = True, **more) -> Iterator[Pair]:
        router = {"redis_host": "127.0.0.1", "redis_port": server.port} | more.pop("router", {})
        config = configuration(model_list, router, **more)
        with (
            subject.started(tmp_path / "one", config) as one,
            subject.started(tmp_path / "two", config) as other,
        ):
            if hear:
                for gateway in (one, other):
                    eventually(lambda gateway=gateway: is_shared(gateway), "the sharing")
            yield one, other

    return starter


def is_shared(gateway: Process) -> bool:
    return "\ntollway_shared_state_up 1\n" in gateway.get("/metrics")[2]


def pair(site: Site, **params: object) -> list[dict]:
    return [site.at("pair", "east", order=1, **params), site.at("pair", "west", order=2)]


def is_cooling(gateway: Process, place: str = "east") -> bool:
    return state(gateway, place)["state"] == "cooling down"


class TestCooldowns:
    def test_whom_one_leaves_alone_the_other_leaves_alone(self, two: Start, redis_server, site, upstream: Upstream):
        upstream.breaks("east", "429")
        with two(pair(site), redis_server, router={"cooldown_time": 30}) as (one, other):
            assert ask(one, "pair").headers["x-litellm-model-id"] == "west"
            eventually(lambda: is_cooling(other), "the news", patience=3)
            heard, own = state(other, "east"), state(one, "east")
            assert "another instance" in heard["cooldown_reason"] and "RateLimitError" in heard["cooldown_reason"]
            assert abs(heard["cooldown_left_s"] - own["cooldown_left_s"]) < 1
            assert ask(other, "pair").headers["x-litellm-attempted-retries"] == "0"
            assert len(upstream.seen("east")) == 1
            eventually(lambda: "deployment cooled down" in other.log, "the line in the log")

    def test_who_is_well_again_is_well_for_both(self, two: Start, redis_server, site, upstream: Upstream):
        upstream.breaks("east", "429")
        # The simulated provider asks for longer than the deployment's own time.
        with two(pair(site, cooldown_time=1), redis_server) as (one, other):
            ask(one, "pair")
            eventually(lambda: is_cooling(other), "the news", patience=3)
            upstream.heals("east")
            eventually(lambda: state(one, "east")["state"] == "probe due", "the end of the cooldown")
            assert ask(one, "pair").headers["x-litellm-model-id"] == "east"
            eventually(lambda: state(other, "east")["state"] == "well", "the news", patience=3)
            eventually(lambda: "deployment recovered" in other.log, "the line in the log")

    def test_one_that_starts_later_hears_it_too(self, two: Start, redis_server, site, upstream, tmp_path: Path):
        upstream.breaks("east", "429")
        with two(pair(site), redis_server, router={"cooldown_time": 30}) as (one, other):
            ask(one, "pair")
            eventually(lambda: is_cooling(other), "the news", patience=3)
            with subject.started(tmp_path / "late", (tmp_path / "one" / "config.yaml").read_text()) as late:
                eventually(lambda: is_cooling(late), "the news", patience=3)
                assert state(late, "east")["cooldown_left_s"] <= state(one, "east")["cooldown_left_s"] + 0.5

    def test_the_caches_redis_will_do(self, redis_server, site, upstream: Upstream, tmp_path: Path):
        params = {"cache": True, "cache_params": {"type": "redis", "url": redis_server.url}}
        config = configuration(pair(site), litellm_settings=params)
        with subject.started(tmp_path, config) as gateway:
            eventually(lambda: is_shared(gateway), "the sharing")


class TestLimits:
    def test_rpm_holds_for_both_together(self, two: Start, redis_server, site, upstream: Upstream):
        redis_server.says("FLUSHALL")
        with two([site.at("one", "only", rpm=6)], redis_server, router={"num_retries": 0}) as (one, other):
            for _ in range(4):
                assert ask(one, "one").status == 200
            eventually(lambda: state(other, "only")["requests_last_minute"] == 4, "the news", patience=3)
            assert [ask(other, "one").status for _ in range(4)] == [200, 200, 429, 429]
            eventually(lambda: state(one, "only")["requests_last_minute"] == 6, "the news", patience=3)
            assert ask(one, "one").status == 429
            tokens = [state(gateway, "only")["tokens_last_minute"] for gateway in (one, other)]
            assert tokens[0] == tokens[1] > 0
        assert len(upstream.seen("only")) == 6


class TestABrokenRedis:
    @pytest.mark.parametrize("how", ["freeze", "kill"])
    def test_it_neither_breaks_nor_delays_requests(self, two: Start, site, upstream: Upstream, how: str):
        with RedisServer() as server, two(pair(site), server) as gateways:

            def load(gateway: Process) -> list[float]:
                deadline, took = time.monotonic() + 3, []
                while time.monotonic() < deadline:
                    began = time.monotonic()
                    assert ask(gateway, "pair").status == 200
                    took.append(time.monotonic() - began)
                return took

            with ThreadPoolExecutor(4) as clients:
                loads = [clients.submit(load, gateway) for gateway in gateways * 2]
                getattr(server, how)()
                took = sorted(duration for load in loads for duration in load.result())
            assert len(took) > 100
            assert took[len(took) // 2] < 0.05
            for gateway in gateways:
                eventually(lambda gateway=gateway: not is_shared(gateway), "the notice")
                overheads = [trace["time_ms"]["gateway"] for trace in gateway.get("/trace?limit=300")[2]["data"]]
                # None of it is Redis's; a busy machine takes its time.
                assert sorted(overheads)[len(overheads) // 2] < 10
                assert gateway.log.count("the Redis of the router fails") == 1

    def test_each_goes_by_what_it_knows_and_hears_the_rest_later(self, two: Start, site, upstream: Upstream):
        upstream.breaks("east", "429")
        with RedisServer() as server, two(pair(site), server, router={"cooldown_time": 60}) as (one, other):
            server.freeze()
            eventually(lambda: not is_shared(one) and not is_shared(other), "the notice")
            assert ask(one, "pair").headers["x-litellm-model-id"] == "west"
            assert is_cooling(one) and not is_cooling(other)
            server.thaw()
            eventually(lambda: is_cooling(other), "the news", patience=20)
            eventually(lambda: "shared through Redis" in other.log, "the note")

    def test_one_that_comes_back_empty_is_used_again(self, two: Start, site, upstream: Upstream):
        with RedisServer() as server, two(pair(site), server, router={"cooldown_time": 60}) as (one, other):
            server.kill()
            eventually(lambda: not is_shared(one) and not is_shared(other), "the notice")
            server.start()
            eventually(lambda: is_shared(one) and is_shared(other), "the sharing", patience=20)
            upstream.breaks("east", "429")
            ask(one, "pair")
            eventually(lambda: is_cooling(other), "the news", patience=3)

    def test_one_that_is_not_there_at_the_start_is_used_when_it_comes(self, two: Start, site, upstream: Upstream):
        with RedisServer() as server:
            server.kill()
            with two(pair(site), server, hear=False) as (one, _):
                assert ask(one, "pair").status == 200
                server.start()
                eventually(lambda: is_shared(one), "the sharing", patience=20)


def checked(gateway: Process) -> bool:
    """Whether it has asked anything; nobody has asked it."""
    return bool(gateway.get("/trace?limit=1")[2]["data"])


class TestHealthChecks:
    CHECKS = {"background_health_checks": True, "health_check_interval": 0.5}

    def checks(self, site: Site, server: RedisServer, two: Start):
        general = {"master_key": subject.deployments.MASTER_KEY} | self.CHECKS
        return two([site.at("one", "only")], server, general_settings=general)

    def test_one_checks_for_both(self, two: Start, site, upstream: Upstream):
        with RedisServer() as server, self.checks(site, server, two) as gateways:
            eventually(lambda: len(upstream.seen("only")) >= 4, "the checks")
            asked = [checked(gateway) for gateway in gateways]
            assert sorted(asked) == [False, True], "both check"
            listens = gateways[asked.index(False)]
            [entry] = listens.get("/health")[2]["healthy_endpoints"]
            assert entry["checked_at"], "what the other found is not known"

    def test_the_other_goes_on_when_the_first_hangs(self, two: Start, site, upstream: Upstream):
        with RedisServer() as server, self.checks(site, server, two) as gateways:
            [first] = eventually(lambda: [gateway for gateway in gateways if checked(gateway)], "a check")
            [second] = [gateway for gateway in gateways if gateway is not first]
            first.signal(signal.SIGSTOP)
            try:
                eventually(lambda: checked(second), "the other's check", patience=25)
            finally:
                first.signal(signal.SIGCONT)

    def test_without_redis_each_checks_for_itself(self, two: Start, site, upstream: Upstream):
        with RedisServer() as server, self.checks(site, server, two) as gateways:
            eventually(lambda: upstream.seen("only"), "a check")
            server.kill()
            eventually(lambda: all(checked(gateway) for gateway in gateways), "checks of both")
