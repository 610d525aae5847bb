"""Several deployments act as one: who is chosen, what is sick is left alone, and one can see why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import subject
from clients import Told
from deployments import entry
from routed import Site, ask, configuration, site, state, trace, verdicts  # noqa: F401  (site is a fixture)
from subject import Process, eventually, run
from upstream import Upstream


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
