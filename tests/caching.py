"""Gateways with a cache, what they are asked, and whether an answer came from it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import deployments
from subject import Gateway, Process, eventually, started
from upstream import Upstream

HIT = "x-litellm-cache-key"
KEY = deployments.MASTER_KEY

#: How similar a question is to the one whose answer it got.
SCORE = "x-litellm-semantic-similarity"
EMBEDDINGS = "to-embeddings"
FIRST = "please tell me what the capital of France is"
#: The same words in another order.
ALIKE = "tell me please what is the capital of France"
OTHER = "how many legs does a spider have"


def configuration(upstream: Upstream, **cache_params: object) -> str:
    base = f"{upstream.url}/to-embeddings/v1"
    entries = deployments.model_list(upstream.url, "http://127.0.0.1:9")
    entries.append(deployments.entry("to-embeddings", "openai/text-embedding-3-small", base))
    entries.append(deployments.entry("to-large-embeddings", "openai/text-embedding-3-large", base))
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


def hit(gateway: Gateway, text: str = "hello"):
    """The headers of a hit. A busy machine may need several tries: a lookup gets 50 ms."""
    return eventually(lambda: next(filter(is_hit, [ask(gateway, text=text)[0]]), None), "the use of the cache", 30)


def metric(gateway: Gateway, name: str) -> float:
    text = gateway.get("/metrics")[2]
    lines = [line for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def trace(gateway: Gateway, headers) -> dict:
    path = f"/trace/{headers['x-litellm-call-id']}"
    eventually(lambda: gateway.get(path)[0] == 200, "the trace")
    return gateway.get(path)[2]
