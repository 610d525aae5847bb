"""Endpoints beside conversations: embeddings, rerank, transcriptions. What they answer is made of what they are asked."""

from __future__ import annotations

import re

from aiohttp import web

PATH = re.compile(r"/v1/(?P<service>embeddings|rerank|audio/transcriptions)")


def answer(service: str, body: dict) -> web.Response:
    return web.json_response(ANSWERS[service](body))


def embeddings(body: dict) -> dict:
    is_list = isinstance(body["input"], list) and not isinstance(body["input"][0], int)
    inputs = body["input"] if is_list else [body["input"]]
    # Another model's vectors are longer.
    more = [0.0] * 62 if body["model"].endswith("large") else []
    data = [{"object": "embedding", "index": place, "embedding": vector(text) + more} for place, text in enumerate(inputs)]
    tokens = sum(len(str(text).split()) for text in inputs)
    # The order is not promised.
    return {
        "object": "list",
        "data": data[::-1],
        "model": body["model"],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def vector(text: object) -> list[float]:
    """Different for different texts, and alike for those of the same words."""
    words = [0.0] * 64
    for word in str(text).lower().split():
        words[sum(map(ord, word)) % len(words)] += 1.0
    return [*words, len(str(text)) / 1e4, sum(place * ord(letter) for place, letter in enumerate(str(text))) / 1e7]


def rerank(body: dict) -> dict:
    results = [{"index": place, "relevance_score": 1 / (place + 1)} for place in range(len(body["documents"]))]
    return {"id": "rerank-1", "results": results, "meta": {"billed_units": {"search_units": 1}}}


def transcription(_: dict) -> dict:
    return {"text": "what was said", "usage": {"type": "duration", "seconds": 3}}


ANSWERS = {"embeddings": embeddings, "rerank": rerank, "audio/transcriptions": transcription}
