"""Similar questions, answered alike: what is similar, what is never compared, and what a broken embedding model costs."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from caching import ALIKE, EMBEDDINGS, FIRST, OTHER, SCORE, ask, configuration, trace
from clients import CLIENTS, Client
from redis_server import RedisServer
from subject import Process, eventually, run, started
from upstream import Upstream

def params(**more: object) -> dict:
    return {"type": "semantic", "similarity_threshold": 0.9, "embedding_model": EMBEDDINGS} | more


@pytest.fixture(scope="module", params=["semantic", "redis-semantic"])
def running(request: pytest.FixtureRequest, provider_side: Upstream, tmp_path_factory) -> Iterator[Process]:
    more = {"type": request.param}
    if request.param == "redis-semantic":
        server: RedisServer = request.getfixturevalue("redis_server")
        more |= {"host": "127.0.0.1", "port": server.port, "redis_semantic_cache_embedding_model": EMBEDDINGS}
    with started(tmp_path_factory.mktemp("semantic"), configuration(provider_side, **params(**more))) as process:
        yield process


@pytest.fixture
def gateway(running: Process, upstream: Upstream) -> Process:
    assert running.post("/cache/flushall", {})[0] == 200
    return running


def learn(gateway: Process, upstream: Upstream, call) -> object:
    """Asks for the first time, and waits until the question has become a vector."""
    before = len(upstream.seen(EMBEDDINGS))
    answer = call()
    eventually(lambda: len(upstream.seen(EMBEDDINGS)) > before, "the vector")
    # It is kept when the embedding model's answer has been read, a moment later.
    last = upstream.seen(EMBEDDINGS)[-1]
    eventually(last.over.is_set, "the vector")
    time.sleep(0.1)
    return answer


class TestWhatIsSimilar:
    def test_the_same_in_other_words(self, gateway: Process, upstream: Upstream):
        first, answer = learn(gateway, upstream, lambda: ask(gateway, text=FIRST))
        assert SCORE not in first
        headers, similar = ask(gateway, text=ALIKE)
        assert similar == answer
        assert 0.9 <= float(headers[SCORE]) <= 1.0001
        assert len(upstream.seen("to-openai")) == 1
        found = trace(gateway, headers)["cache"]
        assert found["state"] == "similar"
        assert found["similar"]["call_id"] == first["x-litellm-call-id"]
        assert abs(found["similar"]["score"] - float(headers[SCORE])) < 1e-6
        assert found["saved"]["tokens"] > 0
        told = run("explain", headers["x-litellm-call-id"], TOLLWAY_URL=gateway.url, TOLLWAY_API_KEY=gateway.key)
        assert f"like the question of {first['x-litellm-call-id']}" in told.stdout, told

    def test_something_else_is_not(self, gateway: Process, upstream: Upstream):
        learn(gateway, upstream, lambda: ask(gateway, text=FIRST))
        headers, _ = ask(gateway, text=OTHER)
        assert SCORE not in headers
        assert len(upstream.seen("to-openai")) == 2

    def test_the_same_words_need_no_vector(self, gateway: Process, upstream: Upstream):
        learn(gateway, upstream, lambda: ask(gateway, text=FIRST))
        headers, _ = ask(gateway, text=FIRST)
        assert SCORE not in headers and "x-litellm-cache-key" in headers
        assert len(upstream.seen(EMBEDDINGS)) == 1

    @pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    def test_every_dialect(self, gateway: Process, upstream: Upstream, client: Client, stream: bool):
        told = learn(gateway, upstream, lambda: client.ask(gateway, "to-openai", FIRST, stream))
        again = client.ask(gateway, "to-openai", ALIKE, stream)
        assert SCORE in again.headers
        assert (again.text, again.complete) == (told.text, told.complete)
        assert len(upstream.seen("to-openai")) == 1


class TestWhatIsNeverCompared:
    @pytest.mark.parametrize(
        "more",
        [
            {"temperature": 0.5},
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]},
            {"stream": True},
            {"cache": {"namespace": "other"}},
        ],
        ids=lambda more: next(iter(more)),
    )
    def test_whatever_else_is_different(self, gateway: Process, upstream: Upstream, more: dict):
        learn(gateway, upstream, lambda: ask(gateway, text=FIRST))
        headers, _ = ask(gateway, text=ALIKE, **more)
        assert SCORE not in headers
        assert len(upstream.seen("to-openai")) == 2

    def test_what_was_said_before(self, gateway: Process, upstream: Upstream):
        def conversation(before: str, last: str) -> dict:
            turns = [{"role": "user", "content": before}, {"role": "assistant", "content": "well"}]
            return {"model": "to-openai", "messages": [*turns, {"role": "user", "content": last}]}

        def say(before: str, last: str):
            status, headers, answer = gateway.post("/v1/chat/completions", conversation(before, last))
            assert status == 200, answer
            return headers

        learn(gateway, upstream, lambda: say("one thing", FIRST))
        assert SCORE not in say("another thing", ALIKE)
        assert SCORE in say("one thing", ALIKE)

    def test_what_is_not_only_words(self, gateway: Process, upstream: Upstream):
        picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
        for text in (FIRST, ALIKE):
            said = [{"type": "text", "text": text}, picture]
            sent = {"model": "to-openai", "messages": [{"role": "user", "content": said}]}
            status, headers, answer = gateway.post("/v1/chat/completions", sent)
            assert status == 200 and SCORE not in headers, answer
        assert not upstream.seen(EMBEDDINGS)

    def test_end_users_where_they_are_apart(self, start, provider_side: Upstream, upstream: Upstream):
        config = configuration(provider_side, **params(semantic_cache_scope="end_user"))
        with start(config) as gateway:
            learn(gateway, upstream, lambda: ask(gateway, text=FIRST, user="ann"))
            assert SCORE not in ask(gateway, text=ALIKE, user="bob")[0]
            assert SCORE in ask(gateway, text="what is the capital of France please tell me", user="ann")[0]

    def test_answers_that_are_too_old(self, gateway: Process, upstream: Upstream):
        learn(gateway, upstream, lambda: ask(gateway, text=FIRST, cache={"ttl": 1}))
        time.sleep(1.1)
        assert SCORE not in ask(gateway, text=ALIKE)[0]

    def test_what_was_not_to_be_stored(self, gateway: Process, upstream: Upstream):
        ask(gateway, text=FIRST, cache={"no-store": True})
        assert SCORE not in ask(gateway, text=ALIKE)[0]


class TestABrokenEmbeddingModel:
    @pytest.mark.parametrize("fault", ["500", "hang", "refused"])
    def test_it_neither_breaks_nor_delays_requests(self, start, provider_side: Upstream, upstream: Upstream, fault: str):
        more = {"semantic_cache_embedding_timeout": 0.3}
        with start(configuration(provider_side, **params(**more))) as gateway:
            learn(gateway, upstream, lambda: ask(gateway, text=FIRST))
            upstream.breaks(EMBEDDINGS, "reset" if fault == "refused" else fault)
            took = []
            for number in range(12):
                began = time.monotonic()
                headers, _ = ask(gateway, text=f"{ALIKE} {number}")
                took.append(time.monotonic() - began)
                assert SCORE not in headers
            assert max(took) < 0.3 + 0.4, took
            # After five failures it is left alone.
            assert sorted(took)[len(took) // 2] < 0.2, took
            assert len(upstream.seen("to-openai")) == 13

    def test_one_that_is_not_there_is_no_harm(self, start, provider_side: Upstream, upstream: Upstream):
        with start(configuration(provider_side, **params(embedding_model="nobody"))) as gateway:
            for text in (FIRST, ALIKE):
                assert SCORE not in ask(gateway, text=text)[0]


def test_the_vectors_are_booked_as_the_gateways_own(gateway: Process, upstream: Upstream):
    learn(gateway, upstream, lambda: ask(gateway, text=FIRST))
    ids = [entry["id"] for entry in gateway.get("/trace?limit=3")[2]["data"]]
    identities = [gateway.get(f"/trace/{name}")[2]["caller"]["identity"] for name in ids]
    assert "tollway-semantic-cache" in identities
