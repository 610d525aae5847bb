"""How a provider says no, before its dialect words it."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass
class Refusal(Exception):
    status: int
    message: str
    param: str | None = None
    code: str | None = None
    #: what else the dialect needs to know: "context_window" or "content_filter"
    about: str | None = None


def need(condition: object, message: str, param: str | None = None, code: str | None = None) -> None:
    """A 400 unless `condition` holds."""
    if not condition:
        raise Refusal(400, message, param, code)


def without_nulls(value: dict) -> dict:
    """The fields that say something: all four vendors take null for absent."""
    return {name: item for name, item in value.items() if item is not None}


TOOL_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
