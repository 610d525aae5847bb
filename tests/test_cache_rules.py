"""What is the same question, what is never kept, what a request may ask of the cache, and what a hit is booked as."""

from __future__ import annotations

import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from caching import HIT, KEY, ask, body, configuration, is_hit, metric
from caching import memory as memory
from deployments import OPENAI, PROVIDERS, Provider
from subject import Gateway, Process, eventually
from upstream import Upstream


class TestTheSameQuestion:
    def test_spelling_and_order_do_not_matter(self, memory: Gateway, upstream: Upstream):
        ask(memory, text="spelling")
        text = b'{ "messages":[{"content":"sp\\u0065lling", "role":"user"}] ,\n "model":"to-openai"}'
        status, headers, _ = memory.post("/v1/chat/completions", text)
        assert status == 200 and is_hit(headers)

    @pytest.mark.parametrize(
        "more",
        [
            {"temperature": 0.5},
            {"stream": True},
            {"seed": 1},
            {"tools": [{"type": "function", "function": {"name": "f"}}]},
            {"cache": {"namespace": "elsewhere"}},
            {"drop_params": False},
            {"top_p": 0.5},
        ],
        ids=lambda more: next(iter(more)),
    )
    def test_what_may_change_the_answer_makes_another(self, memory: Gateway, upstream: Upstream, more: dict):
        ask(memory, text="another")
        assert not is_hit(ask(memory, text="another", **more)[0])

    @pytest.mark.parametrize(
        "more", [{"user": "u"}, {"metadata": {"a": "b"}}, {"tags": ["t"]}, {"timeout": 5}], ids=lambda more: next(iter(more))
    )
    def test_who_asks_and_why_does_not(self, memory: Gateway, upstream: Upstream, more: dict):
        ask(memory, text="who asks")
        assert is_hit(ask(memory, text="who asks", **more)[0])

    def test_models_dialects_and_names_are_apart(self, memory: Gateway, upstream: Upstream):
        for provider in PROVIDERS:
            assert not is_hit(ask(memory, provider.deployment, text="apart")[0])
        # The name that the client asked for stands in the answer.
        headers, answer = ask(memory, "other", text="apart")
        assert not is_hit(headers) and answer["model"] == "other"
        status, headers, _ = memory.post("/v1/messages", body(OPENAI.deployment, "apart", max_tokens=100))
        assert status == 200 and not is_hit(headers)


class TestNeverKept:
    def twice(self, gateway: Gateway, request: dict) -> tuple[int, int]:
        results = [gateway.post("/v1/chat/completions", request) for _ in range(2)]
        assert not any(is_hit(headers) for _, headers, _ in results)
        return tuple(status for status, _, _ in results)

    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    def test_a_truncated_answer(self, memory: Gateway, upstream: Upstream, provider: Provider, stream: bool):
        # OpenAI's Responses takes no smaller limit than 16.
        request = body(provider.deployment, "word " * 40, max_tokens=16, stream=stream)
        assert self.twice(memory, request) == (200, 200)
        assert len(upstream.seen(provider.deployment)) == 2

    @pytest.mark.parametrize("fault", ["429", "500", "content-filter", "garbage-body"])
    def test_an_error(self, memory: Gateway, upstream: Upstream, provider: Provider, fault: str):
        first, second = self.twice(memory, body(provider.failing(fault)))
        assert first == second and first >= 400
        assert len(upstream.seen(provider.failing(fault))) == 2

    @pytest.mark.parametrize("fault", ["cut", "unfinished", "error-event"])
    def test_a_stream_without_its_end(self, memory: Gateway, upstream: Upstream, provider: Provider, fault: str):
        self.twice(memory, body(provider.failing(fault), "a b c d", stream=True))
        assert len(upstream.seen(provider.failing(fault))) == 2

    def test_one_of_several_answers(self, memory: Gateway, upstream: Upstream):
        assert self.twice(memory, body("to-openai", n=2)) == (200, 200)

    def test_an_answer_whose_client_left(self, memory: Process, upstream: Upstream):
        name = OPENAI.failing("hold")
        connection = http.client.HTTPConnection("127.0.0.1", memory.port)
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body(name, "gone", stream=True)), headers)
        eventually(lambda: upstream.seen(name), "the provider's being asked")
        connection.close()
        eventually(lambda: upstream.seen(name)[0].abandoned.is_set(), "the end of the provider's call")
        upstream.release(name)
        assert not is_hit(ask(memory, name, "gone", stream=True)[0])


class TestControls:
    def test_no_cache_asks_anew_and_stores(self, memory: Gateway, upstream: Upstream):
        ask(memory, text="no-cache", cache={"no-store": True})
        assert not is_hit(ask(memory, text="no-cache", cache={"no-cache": True})[0])
        assert is_hit(ask(memory, text="no-cache")[0])
        assert not is_hit(ask(memory, text="no-cache", cache={"no-cache": True})[0])
        assert len(upstream.seen("to-openai")) == 3

    def test_no_store_keeps_nothing(self, memory: Gateway, upstream: Upstream):
        ask(memory, text="no-store", cache={"no-store": True})
        assert not is_hit(ask(memory, text="no-store")[0])
        assert is_hit(ask(memory, text="no-store", cache={"no-store": True})[0]), "but it reads"

    def test_ttl_ends_an_answer(self, memory: Gateway, upstream: Upstream):
        ask(memory, text="ttl", cache={"ttl": 0.2})
        eventually(lambda: not is_hit(ask(memory, text="ttl", cache={"ttl": 0.2})[0]), "the end of the answer")

    def test_s_maxage_takes_no_older_answer(self, memory: Gateway, upstream: Upstream):
        ask(memory, text="s-maxage")
        assert is_hit(ask(memory, text="s-maxage", cache={"s-maxage": 60})[0])
        eventually(lambda: not is_hit(ask(memory, text="s-maxage", cache={"s-maxage": 0.2})[0]), "its ageing")
        request = body("to-openai", "s-maxage")
        _, headers, _ = memory.post("/v1/chat/completions", request, headers={"cache-control": "s-maxage=0"})
        assert not is_hit(headers)
        _, headers, _ = memory.post("/v1/chat/completions", request, headers={"cache-control": "no-cache"})
        assert is_hit(headers), "browsers send that"

    def test_namespaces_are_apart_and_stand_in_the_key(self, memory: Gateway, upstream: Upstream):
        for namespace in ("one", "two"):
            assert not is_hit(ask(memory, text="space", cache={"namespace": namespace})[0])
            headers, _ = ask(memory, text="space", cache={"namespace": namespace})
            assert headers[HIT].startswith(f"{namespace}:")

    def test_caching_false_declines(self, memory: Gateway, upstream: Upstream):
        ask(memory, text="declined")
        headers, _ = ask(memory, text="declined", caching=False)
        assert not is_hit(headers)
        trace = memory.get(f"/trace/{headers['x-litellm-call-id']}")[2]
        assert trace["cache"]["state"] == "declined" and "declined" in trace["cache"]["why"]

    @pytest.mark.parametrize(
        ("cache", "field"),
        [
            (True, "cache"),
            ({"ttl": "60"}, "cache.ttl"),
            ({"s-maxage": {}}, "cache.s-maxage"),
            ({"no-cache": "yes"}, "cache.no-cache"),
            ({"no-store": 1}, "cache.no-store"),
            ({"namespace": 7}, "cache.namespace"),
            ({"use-cache": "x"}, "cache.use-cache"),
        ],
        ids=str,
    )
    def test_a_wrong_type_is_a_400_that_names_the_field(self, memory: Gateway, cache: object, field: str):
        status, _, answer = memory.post("/v1/chat/completions", body("to-openai", cache=cache))
        assert status == 400
        assert answer["error"]["param"] == field
        assert field in answer["error"]["message"]

    def test_default_off_caches_on_request(self, start, provider_side: Upstream, upstream: Upstream):
        params = {"type": "local", "mode": "default_off", "supported_call_types": ["acompletion"], "max_messages": 1}
        with start(configuration(provider_side, **params)) as gateway:
            ask(gateway)
            assert not is_hit(ask(gateway)[0])
            ask(gateway, cache={"use-cache": True})
            assert is_hit(ask(gateway, cache={"use-cache": True})[0])
            for _ in range(2):
                request = body("to-openai", max_tokens=100, cache={"use-cache": True})
                assert not is_hit(gateway.post("/v1/messages", request)[1]), "not among the call types"
                longer = {"model": "to-openai", "messages": [{"role": "user", "content": "a"}] * 2}
                longer["cache"] = {"use-cache": True}
                assert not is_hit(gateway.post("/v1/chat/completions", longer)[1]), "more than max_messages"


class TestOneFlight:
    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    def test_the_same_question_is_asked_once_at_a_time(self, memory: Gateway, upstream: Upstream, stream: bool):
        name = OPENAI.failing("hold")
        text = f"together {stream}"
        with ThreadPoolExecutor(12) as pool:
            asking = [pool.submit(ask, memory, name, text, stream=stream) for _ in range(12)]
            eventually(lambda: upstream.seen(name), "the provider's being asked")
            waiting = lambda: in_flight(memory) >= 12  # noqa: E731
            eventually(waiting, "all requests' waiting")
            upstream.release(name)
            answers = [future.result(30) for future in asking]
        assert len(upstream.seen(name)) == 1
        assert len({json.dumps(answer) for _, answer in answers}) == 1
        assert sum(is_hit(headers) for headers, _ in answers) == 11

    def test_an_answer_that_is_not_kept_frees_all_who_wait(self, memory: Gateway, upstream: Upstream):
        name = OPENAI.failing("hold")
        with ThreadPoolExecutor(6) as pool:
            asking = [pool.submit(ask, memory, name, "not kept", max_tokens=2) for _ in range(6)]
            eventually(lambda: in_flight(memory) >= 6, "all requests' waiting")
            upstream.release(name)
            answers = [future.result(30) for future in asking]
        assert not any(is_hit(headers) for headers, _ in answers)
        assert len(upstream.seen(name)) == 6

    def test_who_waits_too_long_is_told(self, memory: Gateway, upstream: Upstream):
        name = OPENAI.failing("hold")
        leader = threading.Thread(target=ask, args=(memory, name, "too long"))
        leader.start()
        eventually(lambda: upstream.seen(name), "the provider's being asked")
        status, _, answer = memory.post("/v1/chat/completions", body(name, "too long", timeout=0.3))
        assert status == 408 and "already" in answer["error"]["message"]
        upstream.release(name)
        leader.join(30)


def in_flight(gateway: Gateway) -> int:
    return int(metric(gateway, "litellm_in_flight_requests"))


class TestBooks:
    def test_a_hit_costs_nothing_and_tells_what_it_saved(self, start, provider_side: Upstream, upstream: Upstream):
        with start(configuration(provider_side, type="local")) as gateway:
            first, answer = ask(gateway)
            spent = metric(gateway, "litellm_spend_metric_total")
            headers, _ = ask(gateway)
            assert headers["x-litellm-response-cost"] == first["x-litellm-response-cost"]
            assert headers["x-litellm-model-group"] == "to-openai"
            assert metric(gateway, "litellm_spend_metric_total") == spent > 0
            assert metric(gateway, "litellm_cache_hits_metric_total") == 1
            assert metric(gateway, "litellm_cache_misses_metric_total") == 1
            assert metric(gateway, "litellm_cached_tokens_metric_total") == answer["usage"]["total_tokens"]
            assert metric(gateway, "tollway_cache_saved_usd_total") == pytest.approx(spent)
            assert metric(gateway, "litellm_proxy_failed_requests_metric_total") == 0
            trace = gateway.get(f"/trace/{headers['x-litellm-call-id']}")[2]
            assert trace["cache"]["state"] == "hit" and trace["cache"]["key"] == headers[HIT]
            assert trace["cache"]["saved"]["tokens"] == answer["usage"]["total_tokens"]
            assert trace["attempts"] == [] and trace["route"] == [] and trace["answer"]["cost"] is None

            def logged() -> list[dict]:
                lines = [json.loads(line) for line in gateway.log.splitlines() if line.startswith("{")]
                return [line for line in lines if line["message"] == "request"]

            eventually(lambda: len(logged()) == 2, "the log's lines")
            assert [line["cache_hit"] for line in logged()] == [False, True]
            assert "cost_usd" not in logged()[1] and logged()[1]["saved_usd"] > 0
