"""Answers given again: what is the same question, whose it is, what is never kept, and what a broken cache costs."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anthropic
import openai
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google import genai

import deployments
import s3_server
from cloud import CLIENT, SECRET, TENANT, Cloud
from deployments import GEMINI, OPENAI, PROVIDERS, Provider
from redis_server import RedisServer
from s3_server import S3Server
from subject import Gateway, Process, eventually, free_port, started
from upstream import Upstream

HIT = "x-litellm-cache-key"
KEY = deployments.MASTER_KEY


def configuration(upstream: Upstream, **cache_params: object) -> str:
    base = f"{upstream.url}/to-embeddings/v1"
    entries = deployments.model_list(upstream.url, "http://127.0.0.1:9")
    entries.append(deployments.entry("to-embeddings", "openai/text-embedding-3-small", base))
    entries.append(deployments.entry("to-rerank", "hosted_vllm/rerank", f"{upstream.url}/to-rerank/v1"))
    entries.append(deployments.entry("to-whisper", "openai/whisper-1", f"{upstream.url}/to-whisper/v1"))
    settings = {
        "num_retries": 0,
        "drop_params": True,
        "cache": True,
        "cache_params": cache_params,
    }
    return json.dumps(
        {
            "model_list": entries,
            "litellm_settings": settings,
            "router_settings": {"num_retries": 0, "disable_cooldowns": True, "model_group_alias": {"other": "to-openai"}},
            "general_settings": {"master_key": KEY},
            "tollway": {"log_format": "json", "watch": False},
        }
    )


@pytest.fixture(scope="module", params=["local", "redis", "disk"])
def cached(request: pytest.FixtureRequest, provider_side: Upstream, tmp_path_factory) -> Iterator[Process]:
    """A gateway with each kind of cache."""
    folder = tmp_path_factory.mktemp("cached")
    params = {"type": request.param, "ttl": 600}
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        params |= {"host": "127.0.0.1", "port": server.port}
    if request.param == "disk":
        params["disk_cache_dir"] = str(folder / "answers")
    with started(folder, configuration(provider_side, **params)) as gateway:
        yield gateway


@pytest.fixture
def gateway(cached: Process, upstream: Upstream) -> Process:
    status, _, answer = cached.post("/cache/flushall", {})
    assert (status, answer) == (200, {"status": "success"})
    return cached


@pytest.fixture(scope="module")
def memory(provider_side: Upstream, tmp_path_factory) -> Iterator[Process]:
    """A gateway with a cache in memory, for what does not depend on where answers are kept."""
    folder = tmp_path_factory.mktemp("memory")
    with started(folder, configuration(provider_side, type="local")) as gateway:
        yield gateway


def body(model: str, text: str = "hello", **more: object) -> dict:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def ask(gateway: Gateway, model: str = "to-openai", text: str = "hello", **more: object):
    status, headers, answer = gateway.post("/v1/chat/completions", body(model, text, **more))
    assert status == 200, answer
    return headers, answer


def is_hit(headers) -> bool:
    return HIT in headers


class TestEveryDialect:
    """Through the official clients, streamed and whole: the second answer is the first one."""

    def twice(self, gateway: Gateway, upstream: Upstream, deployment: str, call: Callable[[], object]) -> None:
        first = call()
        second = call()
        assert first == second
        assert len(upstream.seen(deployment)) == 1

    def test_chat(self, gateway: Gateway, upstream: Upstream, provider: Provider):
        with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0) as client:
            request = body(provider.deployment)
            self.twice(gateway, upstream, provider.deployment, lambda: client.chat.completions.create(**request))

    def test_chat_stream(self, gateway: Gateway, upstream: Upstream, provider: Provider):
        with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0) as client:
            request = body(provider.deployment, stream=True, stream_options={"include_usage": True})
            call = lambda: list(client.chat.completions.create(**request))  # noqa: E731
            self.twice(gateway, upstream, provider.deployment, call)
            assert len(call()) > 3, "a stream is replayed as a stream"

    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    def test_responses(self, gateway: Gateway, upstream: Upstream, provider: Provider, stream: bool):
        with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0) as client:

            def call():
                answer = client.responses.create(model=provider.deployment, input="hello", stream=stream)
                return list(answer) if stream else answer

            self.twice(gateway, upstream, provider.deployment, call)

    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    def test_messages(self, gateway: Gateway, upstream: Upstream, provider: Provider, stream: bool):
        with anthropic.Anthropic(base_url=gateway.url, api_key=KEY, max_retries=0) as client:

            def call():
                answer = client.messages.create(**body(provider.deployment), max_tokens=100, stream=stream)
                return list(answer) if stream else answer

            self.twice(gateway, upstream, provider.deployment, call)

    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    def test_gemini(self, gateway: Gateway, upstream: Upstream, provider: Provider, stream: bool):
        client = genai.Client(api_key=KEY, http_options={"base_url": gateway.url, "timeout": 20_000})

        def call():
            if stream:
                chunks = client.models.generate_content_stream(model=provider.deployment, contents="hello")
                return [chunk.text for chunk in chunks]
            return client.models.generate_content(model=provider.deployment, contents="hello").text

        self.twice(gateway, upstream, provider.deployment, call)

    def test_gemini_as_a_growing_array(self, gateway: Gateway, upstream: Upstream):
        path = f"/v1beta/models/{GEMINI.deployment}:streamGenerateContent"
        request = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
        first, second = gateway.post(path, request), gateway.post(path, request)
        events = gateway.post(f"{path}?alt=sse", request)
        assert isinstance(first[2], list) and first[2] == second[2]
        assert not is_hit(events[1]), "events are another answer than an array"
        assert len(upstream.seen(GEMINI.deployment)) == 2

    def test_completions(self, gateway: Gateway, upstream: Upstream):
        with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0) as client:
            call = lambda: client.completions.create(model="to-completions", prompt="hello")  # noqa: E731
            self.twice(gateway, upstream, "to-completions", call)

    def test_rerank(self, gateway: Gateway, upstream: Upstream):
        request = {"model": "to-rerank", "query": "q", "documents": ["a", "b"]}
        first, second = gateway.post("/v1/rerank", request), gateway.post("/v1/rerank", request)
        assert first[0] == 200 and first[2] == second[2] and is_hit(second[1])
        assert not is_hit(gateway.post("/v1/rerank", request | {"documents": ["b", "a"]})[1])

    def test_transcriptions(self, gateway: Gateway, upstream: Upstream):
        with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0) as client:

            def call(sound: bytes = b"RIFF...."):
                return client.audio.transcriptions.create(model="to-whisper", file=("a.wav", sound))

            # Each form has a boundary of its own.
            self.twice(gateway, upstream, "to-whisper", call)
            call(b"RIFF...!")
            assert len(upstream.seen("to-whisper")) == 2


class TestEmbeddings:
    def embed(self, gateway: Gateway, texts, **more):
        status, headers, answer = gateway.post("/v1/embeddings", {"model": "to-embeddings", "input": texts, **more})
        assert status == 200, answer
        return headers, answer

    def is_stored(self, gateway: Gateway, texts) -> bool:
        """Until it is, whoever asks the same gets the answer from the one who asks."""
        headers, _ = self.embed(gateway, texts)
        return gateway.get(f"/trace/{headers['x-litellm-call-id']}")[2]["cache"]["state"] == "hit"

    def asked(self, upstream: Upstream) -> list:
        return [seen.body["input"] for seen in upstream.seen("to-embeddings")]

    def test_only_what_is_not_known_is_asked_for(self, gateway: Gateway, upstream: Upstream):
        texts = [f"text number {number}" for number in range(99)]
        headers, whole = self.embed(gateway, texts)
        assert not is_hit(headers)
        eventually(lambda: self.is_stored(gateway, texts), "the storing of all items")
        upstream.forget()
        headers, mixed = self.embed(gateway, [*texts[:50], "a new one", *texts[50:]])
        assert self.asked(upstream) == [["a new one"]]
        by_index = {item["index"]: item["embedding"] for item in mixed["data"]}
        expected = {item["index"]: item["embedding"] for item in whole["data"]}
        assert [by_index[place] for place in range(50)] == [expected[place] for place in range(50)]
        assert [by_index[place] for place in range(51, 100)] == [expected[place] for place in range(50, 99)]
        assert mixed["usage"]["prompt_tokens"] == whole["usage"]["prompt_tokens"] + 3
        assert mixed["model"] == "to-embeddings"
        trace = gateway.get(f"/trace/{headers['x-litellm-call-id']}")[2]
        assert trace["cache"]["items"] == {"known": 99, "all": 100}
        assert trace["answer"]["usage"]["input_tokens"] == 3, "only what was asked for is booked"

    def test_one_text_and_a_list_of_one_share_their_vector(self, gateway: Gateway, upstream: Upstream):
        _, alone = self.embed(gateway, "shared")
        eventually(lambda: self.is_stored(gateway, "shared"), "the storing")
        headers, listed = self.embed(gateway, ["shared"])
        assert is_hit(headers)
        assert alone["data"][0]["embedding"] == listed["data"][0]["embedding"]

    def test_what_changes_the_vector_is_another_question(self, gateway: Gateway, upstream: Upstream):
        self.embed(gateway, "text")
        for more in ({"dimensions": 2}, {"encoding_format": "float"}):
            assert not is_hit(self.embed(gateway, "text", **more)[0]), more

    def test_tokens_are_texts_too(self, gateway: Gateway, upstream: Upstream):
        first, second = self.embed(gateway, [1, 2, 3]), self.embed(gateway, [1, 2, 3])
        assert is_hit(second[0]) and first[1]["data"] == second[1]["data"]
        assert not is_hit(self.embed(gateway, [[1, 2], [3]])[0])


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


def metric(gateway: Gateway, name: str) -> float:
    text = gateway.get("/metrics")[2]
    lines = [line for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


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


class TestRoutes:
    def test_ping(self, gateway: Gateway, cached: Process):
        status, _, answer = gateway.get("/cache/ping")
        assert status == 200 and answer["status"] == "healthy"
        assert answer["cache_type"] in ("local", "redis", "disk")

    def test_an_answer_is_deleted_by_its_key(self, gateway: Gateway, upstream: Upstream):
        ask(gateway)
        headers, _ = ask(gateway)
        status, _, answer = gateway.post("/cache/delete", {"keys": [headers[HIT], "nonsense"]})
        assert (status, answer) == (200, {"status": "success"})
        assert not is_hit(ask(gateway)[0])

    def test_flushall_forgets_everything(self, gateway: Gateway, upstream: Upstream):
        for text in ("one", "two"):
            ask(gateway, text=text)
            assert is_hit(ask(gateway, text=text)[0])
        gateway.post("/cache/flushall", {})
        for text in ("one", "two"):
            assert not is_hit(ask(gateway, text=text)[0])

    def test_flushall_leaves_others_keys(self, redis_server: RedisServer, start, provider_side: Upstream, upstream):
        with start(configuration(provider_side, type="redis", url=redis_server.url)) as gateway:
            redis_server.says("FLUSHALL")
            redis_server.says("SET", "not-ours", "1")
            ask(gateway)
            eventually(lambda: redis_server.count() > 1, "the storing")
            gateway.post("/cache/flushall", {})
            assert redis_server.says("GET", "not-ours") == "$1"
            redis_server.says("DEL", "not-ours")
            assert redis_server.count() == 0
            status, _, info = gateway.get("/cache/redis/info")
            assert status == 200 and info["num_clients"] == len(info["clients"]) > 0
            assert "redis_version" in info["info"]

    def test_wrong_bodies_and_missing_keys_are_refused(self, memory: Gateway):
        assert memory.post("/cache/delete", {"keys": "x"})[0] == 400
        assert memory.post("/cache/delete", {})[0] == 400
        assert memory.get("/cache/redis/info")[0] == 400
        for method, path in (("GET", "/cache/ping"), ("POST", "/cache/flushall"), ("POST", "/cache/delete")):
            assert memory.request(method, path, {} if method == "POST" else None, key=False)[0] == 401

    def test_without_a_cache_there_is_none(self, start, provider_side: Upstream):
        config = json.loads(configuration(provider_side))
        config["litellm_settings"] = {}
        with start(json.dumps(config)) as gateway:
            status, _, answer = gateway.get("/cache/ping")
            assert status == 503 and answer["error"]["type"] == "cache_ping_error"
            ask(gateway)
            assert not is_hit(ask(gateway)[0])


class TestEveryRedis:
    """One server, one behind a sentinel, a cluster, one with TLS and a password: each keeps answers and forgets them."""

    def works(self, gateway: Gateway) -> None:
        eventually(lambda: gateway.get("/cache/ping")[0] == 200, "the connection")
        ask(gateway)
        eventually(lambda: self.is_stored(gateway), "the storing")
        status, _, answer = gateway.post("/cache/flushall", {})
        assert status == 200, answer
        assert not is_hit(ask(gateway)[0])

    def is_stored(self, gateway: Gateway) -> bool:
        headers, _ = ask(gateway)
        return gateway.get(f"/trace/{headers['x-litellm-call-id']}")[2]["cache"]["state"] == "hit"

    def test_named_by_variables(self, start, provider_side: Upstream, upstream: Upstream, redis_server: RedisServer):
        variables = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(redis_server.port)}
        with start(configuration(provider_side, type="redis"), **variables) as gateway:
            self.works(gateway)

    def test_cluster(self, start, provider_side: Upstream, upstream: Upstream):
        # By itself it takes the port 10,000 above for the cluster's own talk, which may not exist.
        options = {"enabled": "yes", "announce-ip": "127.0.0.1", "port": str(free_port())}
        options = [word for name, value in options.items() for word in (f"--cluster-{name}", value)]
        with RedisServer(*options) as server:
            server.says("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
            eventually(lambda: server.says("SET", "x", "1") == "+OK", "the cluster")
            params = {"type": "redis", "redis_startup_nodes": [{"host": "127.0.0.1", "port": server.port}]}
            with start(configuration(provider_side, **params)) as gateway:
                self.works(gateway)
                texts = {"model": "to-embeddings", "input": [str(number) for number in range(50)]}
                gateway.post("/v1/embeddings", texts)
                eventually(lambda: is_hit(gateway.post("/v1/embeddings", texts)[1]), "the storing of many keys")

    def test_sentinel(self, start, provider_side: Upstream, upstream: Upstream, tmp_path, redis_server: RedisServer):
        settings = tmp_path / "sentinel.conf"
        settings.write_text(f"sentinel monitor main 127.0.0.1 {redis_server.port} 1\n")
        with RedisServer("--sentinel", file=settings) as sentinel:
            params = {"type": "redis", "service_name": "main", "sentinel_nodes": [["127.0.0.1", sentinel.port]]}
            with start(configuration(provider_side, **params)) as gateway:
                self.works(gateway)

    def test_tls_and_a_password(self, start, provider_side: Upstream, upstream: Upstream, tmp_path):
        authority = certificate(tmp_path)
        with RedisServer(password="of-redis", tls=tmp_path) as server:
            params = {"type": "redis", "host": "localhost", "port": server.tls_port, "ssl": True}
            params |= {"password": "of-redis", "ssl_ca_certs": str(authority)}
            with start(configuration(provider_side, **params)) as gateway:
                self.works(gateway)
            params |= {"ssl_ca_certs": None}
            with start(configuration(provider_side, **params)) as gateway:
                ask(gateway)
                assert gateway.get("/cache/ping")[0] == 503, "a certificate that nobody vouches for is not taken"


def certificate(folder: Path) -> Path:
    """A key and a certificate for `localhost` that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    until = now + datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, until)
    made = (
        builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(pem, *private))
    (folder / "certificate.pem").write_bytes(made.public_bytes(pem))
    return folder / "certificate.pem"


def hit(gateway: Gateway, text: str = "hello"):
    """The headers of a hit. A busy machine may need several tries: a lookup gets 50 ms."""
    return eventually(lambda: next(filter(is_hit, [ask(gateway, text=text)[0]]), None), "the use of the cache", 30)


class TestABucket:
    """S3: the simulated one takes only what is signed as AWS's documentation says."""

    @pytest.fixture
    def bucket(self) -> Iterator[S3Server]:
        with S3Server() as server:
            yield server

    def params(self, server: S3Server, secret: str = s3_server.SECRET) -> dict:
        return {
            "type": "s3",
            "s3_bucket_name": s3_server.BUCKET,
            "s3_endpoint_url": server.url,
            "s3_region_name": s3_server.REGION,
            "s3_path": "some path/of+ours",
            "s3_aws_access_key_id": s3_server.KEY_ID,
            "s3_aws_secret_access_key": secret,
        }

    def test_answers_are_objects(self, start, provider_side: Upstream, upstream: Upstream, bucket: S3Server):
        with start(configuration(provider_side, **self.params(bucket))) as gateway:
            _, first = ask(gateway)
            eventually(lambda: len(bucket.objects) == 1, "the storing")
            headers = hit(gateway)
            key = headers[HIT]
            [name] = bucket.objects
            assert name == f"some path/of+ours/tollway-cache/{key}"
            assert gateway.get("/cache/ping")[0] == 200
            assert gateway.post("/cache/delete", {"keys": [key]})[0] == 200
            assert not bucket.objects
            assert not is_hit(ask(gateway)[0])
            eventually(lambda: bucket.objects, "the storing")
        # What another process stored is found.
        with start(configuration(provider_side, **self.params(bucket))) as gateway:
            hit(gateway)
        assert not bucket.refused

    def test_flushall_leaves_others_objects(self, start, provider_side: Upstream, upstream, bucket: S3Server):
        bucket.objects = {"other": b"x", "some path/of+ours/tollway-cache/readme": b"x"}
        with start(configuration(provider_side, **self.params(bucket))) as gateway:
            for number in range(8):
                ask(gateway, text=f"question {number}")
            eventually(lambda: len(bucket.objects) == 10, "the storing")
            assert gateway.post("/cache/flushall", {})[0] == 200
            assert sorted(bucket.objects) == ["other", "some path/of+ours/tollway-cache/readme"]

    def test_a_wrong_key_is_said_and_breaks_nothing(self, start, provider_side: Upstream, upstream, bucket: S3Server):
        with start(configuration(provider_side, **self.params(bucket, secret="wrong"))) as gateway:
            assert not is_hit(ask(gateway)[0])
            status, _, answer = gateway.get("/cache/ping")
            assert status == 503 and "SignatureDoesNotMatch" in json.dumps(answer)
            assert not bucket.objects

    def test_a_slow_one_delays_nobody(self, start, provider_side: Upstream, upstream: Upstream, bucket: S3Server):
        bucket.pause = 1.0
        with start(configuration(provider_side, **self.params(bucket))) as gateway:
            took = []
            for number in range(12):
                began = time.monotonic()
                ask(gateway, text=f"question {number}")
                took.append(time.monotonic() - began)
            assert sorted(took)[len(took) // 2] < 0.1, took
            eventually(lambda: "the cache fails" in gateway.log, "the warning")


class TestBucketsWithTokens:
    """Google's and Azure's: the simulated ones take who has a token."""

    @pytest.fixture
    def cloud(self) -> Iterator[Cloud]:
        with Cloud() as running:
            yield running

    @pytest.fixture(params=["gcs", "azure-blob"])
    def kind(self, request: pytest.FixtureRequest) -> str:
        return request.param

    def folder(self, kind: str) -> str:
        """Where our answers are."""
        return "/answers/some path/tollway-cache/" if kind == "gcs" else "/azure/answers/tollway-cache/"

    @contextlib.contextmanager
    def gateway(self, start, upstream: Upstream, cloud: Cloud, kind: str, folder: Path) -> Iterator[Process]:
        if kind == "gcs":
            file = cloud.service_account_file(folder)
            params = {"gcs_bucket_name": "answers", "gcs_path": "some path/", "gcs_path_service_account": file}
            env = {"STORAGE_EMULATOR_HOST": cloud.host}
        else:
            params = {"azure_account_url": f"{cloud.url}/azure/", "azure_blob_container": "answers"}
            env = {"AZURE_AUTHORITY_HOST": cloud.url, "AZURE_TENANT_ID": TENANT}
            env |= {"AZURE_CLIENT_ID": CLIENT, "AZURE_CLIENT_SECRET": SECRET}
        with start(configuration(upstream, type=kind, **params), **env) as gateway:
            yield gateway

    def test_answers_are_objects(self, start, provider_side: Upstream, upstream, cloud: Cloud, kind: str, tmp_path: Path):
        with self.gateway(start, provider_side, cloud, kind, tmp_path) as gateway:
            # The first answers may come before there is a token.
            eventually(lambda: ask(gateway) and len(cloud.objects) == 1, "the storing", 30)
            headers = hit(gateway)
            key = headers[HIT]
            assert list(cloud.objects) == [f"{self.folder(kind)}{key}"]
            assert gateway.get("/cache/ping")[0] == 200
            assert gateway.post("/cache/delete", {"keys": [key]})[0] == 200
            assert not cloud.objects
            assert not is_hit(ask(gateway)[0])
            eventually(lambda: cloud.objects, "the storing")
        assert len(cloud.asked) == 1
        # What another process stored is found.
        with self.gateway(start, provider_side, cloud, kind, tmp_path) as gateway:
            hit(gateway)

    def test_flushall_leaves_others_objects(self, start, provider_side, upstream, cloud: Cloud, kind: str, tmp_path):
        others = {"/answers/other", "/azure/answers/other", f"{self.folder(kind)}readme"}
        cloud.objects = dict.fromkeys(others, b"x")
        with self.gateway(start, provider_side, cloud, kind, tmp_path) as gateway:
            # The first answers may come before there is a token.
            assert eventually(lambda: gateway.get("/cache/ping")[0] == 200, "the sign-in")
            for number in range(8):
                ask(gateway, text=f"question {number}")
            eventually(lambda: len(cloud.objects) == 11, "the storing")
            assert gateway.post("/cache/flushall", {})[0] == 200
            assert set(cloud.objects) == others

    def test_a_failed_sign_in_is_said_and_breaks_nothing(
        self, start, provider_side, upstream, cloud: Cloud, kind: str, tmp_path
    ):
        cloud.refusal = (401, "invalid_client")
        with self.gateway(start, provider_side, cloud, kind, tmp_path) as gateway:
            assert not is_hit(ask(gateway)[0])
            status, _, answer = gateway.get("/cache/ping")
            assert status == 503 and "invalid_client" in json.dumps(answer)
            assert not cloud.objects and SECRET not in gateway.log

    def test_a_slow_one_delays_nobody(self, start, provider_side, upstream, cloud: Cloud, kind: str, tmp_path):
        cloud.pause = 1.0
        with self.gateway(start, provider_side, cloud, kind, tmp_path) as gateway:
            took = []
            for number in range(12):
                began = time.monotonic()
                ask(gateway, text=f"question {number}")
                took.append(time.monotonic() - began)
            # Far less than the second that storage and token servers take, also on a busy machine.
            assert sorted(took)[len(took) // 2] < 0.3, took
            eventually(lambda: "the cache fails" in gateway.log, "the warning")


class TestABrokenRedis:
    @pytest.fixture
    def broken(self, start, provider_side: Upstream, upstream: Upstream) -> Iterator[tuple[Process, RedisServer]]:
        with RedisServer() as server:
            params = {"type": "redis", "host": "127.0.0.1", "port": server.port}
            with start(configuration(provider_side, **params)) as gateway:
                ask(gateway, text="warm")
                eventually(lambda: is_hit(ask(gateway, text="warm")[0]), "the storing")
                yield gateway, server

    def load(self, gateway: Gateway, seconds: float) -> list[float]:
        """Asks from several threads and tells how long each answer took; all of them must succeed."""
        deadline = time.monotonic() + seconds

        def asking(number: int) -> list[float]:
            took = []
            while time.monotonic() < deadline:
                began = time.monotonic()
                ask(gateway, text=f"load {number} {len(took)}")
                took.append(time.monotonic() - began)
            return took

        with ThreadPoolExecutor(4) as pool:
            return [duration for durations in pool.map(asking, range(4)) for duration in durations]

    def overheads(self, gateway: Gateway) -> list[float]:
        """What the gateway itself took, in ms, of the latest requests."""
        return [trace["time_ms"]["gateway"] for trace in gateway.get("/trace?limit=300")[2]["data"]]

    @pytest.mark.parametrize("how", ["freeze", "kill"])
    def test_it_neither_breaks_nor_delays_requests(self, broken, how: str):
        gateway, server = broken
        self.load(gateway, 0.5)
        getattr(server, how)()
        took = self.load(gateway, 2)
        assert len(took) > 40
        # 50 ms for the cache (a unit test measures that), not the 2 s after which Redis itself is given up; the rest is
        # for a busy machine.
        slow = [overhead for overhead in self.overheads(gateway) if overhead > 1000]
        assert not slow, slow
        # After some failures it is left alone, so that most requests do not wait at all.
        eventually(lambda: "the cache fails" in gateway.log, "the warning")
        assert gateway.log.count("the cache fails") == 1
        assert metric(gateway, "tollway_cache_store_failures_total") >= 5
        assert metric(gateway, "tollway_cache_store_skipped_total") > 0

    def test_it_is_used_again_when_it_is_back(self, broken):
        gateway, server = broken
        server.freeze()
        self.load(gateway, 1)
        server.thaw()
        eventually(lambda: is_hit(ask(gateway, text="warm")[0]), "the use of the cache", patience=30)
        eventually(lambda: "the cache works again" in gateway.log, "the note")

    def test_one_that_is_not_there_at_the_start_is_used_when_it_comes(self, start, provider_side, upstream):
        with RedisServer() as server:
            server.kill()
            params = {"type": "redis", "host": "127.0.0.1", "port": server.port}
            with start(configuration(provider_side, **params)) as gateway:
                ask(gateway, text="early")
                status, _, answer = gateway.get("/cache/ping")
                assert status == 503 and answer["error"]["type"] == "cache_ping_error"
                server.start()
                eventually(lambda: is_hit(ask(gateway, text="early")[0]), "the use of the cache", patience=30)
