"""Vectors of questions on a server, where all gateways find them: Redis, Valkey and Qdrant, and what a broken one costs."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

import qdrant_server
from caching import ALIKE, EMBEDDINGS, FIRST, OTHER, SCORE, ask, configuration, trace
from management import Management
from qdrant_server import QdrantServer
from redis_server import RedisServer
from search_server import SearchServer
from subject import Gateway, Process, eventually, started
from upstream import Upstream


def similar(gateway: Gateway, text: str):
    """Headers and answer of a question that was found similar, and is not kept itself. A busy machine may need several tries: a
    lookup gets 50 ms."""

    def found():
        told = ask(gateway, text=text, cache={"no-store": True})
        return told if SCORE in told[0] else None

    return eventually(found, "a hit", 30)


def seconds_of(gateway: Gateway, count: int) -> list[float]:
    """How long as many different questions take, none of which is known."""
    took = []
    for number in range(count):
        began = time.monotonic()
        headers, _ = ask(gateway, text=f"{FIRST} {number}")
        took.append(time.monotonic() - began)
        assert SCORE not in headers
    return sorted(took)


class TestSearchInRedis:
    """By the commands that Redis 8, Redis Stack and Valkey with valkey-search have."""

    @pytest.fixture(params=["redis", "valkey"])
    def server(self, request: pytest.FixtureRequest) -> Iterator[SearchServer]:
        with SearchServer(request.param) as running:
            yield running

    def config(self, upstream: Upstream, server: SearchServer | RedisServer, **more: object) -> str:
        kind = getattr(server, "kind", "redis")
        params = {"type": f"{kind}-semantic", "host": "127.0.0.1", "port": server.port, "similarity_threshold": 0.9}
        params |= {f"{kind}_semantic_cache_embedding_model": EMBEDDINGS}
        return configuration(upstream, **params | more)

    def test_what_one_learnt_the_other_knows(self, start, provider_side, upstream: Upstream, server, tmp_path):
        config = self.config(provider_side, server)
        with start(config) as one, started(tmp_path / "other", config) as other:
            first, answer = ask(one, text=FIRST)
            [name] = eventually(server.hashes, "the storing")
            [index] = server.indexes
            assert index == "tollway:similar:default:66"
            assert name.startswith(f"{index}:") and server.keys[name][1] < time.monotonic() + 86400
            headers, told = similar(other, ALIKE)
            assert told == answer
            assert 0.9 <= float(headers[SCORE]) <= 1.0001
            found = trace(other, headers)["cache"]["similar"]
            assert found["call_id"] == first["x-litellm-call-id"]
            assert abs(found["score"] - float(headers[SCORE])) < 1e-6
            for gateway in (one, other):
                assert gateway.get("/cache/ping")[2]["vectors"] == {"in": "redis"}

    def test_a_restart_loses_nothing(self, start, provider_side, upstream: Upstream, server):
        config = self.config(provider_side, server, **{f"{server.kind}_semantic_cache_index_name": "ours"})
        with start(config) as gateway:
            _, answer = ask(gateway, text=FIRST)
            eventually(server.hashes, "the storing")
        with start(config) as gateway:
            assert similar(gateway, ALIKE)[1] == answer
            ask(gateway, text=OTHER)
            eventually(lambda: len(server.hashes()) > 1, "the storing")
            assert list(server.indexes) == ["tollway:similar:ours:66"]

    def test_what_is_less_similar_is_not_given(self, start, provider_side, upstream: Upstream, server):
        with start(self.config(provider_side, server, similarity_threshold=0.97)) as gateway:
            ask(gateway, text=FIRST)
            eventually(server.hashes, "the storing")
            similar(gateway, ALIKE)
            assert SCORE not in ask(gateway, text=f"{FIRST} and of Spain and of Italy")[0]
            searched = [words for words in server.asked if words[0] == b"FT.SEARCH"]
            assert len(searched) >= 2, "it was looked for"

    def test_tenants_and_contexts_are_apart(self, start, provider_side, upstream: Upstream, server):
        with start(self.config(provider_side, server)) as gateway:
            admin = Management(gateway)
            one, other = (Gateway(gateway.url, admin.key_of()) for _ in range(2))
            ask(one, text=FIRST)
            eventually(server.hashes, "the storing")
            similar(one, ALIKE)
            assert SCORE not in ask(other, text=ALIKE)[0]
            assert SCORE not in ask(one, text=ALIKE, temperature=0.1)[0]
            assert SCORE not in ask(one, text=ALIKE, cache={"namespace": "elsewhere"})[0]
            eventually(lambda: len({fields["scope"] for fields in server.hashes().values()}) == 4, "the storing")

    def test_nobody_waits_for_a_vector_where_there_is_nothing_to_compare(self, start, provider_side, upstream, server):
        upstream.breaks(EMBEDDINGS, "hang")
        with start(self.config(provider_side, server)) as gateway:
            # The later turns of conversations are contexts of their own.
            for number in range(4):
                turns = [{"role": "user", "content": f"turn {number}"}, {"role": "assistant", "content": "well"}]
                sent = {"model": "to-openai", "messages": [*turns, {"role": "user", "content": FIRST}]}
                began = time.monotonic()
                assert gateway.post("/v1/chat/completions", sent)[0] == 200
                assert time.monotonic() - began < 0.9
        assert not [words for words in server.asked if words[0] == b"FT.SEARCH"]

    def test_vectors_end_with_their_answers(self, start, provider_side, upstream: Upstream, server):
        with start(self.config(provider_side, server)) as gateway:
            ask(gateway, text=FIRST, cache={"ttl": 1})
            eventually(server.hashes, "the storing")
            eventually(lambda: not server.hashes(), "their end")
            assert SCORE not in ask(gateway, text=ALIKE)[0]

    def test_a_deleted_answer_is_not_found_by_its_likes(self, start, provider_side, upstream: Upstream, server):
        with start(self.config(provider_side, server)) as gateway:
            ask(gateway, text=FIRST)
            eventually(server.hashes, "the storing")
            [key] = [fields["key"].decode() for fields in server.hashes().values()]
            assert gateway.post("/cache/delete", {"keys": [key]})[0] == 200
            assert SCORE not in ask(gateway, text=ALIKE)[0]

    def test_models_with_vectors_of_other_lengths(self, start, provider_side, upstream: Upstream, server, tmp_path):
        large = {f"{server.kind}_semantic_cache_embedding_model": "to-large-embeddings"}
        with start(self.config(provider_side, server)) as one:
            ask(one, text=FIRST)
            eventually(server.hashes, "the storing")
            with started(tmp_path / "other", self.config(provider_side, server, **large)) as other:
                # What is known word for word is known to both; its vector is of the other model.
                ask(other, text=ALIKE)
                eventually(lambda: len(server.indexes) == 2, "the other index")
                eventually(lambda: len(server.hashes()) == 2, "the storing")
                similar(other, ALIKE + " please")
            similar(one, FIRST + " please")
        assert set(server.indexes) == {"tollway:similar:default:66", "tollway:similar:default:128"}

    def test_flushall_leaves_others_keys(self, start, provider_side, upstream: Upstream, server):
        with start(self.config(provider_side, server)) as gateway:
            ask(gateway, text=FIRST)
            eventually(server.hashes, "the storing")
            server.keys["litellm:of-others"] = ({"text": b"x"}, float("inf"))
            assert gateway.post("/cache/flushall", {})[0] == 200
            assert list(server.keys) == ["litellm:of-others"]
            assert SCORE not in ask(gateway, text=ALIKE)[0]

    def test_a_server_that_has_forgotten_everything_learns_anew(self, start, provider_side, upstream: Upstream, server):
        with start(self.config(provider_side, server)) as gateway:
            ask(gateway, text=FIRST)
            eventually(server.hashes, "the storing")
            server.flush()
            assert SCORE not in ask(gateway, text=ALIKE)[0]
            similar(gateway, FIRST)
            assert server.indexes
            assert "the cache fails" not in gateway.log, "that is no failure"

    def test_slow_searches_delay_nobody(self, start, provider_side, upstream: Upstream, server):
        with start(self.config(provider_side, server)) as gateway:
            # Where nothing is known of a context nothing is searched.
            ask(gateway, text=FIRST)
            eventually(server.hashes, "the storing")
            server.pause = 2.0
            took = seconds_of(gateway, 12)
            assert took[6] < 0.3 and took[-1] < 1, took
            # After five failures they are left alone, although all else succeeds.
            assert len([words for words in server.asked if words[0] == b"FT.SEARCH"]) <= 6
            eventually(lambda: "the cache fails" in gateway.log, "the warning")
            assert '"redis search"' in gateway.log
            # What is known word for word is not slow.
            ask(gateway, text=OTHER)
            eventually(lambda: "x-litellm-cache-key" in ask(gateway, text=OTHER)[0], "a hit")

    def test_a_frozen_one_delays_nobody_and_is_used_again(self, start, provider_side, upstream: Upstream, server):
        with start(self.config(provider_side, server)) as gateway:
            ask(gateway, text=FIRST)
            eventually(server.hashes, "the storing")
            server.freeze()
            took = seconds_of(gateway, 12)
            assert took[6] < 0.3 and took[-1] < 1, took
            server.thaw()
            similar(gateway, ALIKE)

    def test_who_may_not_search_looks_in_memory(self, start, provider_side, upstream: Upstream, server):
        server.denied.add("FT.CREATE")
        with start(self.config(provider_side, server)) as gateway:
            _, answer = ask(gateway, text=FIRST)
            assert similar(gateway, ALIKE)[1] == answer
            assert "+@search" in gateway.get("/cache/ping")[2]["vectors"]["why"]

    def test_a_server_without_search_does_as_before(self, start, provider_side, upstream: Upstream, redis_server, tmp_path):
        config = self.config(provider_side, redis_server)
        with start(config) as one, started(tmp_path / "other", config) as other:
            _, answer = ask(one, text=FIRST)
            assert similar(one, ALIKE)[1] == answer
            # The other finds only what it was asked itself.
            assert SCORE not in ask(other, text=f"{ALIKE} now")[0]
            for gateway in (one, other):
                where = gateway.get("/cache/ping")[2]["vectors"]
                assert where["in"] == "memory" and "FT.SEARCH" in where["why"]
                assert gateway.log.count("cannot search vectors") == 1
                assert "the cache fails" not in gateway.log


class TestQdrant:
    """Vectors and answers that several gateways share."""

    @pytest.fixture
    def server(self) -> Iterator[QdrantServer]:
        with QdrantServer() as running:
            yield running

    def config(self, upstream: Upstream, server: QdrantServer, key: str = qdrant_server.KEY) -> str:
        more = {"type": "qdrant-semantic", "similarity_threshold": 0.9, "qdrant_api_base": server.url}
        more |= {"qdrant_api_key": key, "qdrant_collection_name": "of us", "qdrant_quantization_config": "scalar"}
        return configuration(upstream, **more, qdrant_semantic_cache_embedding_model=EMBEDDINGS)

    def test_what_one_learnt_the_other_knows(self, start, provider_side, upstream: Upstream, server, tmp_path):
        config = self.config(provider_side, server)
        with start(config) as one, started(tmp_path / "other", config) as other:
            first, answer = ask(one, text=FIRST)
            eventually(server.points, "the storing")
            assert server.collections["of us"]["fields"] == {"context": "keyword", "expires_ms": "integer"}
            assert server.collections["of us"]["smaller"]["scalar"]["type"] == "int8"
            assert one.get("/cache/ping")[2]["vectors"] == {"in": "qdrant"}
            headers, told = similar(other, ALIKE)
            assert told == answer
            assert 0.9 <= float(headers[SCORE]) <= 1.0001
            assert trace(other, headers)["cache"]["similar"]["call_id"] == first["x-litellm-call-id"]
            # Another context.
            assert SCORE not in ask(other, text=ALIKE, temperature=0.1)[0]

    def test_flushall_leaves_others_points(self, start, provider_side, upstream: Upstream, server):
        with start(self.config(provider_side, server)) as gateway:
            ask(gateway, text=FIRST)
            eventually(server.points, "the storing")
            points = server.collections["of us"]["points"]
            points["foreign"] = next(iter(points.values())) | {"id": "foreign", "payload": {"text": "of LiteLLM"}}
            assert gateway.post("/cache/flushall", {})[0] == 200
            assert [point["id"] for point in server.points()] == ["foreign"]
            assert SCORE not in ask(gateway, text=ALIKE)[0]

    @pytest.mark.parametrize("how", ["slow", "wrong key", "gone"])
    def test_a_broken_one_neither_breaks_nor_delays(self, start, provider_side, upstream: Upstream, server, how: str):
        key = "wrong" if how == "wrong key" else qdrant_server.KEY
        server.pause = 2.0 if how == "slow" else 0.0
        with start(self.config(provider_side, server, key)) as gateway:
            if how == "gone":
                server.server.server_close()
            took = seconds_of(gateway, 8)
            assert took[4] < 0.3, took
