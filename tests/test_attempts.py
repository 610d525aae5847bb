"""Calls that the client does not wait for: a second one beside a slow one, copies, health checks. And state that only
one deployment has."""

from __future__ import annotations

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import deployments
import pytest
from deployments import ANTHROPIC, GEMINI, RESPONSES, Provider
from subject import Process, eventually
from routed import TEXT, WHOLE, Site, ask, configuration, site, state, trace  # noqa: F401  (site is a fixture)
from upstream import Upstream

both_ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


class TestHedging:
    """Two deployments, of which `order` has every request try the first."""

    def gateway(self, start, site: Site, **hedge: int):
        model_list = [site.at("pair", "first", order=1), site.at("pair", "second", order=2)]
        return start(configuration(model_list, tollway={"hedge": {"min_delay_ms": 100} | hedge}))

    def know_how_long_it_takes(self, gateway: Process, upstream: Upstream, stream: bool) -> None:
        for _ in range(20):
            assert ask(gateway, "pair", stream).status == 200
        upstream.forget()

    @both_ways
    def test_who_hangs_is_overtaken(self, start, site: Site, upstream: Upstream, stream: bool):
        with self.gateway(start, site, max_percent=100) as gateway:
            self.know_how_long_it_takes(gateway, upstream, stream)
            upstream.breaks("first", "hang")
            told = ask(gateway, "pair", stream)
            assert (told.status, told.text) == (200, WHOLE)
            assert told.headers["x-litellm-model-id"] == "second"
            found = trace(gateway, told)
            assert [attempt["deployment"] for attempt in found["attempts"]] == ["first", "second"]
            assert "cancelled" in found["attempts"][0]["error"]
            assert found["attempts"][1]["error"] is None

    def test_if_the_second_one_fails_the_first_one_is_waited_for(self, start, site: Site, upstream: Upstream):
        with self.gateway(start, site, max_percent=100) as gateway:
            self.know_how_long_it_takes(gateway, upstream, False)
            upstream.breaks("first", "hold")
            upstream.breaks("second", "500")
            with ThreadPoolExecutor() as pool:
                asking = pool.submit(ask, gateway, "pair")
                eventually(lambda: upstream.seen("second"), "the second attempt")
                upstream.release("first")
            told = asking.result()
            assert (told.status, told.text) == (200, WHOLE)
            assert told.headers["x-litellm-model-id"] == "first"
            found = trace(gateway, told)
            assert {attempt["deployment"] for attempt in found["attempts"]} == {"first", "second"}

    def test_it_has_a_price_limit(self, start, site: Site, upstream: Upstream):
        with self.gateway(start, site, max_percent=0) as gateway:
            self.know_how_long_it_takes(gateway, upstream, False)
            upstream.breaks("first", "slow")
            assert ask(gateway, "pair").headers["x-litellm-model-id"] == "first"
            assert upstream.seen("second") == []


class TestMirroring:
    @both_ways
    def test_a_copy_goes_to_the_other_group(self, start, site: Site, upstream: Upstream, stream: bool):
        model_list = [site.at("real", "real"), site.at("shadow", "shadow")]
        mirror = [{"model": "real", "to": "shadow", "percent": 100}]
        with start(configuration(model_list, tollway={"mirror": mirror})) as gateway:
            told = ask(gateway, "real", stream)
            assert (told.status, told.text, told.headers["x-litellm-model-id"]) == (200, WHOLE, "real")
            [seen] = eventually(lambda: upstream.seen("shadow"), "the copy")
            [original] = upstream.seen("real")
            assert seen.body["messages"] == original.body["messages"]
            copy = f"{told.headers['x-litellm-call-id']}-mirror"
            eventually(lambda: gateway.get(f"/trace/{copy}")[0] == 200, "the copy's trace")
            found = gateway.get(f"/trace/{copy}")[2]
            assert found["mirror_of"] == told.headers["x-litellm-call-id"]
            assert found["model_group"] == "shadow"

    def test_a_sick_copy_hurts_nobody_and_goes_nowhere_else(self, start, site: Site, upstream: Upstream):
        model_list = [site.at("real", "real"), site.at("shadow", "shadow", "500")]
        mirror = [{"model": "real", "to": "shadow", "percent": 100}]
        router = {"num_retries": 2, "fallbacks": [{"shadow": ["real"]}]}
        with start(configuration(model_list, router, tollway={"mirror": mirror})) as gateway:
            told = ask(gateway, "real")
            assert told.status == 200
            copy = f"/trace/{told.headers['x-litellm-call-id']}-mirror"
            eventually(lambda: gateway.get(copy)[0] == 200, "the copy's trace")
            assert (len(upstream.seen("shadow")), len(upstream.seen("real"))) == (1, 1)


class TestHealthChecks:
    def test_a_deployment_is_known_to_be_sick_before_anybody_asks(self, start, site: Site, upstream: Upstream):
        general = {"background_health_checks": True, "health_check_interval": 0.2, "master_key": deployments.MASTER_KEY}
        upstream.breaks("east", "500")
        model_list = [site.at("pair", "east"), site.at("pair", "west")]
        with start(configuration(model_list, general_settings=general)) as gateway:

            def sick() -> list[str]:
                entries = gateway.get("/health")[2]["unhealthy_endpoints"]
                return [entry["model_id"] for entry in entries if "checked_at" in entry]

            eventually(lambda: sick() == ["east"], "the check of the sick one")
            upstream.heals("east")
            eventually(lambda: sick() == [], "the check of the healed one")
            assert upstream.seen("west")[0].body["max_tokens"] == 1


class TestOneRequestSaysHow:
    """What the body or a header says about routing."""

    def test_fallbacks(self, start, site: Site, upstream: Upstream):
        model_list = [site.at("sick", "sick", "500"), site.at("well", "well"), site.at("other", "other")]
        with start(configuration(model_list, {"num_retries": 0, "fallbacks": [{"sick": ["well"]}]})) as gateway:
            body = {"model": "sick", "messages": [{"role": "user", "content": TEXT}]}

            def place(**fields: object) -> str | int:
                status, headers, _ = gateway.post("/v1/chat/completions", body | fields)
                return headers["x-litellm-model-id"] if status == 200 else status

            assert place() == "well"
            assert place(fallbacks=["other"]) == "other"
            assert place(fallbacks=[{"model": "other", "temperature": 0}]) == "other"
            assert upstream.seen("other")[-1].body["temperature"] == 0
            assert place(disable_fallbacks=True) == 500
            assert "fallbacks" not in upstream.seen("other")[-1].body

    def test_retries(self, start, site: Site, upstream: Upstream):
        with start(configuration([site.at("sick", "sick", "500")], {"num_retries": 0})) as gateway:
            ask(gateway, "sick", **{"x-litellm-num-retries": "1"})
            assert len(upstream.seen("sick")) == 2

    def test_tags(self, start, site: Site, upstream: Upstream):
        model_list = [site.at("pair", "free", tags=["free"]), site.at("pair", "paid", tags=["paid"])]
        with start(configuration(model_list, {"enable_tag_filtering": True})) as gateway:
            for tag in ["free", "paid"] * 3:
                body = {"model": "pair", "messages": [{"role": "user", "content": TEXT}], "metadata": {"tags": [tag]}}
                assert gateway.post("/v1/chat/completions", body)[1]["x-litellm-model-id"] == tag
                assert ask(gateway, "pair", **{"x-litellm-tags": tag}).headers["x-litellm-model-id"] == tag

    @pytest.mark.parametrize(
        ("fields", "param"),
        [
            ({"num_retries": "two"}, "num_retries"),
            ({"fallbacks": "other"}, "fallbacks"),
            ({"fallbacks": [7]}, "fallbacks[0]"),
            ({"fallbacks": [{"model": "m", "api_key": "sk-stolen"}]}, "fallbacks[0].api_key"),
            ({"retry_policy": {"NoSuchRetries": 1}}, "retry_policy.NoSuchRetries"),
            ({"tags": [1]}, "tags[0]"),
            ({"disable_fallbacks": "no"}, "disable_fallbacks"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_is_wrong_is_named(self, gateway, fields: dict, param: str):
        body = {"model": "to-openai", "messages": [{"role": "user", "content": TEXT}]} | fields
        status, _, answer = gateway.post("/v1/chat/completions", body)
        assert (status, answer["error"]["param"]) == (400, param), answer


class TestState:
    def test_a_stored_response_is_gone_on_with_where_it_is(self, start, site: Site, upstream: Upstream):
        model_list = [site.at("many", f"place-{number}") for number in range(4)]
        with start(configuration(model_list)) as gateway:
            first = {"model": "many", "input": TEXT}
            status, headers, answer = gateway.post("/v1/responses", first)
            assert status == 200
            place = headers["x-litellm-model-id"]
            for _ in range(8):
                following = {"model": "many", "input": TEXT, "previous_response_id": answer["id"]}
                status, headers, answer = gateway.post("/v1/responses", following)
                assert (status, headers["x-litellm-model-id"]) == (200, place)

    PLACES = [f"place-{number}" for number in range(4)]

    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    def test_encrypted_reasoning_goes_back_to_who_made_it(self, start, site: Site, upstream: Upstream, stream: bool):
        thinker = replace(RESPONSES, model=RESPONSES.thinker)
        model_list = [site.at("many", place, provider=thinker) for place in self.PLACES]
        question = {"role": "user", "content": TEXT}
        settings = {"model": "many", "include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low"}}
        settings |= {"store": False, "stream": stream}
        with start(configuration(model_list)) as gateway:
            status, headers, answer = gateway.post("/v1/responses", settings | {"input": [question]})
            assert status == 200, answer
            if stream:
                events = [json.loads(line[6:]) for line in answer.splitlines() if line.startswith("data: {")]
                answer = events[-1]["response"]
            assert any(item.get("encrypted_content") for item in answer["output"]), answer
            place = headers["x-litellm-model-id"]
            for _ in range(6):
                body = settings | {"input": [question, *answer["output"], question], "stream": False}
                status, headers, told = gateway.post("/v1/responses", body)
                assert (status, headers["x-litellm-model-id"]) == (200, place), told

    @pytest.mark.parametrize("provider", [ANTHROPIC, GEMINI], ids=["anthropic", "gemini"])
    def test_signed_reasoning_goes_back_to_who_made_it_if_that_is_well(
        self, start, site: Site, upstream: Upstream, provider: Provider
    ):
        model = "gemini/gemini-3-pro-preview" if provider is GEMINI else provider.thinker
        model_list = [site.at("many", place, provider=replace(provider, model=model)) for place in self.PLACES]
        with start(configuration(model_list)) as gateway:
            body, path, following = thinking(provider)
            status, headers, answer = gateway.post(path, body)
            assert status == 200, answer
            place = headers["x-litellm-model-id"]
            for _ in range(6):
                status, headers, told = gateway.post(path, following(answer))
                assert (status, headers["x-litellm-model-id"]) == (200, place), told
            upstream.breaks(place, "500")
            status, headers, told = gateway.post(path, following(answer))
            assert status == 200 and headers["x-litellm-model-id"] != place, told

    def test_a_file_is_looked_for_and_then_known(self, start, site: Site, upstream: Upstream):
        # Who does not have a file says 400.
        lacking = site.at("many", "lacking", "400", provider=RESPONSES, order=1)
        model_list = [lacking, site.at("many", "having", provider=RESPONSES, order=2)]
        file = {"type": "input_file", "file_id": "file-123"}
        body = {"model": "many", "input": [{"role": "user", "content": [file, {"type": "input_text", "text": TEXT}]}]}
        with start(configuration(model_list)) as gateway:
            for retries in ("1", "0", "0"):
                status, headers, told = gateway.post("/v1/responses", body)
                assert status == 200, told
                assert (headers["x-litellm-model-id"], headers["x-litellm-attempted-retries"]) == ("having", retries)
            assert state(gateway, "lacking")["state"] == "well"

    def test_an_account_that_is_gone_is_no_reason_to_refuse(self, start, site: Site, upstream: Upstream, tmp_path):
        def config(*places: str) -> str:
            return configuration([site.at("many", place, provider=RESPONSES) for place in places])

        with start(config("east", "west")) as gateway:
            _, headers, answer = gateway.post("/v1/responses", {"model": "many", "input": TEXT})
            others = [place for place in ("north", "east", "west") if place != headers["x-litellm-model-id"]]
            (tmp_path / "config.yaml").write_text(config(*others))
            gateway.signal(signal.SIGHUP)
            eventually(lambda: "configuration reloaded" in gateway.log, "the reload")
            following = {"model": "many", "input": TEXT, "previous_response_id": answer["id"]}
            status, headers, told = gateway.post("/v1/responses", following)
            assert status == 200, told
            route = gateway.get(f"/trace/{headers['x-litellm-call-id']}")[2]["route"]
            assert any("does not have any more" in step.get("note", "") for step in route), route

    def test_an_account_under_another_name_is_the_same(self, start, site: Site, upstream: Upstream, tmp_path):
        def config(suffix: str) -> str:
            model_list = [site.at("many", place, provider=RESPONSES) for place in self.PLACES]
            for entry in model_list:
                entry["model_info"]["id"] += suffix
            return configuration(model_list)

        with start(config("")) as gateway:
            _, headers, answer = gateway.post("/v1/responses", {"model": "many", "input": TEXT})
            place = headers["x-litellm-model-id"]
            (tmp_path / "config.yaml").write_text(config("-renamed"))
            gateway.signal(signal.SIGHUP)
            eventually(lambda: "configuration reloaded" in gateway.log, "the reload")
            for _ in range(6):
                following = {"model": "many", "input": TEXT, "previous_response_id": answer["id"]}
                status, headers, answer = gateway.post("/v1/responses", following)
                assert (status, headers["x-litellm-model-id"]) == (200, f"{place}-renamed")


class TestMixedGroups:
    def test_who_has_no_such_endpoint_is_not_asked(self, start, site: Site, upstream: Upstream):
        mock = {"model_name": "many", "litellm_params": {"model": "openai/m", "api_key": "k", "mock_response": "hi"}}
        base = f"{upstream.url}/to-embeddings/v1"
        real = deployments.entry("many", "openai/text-embedding-3-small", base) | {"model_info": {"id": "real"}}
        with start(configuration([mock, real], {"num_retries": 0})) as gateway:
            for _ in range(8):
                status, headers, answer = gateway.post("/v1/embeddings", {"model": "many", "input": "a"})
                assert (status, headers["x-litellm-model-id"]) == (200, "real"), answer
        with start(configuration([mock])) as gateway:
            status, _, answer = gateway.post("/v1/embeddings", {"model": "many", "input": "a"})
            assert status == 400 and "mock" in answer["error"]["message"]

    def test_a_missing_key_is_no_reason_where_there_is_no_endpoint(self, start):
        known = {"model": "voyage/voyage-3", "api_key": "os.environ/OUTER_TESTS_NOT_SET"}
        with start(configuration([{"model_name": "vectors", "litellm_params": known}])) as gateway:
            body = {"model": "vectors", "messages": [{"role": "user", "content": TEXT}]}
            status, _, answer = gateway.post("/v1/chat/completions", body)
            assert status == 400 and "no conversations" in answer["error"]["message"], answer
            status, _, answer = gateway.post("/v1/embeddings", {"model": "vectors", "input": "a"})
            assert status == 401 and "OUTER_TESTS_NOT_SET" in answer["error"]["message"], answer


def thinking(provider: Provider):
    """A request for an answer with signed thoughts, its path, and the request that goes on from an answer."""
    if provider is ANTHROPIC:
        turns = [{"role": "user", "content": TEXT}]
        thoughts = {"type": "enabled", "budget_tokens": 1024}
        body = {"model": "many", "max_tokens": 2048, "thinking": thoughts, "messages": turns}

        def following(answer: dict) -> dict:
            return body | {"messages": [*turns, {"role": "assistant", "content": answer["content"]}, *turns]}

        return body, "/v1/messages", following
    turns = [{"role": "user", "parts": [{"text": TEXT}]}]
    body = {"contents": turns, "generationConfig": {"thinkingConfig": {"includeThoughts": True}}}
    body |= {"tools": [{"functionDeclarations": [{"name": "look_up", "parameters": {"type": "OBJECT"}}]}]}

    def going_on(answer: dict) -> dict:
        content = answer["candidates"][0]["content"]
        parts = content["parts"]
        assert any("thoughtSignature" in part for part in parts), parts
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        results = [{"functionResponse": {"name": call["name"], "response": {"x": 1}}} for call in calls]
        return body | {"contents": [*turns, content, {"role": "user", "parts": results or turns[0]["parts"]}]}

    return body, "/v1beta/models/many:generateContent", going_on
