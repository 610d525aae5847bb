"""Server-sent events."""

from __future__ import annotations

import json


def data(value: dict) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def event(value: dict) -> bytes:
    """An event that is named for its type."""
    return b"event: " + value["type"].encode() + b"\n" + data(value)
