"""Several deployments act as one: what breaks is tried elsewhere."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import subject
from clients import Client, Told
from deployments import PROVIDERS, Provider
from routed import (  # noqa: F401  (site is a fixture)
    FAULTS, HOPELESS, IMPATIENT, INSTEAD, PATIENCE, STREAM_ONLY, TEXT, TOO_LATE, WHOLE, WHOLE_ONLY, Site, ask,
    configuration, every_client, patience, site, state, trace, unseen, verdicts,
)
from subject import Process, eventually
from upstream import Upstream


class TestOneOfTwoIsBroken:
    """Each group's first deployment is broken, its second is well. `order` has every request try the broken one."""

    @pytest.fixture(scope="class")
    def pairs(self, site: Site, tmp_path_factory) -> Iterator[Process]:
        model_list = []
        for provider in PROVIDERS:
            for fault in FAULTS:
                group = f"{provider.name}-{fault}"
                sick = site.at(group, f"sick-{group}", fault, provider, order=1, **patience(fault))
                well = site.at(group, f"well-{group}", "", provider, order=2)
                model_list += [sick, well]
        config = configuration(model_list, {"disable_cooldowns": True}, tollway={"retry_budget": False})
        with subject.started(tmp_path_factory.mktemp("pairs"), config) as process:
            yield process

    def check(self, told: Told, upstream: Upstream, group: str, fault: str) -> None:
        assert told.status == 200, told.error
        assert (told.text, told.complete, told.error) == (WHOLE, True, None)
        attempts = len(upstream.seen(f"sick-{group}"))
        # A kept connection that breaks at once may have been stale: such a request is sent once more.
        assert attempts in {"refused": {0}, "reset": {1, 2}, "close": {1, 2}}.get(fault, {1})
        assert len(upstream.seen(f"well-{group}")) == 1
        assert told.headers["x-litellm-model-id"] == f"well-{group}"
        assert told.headers["x-litellm-model-group"] == group
        assert told.headers["x-litellm-attempted-retries"] == "1"
        assert told.headers["x-litellm-attempted-fallbacks"] == "0"

    @unseen
    def test_nobody_notices_whichever_provider_it_is(
        self, pairs: Process, upstream: Upstream, provider: Provider, fault: str, stream: bool
    ):
        group = f"{provider.name}-{fault}"
        self.check(ask(pairs, group, stream), upstream, group, fault)

    @unseen
    @every_client
    def test_nobody_notices_whatever_the_client_speaks(
        self, pairs: Process, upstream: Upstream, client: Client, fault: str, stream: bool
    ):
        group = f"openai-{fault}"
        self.check(client.ask(pairs, group, TEXT, stream), upstream, group, fault)

    @pytest.mark.parametrize("fault", TOO_LATE)
    @every_client
    def test_a_stream_that_has_said_something_ends_with_an_error(
        self, pairs: Process, upstream: Upstream, provider: Provider, client: Client, fault: str
    ):
        group = f"{provider.name}-{fault}"
        told = client.ask(pairs, group, TEXT, stream=True)
        assert told.status == 200
        assert told.text
        assert WHOLE.startswith(told.text)
        assert told.error, "the stream ends without a word of what happened"
        assert not told.complete, "the stream looks complete"
        assert upstream.seen(f"well-{group}") == [], "what has been said cannot be said again"

    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    @pytest.mark.parametrize("fault", HOPELESS)
    def test_what_would_fail_everywhere_is_not_tried_elsewhere(
        self, pairs: Process, upstream: Upstream, provider: Provider, fault: str, stream: bool
    ):
        group = f"{provider.name}-{fault}"
        told = ask(pairs, group, stream)
        assert told.status in (400, 413, 422)
        assert len(upstream.seen(f"sick-{group}")) == 1
        assert upstream.seen(f"well-{group}") == []
        assert told.headers["x-litellm-attempted-retries"] == "0"

    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    def test_who_is_slow_but_not_silent_is_not_given_up(
        self, pairs: Process, upstream: Upstream, provider: Provider, stream: bool
    ):
        group = f"{provider.name}-slow"
        told = ask(pairs, group, stream)
        assert (told.status, told.text) == (200, WHOLE)
        assert upstream.seen(f"well-{group}") == []

    def test_the_next_one_s_answer_carries_nothing_of_the_failure(self, pairs: Process):
        told = ask(pairs, "openai-429")
        assert "llm_provider-retry-after" not in told.headers
        assert told.headers["llm_provider-x-request-id"] == "req-upstream1"

    def test_a_provider_that_was_given_up_is_hung_up_on(self, pairs: Process, upstream: Upstream):
        ask(pairs, "openai-early-hang", stream=True)
        [seen] = upstream.seen("sick-openai-early-hang")
        assert seen.abandoned.wait(10), "the provider was left to talk to nobody"


class TestAllSucceed:
    """Everything as it comes out of the box: two deployments, many clients at once, no `order`."""

    FAULTS = [*INSTEAD, *WHOLE_ONLY, *STREAM_ONLY]

    @pytest.fixture(scope="class")
    def crowd(self, site: Site, tmp_path_factory) -> Iterator[Process]:
        model_list = []
        for fault in self.FAULTS:
            model_list += [
                site.at(fault, f"sick-{fault}", fault, **patience(fault)),
                site.at(fault, f"well-{fault}"),
            ]
        model_list += [
            site.at("half-hangs", "half-hangs-sick", "keep-alive", **IMPATIENT),
            site.at("half-hangs", "half-hangs-well"),
            site.at("healthy", "healthy-1"),
            site.at("healthy", "healthy-2"),
        ]
        with subject.started(tmp_path_factory.mktemp("crowd"), configuration(model_list)) as process:
            yield process

    @unseen
    def test_every_call_is_answered(self, crowd: Process, upstream: Upstream, fault: str, stream: bool):
        with ThreadPoolExecutor(6) as clients:
            answers = list(clients.map(lambda _: ask(crowd, fault, stream), range(30)))
        assert Counter((told.status, told.text) for told in answers) == {(200, WHOLE): 30}
        assert len(upstream.seen(f"well-{fault}")) == 30, "no answer was asked for twice"


    def test_nobody_waits_longer_than_for_one_first_token(self, crowd: Process, upstream: Upstream):
        def seconds(group: str) -> float:
            began = time.monotonic()
            assert ask(crowd, group, stream=True).status == 200
            return time.monotonic() - began

        with ThreadPoolExecutor(6) as clients:
            usual = sorted(clients.map(seconds, ["healthy"] * 100))
            hanging = sorted(clients.map(seconds, ["half-hangs"] * 100))
        # The machine may be busy with other tests.
        assert hanging[98] < PATIENCE + usual[98] + 0.2
        assert len(upstream.seen("half-hangs-sick")) < 10, "the cooldown has kept the others from waiting at all"


class TestTimeouts:
    """Each of the settings by which a deployment that hangs is given up."""

    @pytest.mark.parametrize(
        ("fault", "stream", "sections"),
        [
            ("hang", False, {"router_settings": {"timeout": PATIENCE}}),
            ("hang", False, {"litellm_settings": {"request_timeout": PATIENCE}}),
            ("hang", True, {"router_settings": {"stream_timeout": PATIENCE}}),
            ("early-hang", True, {"router_settings": {"stream_timeout": PATIENCE}}),
            ("hang", True, {"tollway": {"first_token_timeout_s": PATIENCE}}),
            ("early-hang", True, {"tollway": {"first_token_timeout_s": PATIENCE}}),
            ("keep-alive", True, {"tollway": {"first_token_timeout_s": PATIENCE}}),
        ],
        ids=lambda value: json.dumps(value) if isinstance(value, dict) else str(value),
    )
    def test_the_other_one_answers_soon(
        self, start, site: Site, upstream: Upstream, fault: str, stream: bool, sections: dict
    ):
        model_list = [site.at("pair", "sick", fault, order=1), site.at("pair", "well", order=2)]
        with start(configuration(model_list, sections.pop("router_settings", None), **sections)) as gateway:
            began = time.monotonic()
            told = ask(gateway, "pair", stream)
            took = time.monotonic() - began
        assert (told.status, told.text) == (200, WHOLE)
        assert PATIENCE * 0.9 < took < PATIENCE + 1.5

    def test_the_caller_s_own_patience_says_nothing_about_the_deployment(
        self, start, site: Site, upstream: Upstream
    ):
        model_list = [site.at("pair", "sick", "hang", order=1), site.at("pair", "well", order=2)]
        with start(configuration(model_list)) as gateway:
            told = ask(gateway, "pair", x_litellm_timeout=str(PATIENCE))
            assert (told.status, told.text) == (200, WHOLE)
            assert state(gateway, "sick")["state"] == "well"


class TestRetries:
    def test_the_only_deployment_is_asked_again_after_a_pause(self, start, site: Site, upstream: Upstream):
        with start(configuration([site.at("only", "alone", "500")])) as gateway:
            told = ask(gateway, "only")
            steps = trace(gateway, told)["route"]
        assert told.status == 500
        assert len(upstream.seen("alone")) == 3
        assert told.headers["x-litellm-attempted-retries"] == "2"
        assert sum("waited_ms" in step for step in steps) == 2

    def test_it_may_get_well_meanwhile(self, start, site: Site, upstream: Upstream):
        config = configuration([site.at("only", "alone")], {"retry_after": 0.2})
        with start(config) as gateway, ThreadPoolExecutor(1) as client:
            upstream.breaks("alone", "503")
            asked = client.submit(ask, gateway, "only")
            eventually(lambda: upstream.seen("alone"), "the first attempt")
            upstream.seen("alone")[0].over.wait(5)
            upstream.heals("alone")
            told = asked.result()
        assert (told.status, told.text) == (200, WHOLE)
        assert int(told.headers["x-litellm-attempted-retries"]) == len(upstream.seen("alone")) - 1 > 0

    @pytest.mark.parametrize("fault", ["400", "401", "403", "404", "413"])
    def test_what_would_fail_again_is_not_asked_again(self, start, site: Site, upstream: Upstream, fault: str):
        with start(configuration([site.at("only", "alone", fault)])) as gateway:
            assert ask(gateway, "only").status == int(fault)
        assert len(upstream.seen("alone")) == 1

    @pytest.mark.parametrize(
        ("router", "attempts"),
        [
            ({"num_retries": 0}, 1),
            ({"num_retries": 1}, 2),
            ({"retry_policy": {"InternalServerErrorRetries": 1}}, 2),
            ({"model_group_retry_policy": {"only": {"InternalServerErrorRetries": 0}}}, 1),
        ],
        ids=json.dumps,
    )
    def test_how_often_is_a_setting(self, start, site: Site, upstream: Upstream, router: dict, attempts: int):
        with start(configuration([site.at("only", "alone", "500")], router)) as gateway:
            assert ask(gateway, "only").status == 500
        assert len(upstream.seen("alone")) == attempts

    def test_retries_have_a_budget(self, start, site: Site, upstream: Upstream):
        model_list = [site.at("pair", "east", "500"), site.at("pair", "west", "500")]
        config = configuration(
            model_list, {"disable_cooldowns": True}, tollway={"retry_budget": {"percent": 50, "floor": 0}}
        )
        with start(config) as gateway:
            answers = [ask(gateway, "pair") for _ in range(20)]
            stopped = trace(gateway, answers[0])["route"][-1]["stopped"]
        assert {told.status for told in answers} == {500}
        assert len(upstream.seen("east")) + len(upstream.seen("west")) == 30
        assert "retry_budget" in stopped

    def test_a_deployment_without_a_key_is_passed_over(self, start, site: Site, upstream: Upstream):
        keyless = site.at("pair", "keyless", order=1, api_key="os.environ/OUTER_TESTS_NOT_SET")
        with start(configuration([keyless, site.at("pair", "well", order=2)])) as gateway:
            told = ask(gateway, "pair")
        assert (told.status, told.headers["x-litellm-model-id"]) == (200, "well")
        assert upstream.seen("keyless") == []


class TestFallbacks:
    @pytest.fixture(scope="class")
    def gateway_with_fallbacks(self, site: Site, tmp_path_factory) -> Iterator[Process]:
        broken = ["broken", "unlisted", "first", "second", "ping", "pong", "one-of-many", "unknown-next"]
        model_list = [site.at(name, name, "500") for name in broken]
        model_list += [site.at(name, name) for name in ("rescue", "third", "roomy", "lenient", "spare")]
        model_list += [
            site.at("long", "long", "context-window"),
            site.at("long-unlisted", "long-unlisted", "context-window"),
            site.at("filtered", "filtered", "content-filter"),
            site.at("wrong", "wrong", "400"),
            site.at("throttled", "throttled", "429"),
            site.at("cut", "cut", "early-cut"),
        ]
        router = {
            "num_retries": 0,
            "fallbacks": [
                {"broken": ["rescue"]},
                {"first": ["second"]},
                {"second": ["third"]},
                {"ping": ["pong"]},
                {"pong": ["ping"]},
                {"one-of-many": ["broken", "spare"]},
                {"throttled": [{"model": "rescue", "messages": [{"role": "user", "content": "something else"}]}]},
                {"wrong": ["rescue"]},
                {"cut": ["rescue"]},
            ],
            "context_window_fallbacks": [{"long": ["roomy"]}],
            "content_policy_fallbacks": [{"filtered": ["lenient"]}],
            "default_fallbacks": ["spare"],
        }
        with subject.started(tmp_path_factory.mktemp("fallbacks"), configuration(model_list, router)) as process:
            yield process

    @pytest.mark.parametrize(
        ("model", "answered_by", "fallbacks"),
        [
            ("broken", "rescue", 1),
            ("first", "third", 2),
            ("wrong", "rescue", 1),
            ("long", "roomy", 1),
            ("filtered", "lenient", 1),
            ("unlisted", "spare", 1),
            ("cut", "rescue", 1),
        ],
    )
    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    def test_another_group_answers(
        self,
        gateway_with_fallbacks: Process,
        upstream: Upstream,
        model: str,
        answered_by: str,
        fallbacks: int,
        stream: bool,
    ):
        if model == "cut" and not stream:
            pytest.skip("there is no first word in an answer that is not streamed")
        told = ask(gateway_with_fallbacks, model, stream)
        assert (told.status, told.text) == (200, WHOLE)
        assert told.headers["x-litellm-model-group"] == answered_by
        assert told.headers["x-litellm-attempted-fallbacks"] == str(fallbacks)
        assert len(upstream.seen(model)) == 1

    @every_client
    def test_it_answers_every_client(self, gateway_with_fallbacks: Process, upstream: Upstream, client: Client):
        told = client.ask(gateway_with_fallbacks, "first", TEXT)
        assert (told.status, told.text) == (200, WHOLE)
        assert told.headers["x-litellm-model-group"] == "third"

    def test_the_fallbacks_of_a_fallback_come_before_its_neighbours(
        self, gateway_with_fallbacks: Process, upstream: Upstream
    ):
        told = ask(gateway_with_fallbacks, "one-of-many")
        assert told.headers["x-litellm-model-group"] == "rescue"
        assert upstream.seen("spare") == []

    def test_a_cycle_ends(self, gateway_with_fallbacks: Process, upstream: Upstream):
        told = ask(gateway_with_fallbacks, "ping")
        assert told.status == 500
        assert "upstream says 500" in told.error["message"]
        assert (len(upstream.seen("ping")), len(upstream.seen("pong"))) == (1, 1)

    def test_a_fallback_may_ask_something_else(self, gateway_with_fallbacks: Process, upstream: Upstream):
        told = ask(gateway_with_fallbacks, "throttled")
        assert (told.status, told.text) == (200, 'You said: "something else".')
        [seen] = upstream.seen("rescue")
        assert seen.body["model"] == "gpt-4o"

    def test_an_entry_of_the_fallbacks_may_have_a_time_out_of_its_own(self, start, site: Site, upstream: Upstream):
        model_list = [site.at("broken", "broken", "500"), site.at("slow", "slow", "hang"), site.at("well", "well")]
        entries = [{"model": "slow", "timeout": PATIENCE}, {"model": "well", "temperature": 0.5, "num_retries": 3}]
        with start(configuration(model_list, {"num_retries": 0, "fallbacks": [{"broken": entries}]})) as gateway:
            told = ask(gateway, "broken")
            assert (told.status, told.headers["x-litellm-model-group"]) == (200, "well")
            story = trace(gateway, told)
            assert [attempt["deployment"] for attempt in story["attempts"]] == ["broken", "slow", "well"]
            assert story["time_ms"]["total"] < (PATIENCE + 5) * 1000
            # What comes too late is said.
            assert "num_retries" in [note["param"] for note in story["parameters"]]
        [seen] = upstream.seen("well")
        assert seen.body["temperature"] == 0.5
        assert not {"timeout", "num_retries"} & set(seen.body)

    def test_the_trace_tells_the_whole_way(self, start, site: Site, upstream: Upstream):
        model_list = [site.at("first", "first", "500"), site.at("second", "second", "500"), site.at("third", "third")]
        router = {"num_retries": 0, "fallbacks": [{"first": ["second"]}, {"second": ["third"]}]}
        with start(configuration(model_list, router)) as gateway:
            story = trace(gateway, ask(gateway, "first"))
            assert [step["group"] for step in story["route"]] == ["first", "second", "third"]
            assert [attempt["status"] for attempt in story["attempts"]] == [500, 500, 200]
            assert (story["fallbacks"], story["outcome"]) == (2, "success")
            # Where there are fallbacks, also the last deployment of a group is left alone if most calls fail.
            eventually(
                lambda: ask(gateway, "first") and state(gateway, "first")["state"] == "cooling down", "the cooldown"
            )
            story = trace(gateway, ask(gateway, "first"))
            assert verdicts(story["route"][0]) == {"first": "cooling down"}
            assert len(story["attempts"]) < 3
