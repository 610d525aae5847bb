"""Several deployments act as one: what breaks is tried elsewhere, what is sick is left alone, and one can see why."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import deployments
import subject
from clients import CHAT, CLIENTS, Client, Told
from deployments import OPENAI, PROVIDERS, Provider, entry
from subject import Gateway, Process, eventually, run
from upstream import Upstream
from upstream.server import closed_port

TEXT = "a b c d e f g h"
WHOLE = f'You said: "{TEXT}".'

#: How long a deployment that hangs is waited for, in seconds.
PATIENCE = 0.5

#: Before any of the answer is there.
INSTEAD = [
    *("refused", "reset", "close", "hang", "empty", "garbage", "garbage-body", "wrong-type", "wrong-json", "html-502"),
    *("redirect", "401", "403", "404", "429", "500", "503", "504", "529"),
]
#: In the midst of an answer that is not streamed.
WHOLE_ONLY = ["cut", "reset-body", "hang-body"]
#: In a stream, before the first word.
STREAM_ONLY = ["early-cut", "early-reset", "early-end", "early-error", "early-hang", "keep-alive"]
#: In a stream, after the first word.
TOO_LATE = ["cut", "reset-body", "unfinished", "error-event", "garbage-event", "hang-body", "lull"]
#: What no other deployment would make better.
HOPELESS = ["400", "413", "422", "context-window", "content-filter"]

FAULTS = list(dict.fromkeys([*INSTEAD, *WHOLE_ONLY, *STREAM_ONLY, *TOO_LATE, *HOPELESS, "slow"]))

unseen = pytest.mark.parametrize(
    ("fault", "stream"),
    [*((fault, False) for fault in INSTEAD + WHOLE_ONLY), *((fault, True) for fault in INSTEAD + STREAM_ONLY)],
    ids=lambda value: {True: "stream", False: "whole"}.get(value, value) if isinstance(value, bool) else value,
)
every_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)

#: A deployment that is slow to say anything is left for the next one after this. Slow but not silent ones must not be.
IMPATIENT = {
    "timeout": PATIENCE,
    "stream_timeout": PATIENCE,
    "first_token_timeout": PATIENCE,
    "inter_token_timeout": PATIENCE,
}
SILENT = ["hang", "hang-body", "early-hang", "keep-alive", "lull"]


def patience(fault: str) -> dict:
    """Only where it is needed: a busy machine may take its time with the others."""
    if fault == "slow":
        return {name: seconds for name, seconds in IMPATIENT.items() if name != "timeout"}
    return IMPATIENT if fault in SILENT else {}


class Site:
    """Where the deployments of a configuration are."""

    def __init__(self, upstream: Upstream, closed_url: str) -> None:
        self.upstream_url = upstream.url
        self.closed_url = closed_url

    def at(self, group: str, place: str, fault: str = "", provider: Provider = OPENAI, **params: object) -> dict:
        """A deployment with the id `place`, which is also the name under which the simulated provider knows it."""
        root = self.closed_url if fault == "refused" else self.upstream_url
        path = f"{place}/fault-{fault}" if fault else place
        return entry(group, provider.model, f"{root}/{path}{provider.base}", **params) | {"model_info": {"id": place}}


@pytest.fixture(scope="module")
def site(provider_side: Upstream) -> Iterator[Site]:
    reserved, port = closed_port()
    with reserved:
        yield Site(provider_side, f"http://127.0.0.1:{port}")


def configuration(model_list: list[dict], router: dict | None = None, **sections: dict) -> str:
    settings = {
        "model_list": model_list,
        "router_settings": router or {},
        "general_settings": {"master_key": deployments.MASTER_KEY},
    }
    return json.dumps(settings | sections, indent=1)


def ask(gateway: Gateway, model: str, stream: bool = False, **headers: str) -> Told:
    return CHAT.ask(gateway, model, TEXT, stream, **headers)


def state(gateway: Gateway, place: str) -> dict:
    """What `/router/state` says about a deployment."""
    entries = gateway.get("/router/state")[2]["deployments"]
    [found] = [entry for entry in entries if entry["model_id"] == place]
    return found


def trace(gateway: Gateway, told: Told) -> dict:
    path = f"/trace/{told.headers['x-litellm-call-id']}"
    eventually(lambda: gateway.get(path)[0] == 200, "the trace")
    return gateway.get(path)[2]


def verdicts(step: dict) -> dict[str, str]:
    return {candidate["deployment"]: candidate["verdict"] for candidate in step["candidates"]}


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


class TestCooldown:
    #: Short, so that a test can wait for its end.
    SECONDS = 0.4

    @pytest.fixture
    def pair(self, start, site: Site, upstream: Upstream) -> Iterator[Process]:
        model_list = [
            site.at("pair", "east", order=1, cooldown_time=self.SECONDS, timeout=2),
            site.at("pair", "west", order=2),
        ]
        with start(configuration(model_list)) as gateway:
            yield gateway

    def cool_down(self, gateway: Process, upstream: Upstream) -> None:
        upstream.breaks("east", "429")
        told = ask(gateway, "pair")
        assert (told.status, told.headers["x-litellm-model-id"]) == (200, "west")
        assert len(upstream.seen("east")) == 1

    def probe_is_due(self, gateway: Process) -> None:
        eventually(lambda: state(gateway, "east")["state"] == "probe due", "the end of the cooldown")

    def test_a_sick_deployment_is_left_alone(self, pair: Process, upstream: Upstream):
        self.cool_down(pair, upstream)
        seen = state(pair, "east")
        assert seen["state"] == "cooling down"
        assert "RateLimitError" in seen["cooldown_reason"]
        assert 0 < seen["cooldown_left_s"] <= self.SECONDS
        told = ask(pair, "pair")
        assert (told.headers["x-litellm-model-id"], told.headers["x-litellm-attempted-retries"]) == ("west", "0")
        [step] = trace(pair, told)["route"]
        assert verdicts(step) == {"east": "cooling down", "west": "chosen"}
        assert len(upstream.seen("east")) == 1

    def test_one_request_finds_out_that_it_is_well_again(self, pair: Process, upstream: Upstream):
        self.cool_down(pair, upstream)
        upstream.heals("east")
        self.probe_is_due(pair)
        told = ask(pair, "pair")
        assert (told.headers["x-litellm-model-id"], told.headers["x-litellm-attempted-retries"]) == ("east", "0")
        assert state(pair, "east")["state"] == "well"
        assert state(pair, "east")["cooldown_reason"] is None

    def test_one_request_finds_out_that_it_is_still_sick(self, pair: Process, upstream: Upstream):
        self.cool_down(pair, upstream)
        self.probe_is_due(pair)
        told = ask(pair, "pair")
        assert (told.status, told.headers["x-litellm-model-id"]) == (200, "west")
        assert len(upstream.seen("east")) == 2
        assert state(pair, "east")["state"] == "cooling down"
        assert "probe" in state(pair, "east")["cooldown_reason"]

    def test_while_one_request_finds_out_the_others_go_elsewhere(self, pair: Process, upstream: Upstream):
        self.cool_down(pair, upstream)
        upstream.breaks("east", "hold")
        self.probe_is_due(pair)
        with ThreadPoolExecutor(1) as client:
            probe = client.submit(ask, pair, "pair")
            eventually(lambda: state(pair, "east")["state"] == "probing", "the probe")
            others = [ask(pair, "pair") for _ in range(5)]
            upstream.release("east")
            assert probe.result().headers["x-litellm-model-id"] == "east"
        assert {told.headers["x-litellm-model-id"] for told in others} == {"west"}
        assert len(upstream.seen("east")) == 2
        assert state(pair, "east")["state"] == "well"

    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    def test_operators_see_it(self, pair: Process, upstream: Upstream, stream: bool):
        self.cool_down(pair, upstream)
        metrics = pair.get("/metrics")[2]
        assert 'litellm_deployment_cooled_down_total{model_id="east"} 1' in metrics
        assert 'litellm_deployment_state{model_id="east"} 2' in metrics
        eventually(lambda: "deployment cooled down" in pair.log, "the line in the log")
        upstream.heals("east")
        self.probe_is_due(pair)
        ask(pair, "pair", stream)
        assert 'litellm_deployment_state{model_id="east"} 0' in pair.get("/metrics")[2]
        eventually(lambda: "deployment recovered" in pair.log, "the line in the log")

    def test_failures_that_pass_by_themselves_need_a_majority(self, start, site: Site, upstream: Upstream):
        model_list = [site.at("pair", "east", "500", order=1), site.at("pair", "west", order=2)]
        with start(configuration(model_list)) as gateway:
            states = [ask(gateway, "pair") and state(gateway, "east")["state"] for _ in range(5)]
            assert states == ["well"] * 4 + ["cooling down"]
            assert "5 of 5" in state(gateway, "east")["cooldown_reason"]

    def test_the_last_deployment_is_never_left_alone(self, start, site: Site, upstream: Upstream):
        config = configuration([site.at("only", "alone", "429")], {"num_retries": 0})
        with start(config) as gateway:
            assert [ask(gateway, "only").status for _ in range(8)] == [429] * 8
            assert state(gateway, "alone")["state"] == "well"
        assert len(upstream.seen("alone")) == 8

    def test_unless_that_is_wished(self, start, site: Site, upstream: Upstream):
        config = configuration(
            [site.at("only", "alone", "429")], {"num_retries": 0}, tollway={"cooldown_last_deployment": True}
        )
        with start(config) as gateway:
            assert ask(gateway, "only").status == 429
            refused = ask(gateway, "only")
        assert refused.status == 429
        assert "No deployments available" in refused.error["message"]
        # What the simulated provider asks for.
        assert 0 < int(refused.headers["retry-after"]) <= 7
        assert len(upstream.seen("alone")) == 1


class TestChoice:
    def test_lower_orders_come_first(self, start, site: Site, upstream: Upstream):
        model_list = [site.at("g", "third"), site.at("g", "second", order=2), site.at("g", "first", "500", order=1)]
        with start(configuration(model_list, {"disable_cooldowns": True})) as gateway:
            answers = [ask(gateway, "g") for _ in range(4)]
        assert {told.headers["x-litellm-model-id"] for told in answers} == {"second"}
        assert len(upstream.seen("first")) == 4
        assert upstream.seen("third") == []

    @pytest.mark.parametrize("strategy", [None, "simple-shuffle"])
    def test_weights_are_shares(self, start, site: Site, upstream: Upstream, strategy: str | None):
        model_list = [site.at("g", "heavy", weight=3), site.at("g", "light", weight=1)]
        router = {"routing_strategy": strategy} if strategy else {}
        with start(configuration(model_list, router)) as gateway:
            for _ in range(200):
                assert ask(gateway, "g").status == 200
        # 150 ± 6 σ
        assert 113 < len(upstream.seen("heavy")) < 187

    @pytest.mark.parametrize(
        "strategy",
        ["balanced", "least-busy", "usage-based-routing-v2", "latency-based-routing", "cost-based-routing"],
    )
    def test_every_strategy_chooses_and_passes_over_the_broken(
        self, start, site: Site, upstream: Upstream, strategy: str
    ):
        model_list = [site.at("g", "east"), site.at("g", "west", "503")]
        with start(configuration(model_list, {"routing_strategy": strategy})) as gateway:
            assert [ask(gateway, "g").status for _ in range(10)] == [200] * 10
            assert gateway.get("/router/settings")[2]["current_values"]["routing_strategy"] == strategy

    def wait_until_busy(self, gateway: Process, calls: int) -> None:
        def in_flight() -> int:
            return sum(state(gateway, place)["in_flight"] for place in ("east", "west"))

        eventually(lambda: in_flight() == calls, f"{calls} calls in flight")

    def test_least_busy_goes_where_nobody_waits(self, start, site: Site, upstream: Upstream):
        model_list = [site.at("g", "east"), site.at("g", "west")]
        with start(configuration(model_list, {"routing_strategy": "least-busy"})) as gateway:
            upstream.breaks("east", "hold")
            upstream.breaks("west", "hold")
            with ThreadPoolExecutor(4) as clients:
                asked = []
                for number in range(1, 5):
                    asked.append(clients.submit(ask, gateway, "g"))
                    self.wait_until_busy(gateway, number)
                assert [state(gateway, place)["in_flight"] for place in ("east", "west")] == [2, 2]
                upstream.release("east")
                upstream.release("west")
                assert [one.result().status for one in asked] == [200] * 4

    def test_a_deployment_s_id_is_a_model(self, start, site: Site, upstream: Upstream):
        with start(configuration([site.at("g", "east"), site.at("g", "west")])) as gateway:
            for _ in range(5):
                told = ask(gateway, "west")
                assert told.headers["x-litellm-model-id"] == "west"
                assert told.headers["x-litellm-model-group"] == "g"
        assert upstream.seen("east") == []

    def test_a_full_deployment_is_passed_over(self, start, site: Site, upstream: Upstream):
        model_list = [site.at("g", "small", order=1, rpm=3), site.at("g", "large", order=2)]
        with start(configuration(model_list)) as gateway:
            places = [ask(gateway, "g").headers["x-litellm-model-id"] for _ in range(6)]
        assert places == ["small"] * 3 + ["large"] * 3

    def test_if_all_are_full_the_caller_is_told_when_to_come_back(self, start, site: Site, upstream: Upstream):
        with start(configuration([site.at("g", "small", rpm=2)])) as gateway:
            answers = [ask(gateway, "g") for _ in range(3)]
        assert [told.status for told in answers] == [200, 200, 429]
        assert "rpm" in answers[2].error["message"]
        # A minute is counted in pieces of two seconds.
        assert 0 < int(answers[2].headers["retry-after"]) <= 63
        assert len(upstream.seen("small")) == 2

    def test_or_waits_if_that_is_wished(self, start, site: Site, upstream: Upstream):
        model_list = [site.at("g", "narrow", max_parallel_requests=1)]
        with start(configuration(model_list, tollway={"max_queue_wait_s": 10})) as gateway:
            upstream.breaks("narrow", "hold")
            with ThreadPoolExecutor(2) as clients:
                first = clients.submit(ask, gateway, "g")
                eventually(lambda: state(gateway, "narrow")["in_flight"] == 1, "the first call")
                second = clients.submit(ask, gateway, "g")
                assert not first.done()
                upstream.release("narrow")
                assert [first.result().status, second.result().status] == [200, 200]

    def test_an_alias_is_its_group(self, start, site: Site, upstream: Upstream):
        router = {"model_group_alias": {"nick": "g", "secret": {"model": "g", "hidden": True}}}
        with start(configuration([site.at("g", "east")], router)) as gateway:
            for alias in ("nick", "secret"):
                assert ask(gateway, alias).headers["x-litellm-model-group"] == "g"
            listed = [model["id"] for model in gateway.get("/v1/models")[2]["data"]]
        assert "nick" in listed
        assert "secret" not in listed

    def test_a_canary_gets_its_share(self, start, site: Site, upstream: Upstream):
        tollway = {"canary": [{"model": "g", "to": "new", "percent": 50}]}
        with start(configuration([site.at("g", "old"), site.at("new", "new")], tollway=tollway)) as gateway:
            for _ in range(100):
                assert ask(gateway, "g").status == 200
        assert 20 < len(upstream.seen("new")) < 80


class TestSeeingWhy:
    @pytest.fixture(scope="class")
    def pair(self, site: Site, tmp_path_factory) -> Iterator[Process]:
        model_list = [
            site.at("pair", "east", "429", order=1, rpm=100),
            site.at("pair", "west", order=2, rpm=50),
            site.at("pair", "spare", order=3),
            site.at("other", "elsewhere"),
        ]
        router = {"fallbacks": [{"pair": ["other"]}], "model_group_alias": {"nick": "pair"}}
        with subject.started(tmp_path_factory.mktemp("why"), configuration(model_list, router)) as process:
            yield process

    @pytest.fixture
    def told(self, start, site: Site, upstream: Upstream, pair: Process) -> Told:
        return ask(pair, "pair")

    def at(self, gateway: Process) -> dict[str, str]:
        return {"TOLLWAY_URL": gateway.url, "TOLLWAY_API_KEY": gateway.key}

    def test_a_trace_lists_each_candidate_with_the_reason(self, start, site: Site, upstream: Upstream):
        model_list = [site.at("pair", "east", "500", order=1), site.at("pair", "west", order=2), site.at("pair", "spare")]
        with start(configuration(model_list)) as gateway:
            story = trace(gateway, ask(gateway, "pair"))
        first, second = story["route"]
        assert verdicts(first) == {
            "east": "chosen",
            "west": "another has a lower `order`",
            "spare": "another has a lower `order`",
        }
        assert verdicts(second) == {
            "east": "already tried by this request",
            "west": "chosen",
            "spare": "another has a lower `order`",
        }
        assert [(attempt["deployment"], attempt["status"]) for attempt in story["attempts"]] == [
            ("east", 500),
            ("west", 200),
        ]
        assert "upstream says 500" in story["attempts"][0]["error"]
        assert story["retries"] == 1

    def test_explain_tells_it_in_words(self, pair: Process, told: Told):
        result = run("explain", told.headers["x-litellm-call-id"], **self.at(pair))
        assert result.returncode == 0
        for words in ("choice     in pair", "west: chosen", "spare: another has a lower `order`", "→ 200"):
            assert words in result.stdout, result.stdout

    def test_the_router_s_state_is_a_table(self, pair: Process, told: Told):
        result = run("router", **self.at(pair))
        assert result.returncode == 0
        rows = {line.split()[1]: line for line in result.stdout.splitlines()}
        assert "cooling down" in rows["east"]
        assert "RateLimitError" in rows["east"]
        assert "s left" in rows["east"]
        assert "well" in rows["west"]
        assert "other" in rows["elsewhere"]

    def test_programs_read_it_as_json(self, pair: Process, told: Told):
        shown = json.loads(run("router", "--json", **self.at(pair)).stdout)
        [west] = [entry for entry in shown["deployments"] if entry["model_id"] == "west"]
        assert west["model_group"] == "pair"
        assert west["requests_last_minute"] >= 1
        assert west["tokens_last_minute"] > 0
        assert west["latency_ms"] > 0
        assert west["in_flight"] == 0

    def test_settings_in_effect_are_shown(self, pair: Process):
        status, _, shown = pair.get("/router/settings")
        values = shown["current_values"]
        assert status == 200
        assert values["fallbacks"] == [{"pair": ["other"]}]
        assert values["model_group_alias"] == {"nick": "pair"}
        assert values["num_retries"] == 2
        assert values["cooldown_time"] == 5

    def test_a_group_is_what_its_deployments_offer_together(self, pair: Process):
        [group] = pair.get("/model_group/info?model_group=pair")[2]["data"]
        assert group["providers"] == ["openai"]
        assert group["rpm"] == 150
        assert group["max_input_tokens"] > 0

    def test_it_is_not_for_everybody(self, pair: Process):
        for path in ("/router/state", "/router/settings", "/model_group/info"):
            assert pair.get(path, key=False)[0] == 401, path

    def test_failed_attempts_are_counted_by_deployment(self, start, site: Site, upstream: Upstream):
        model_list = [site.at("pair", "east", "500", order=1), site.at("pair", "west", order=2)]
        with start(configuration(model_list)) as gateway:
            ask(gateway, "pair")
            lines = gateway.get("/metrics")[2].splitlines()

        def count(name: str, place: str) -> float:
            found = [line for line in lines if line.startswith(name) and f'model_id="{place}"' in line]
            return sum(float(line.rsplit(" ", 1)[1]) for line in found)

        assert count("litellm_deployment_failure_responses", "east") == 1
        assert count("litellm_deployment_success_responses", "east") == 0
        assert count("litellm_deployment_success_responses", "west") == 1


class TestReload:
    def test_what_is_known_of_a_deployment_outlives_a_reload(self, start, site: Site, upstream: Upstream):
        model_list = [site.at("pair", "east", "429", order=1), site.at("pair", "west", order=2)]
        with start(configuration(model_list)) as gateway:
            ask(gateway, "pair")
            assert state(gateway, "east")["state"] == "cooling down"
            changed = configuration([*model_list, site.at("new", "new")])
            (gateway.log_file.parent / "config.yaml").write_text(changed)
            eventually(lambda: ask(gateway, "new").status == 200, "the reload")
            assert state(gateway, "east")["state"] == "cooling down"
