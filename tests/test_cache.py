"""Answers given again, wherever they are kept: through every dialect, item by item, and forgotten when an operator says so."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import anthropic
import openai
import pytest
from google import genai

from caching import HIT, KEY, ask, body, configuration, is_hit
from caching import memory as memory
from deployments import GEMINI, Provider
from redis_server import RedisServer
from subject import Gateway, Process, eventually, started
from upstream import Upstream


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
