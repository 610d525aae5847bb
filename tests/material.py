"""What the tests ask about: the same tools, pictures and schemas in every dialect."""

from __future__ import annotations

import base64
import struct
import zlib

from pydantic import BaseModel

QUESTION = "How is the weather in Köln? 🌦"
#: What the simulated model answers to it.
ANSWER = f'You said: "{QUESTION}".'

WEATHER_SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "The city's name"},
        "days": {"type": "integer"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
#: What the simulated model calls the weather tool with.
WEATHER_ARGUMENTS = {"city": "Paris", "days": 7, "unit": "celsius"}
TIME_SCHEMA = {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}

#: A schema with all that Pydantic writes and some providers refuse: references, unions with null, titles, limits.
DEEP_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Order",
    "type": "object",
    "$defs": {
        "Item": {
            "title": "Item",
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 1},
                "price": {"type": "number", "exclusiveMinimum": 0},
            },
            "required": ["name", "price"],
            "additionalProperties": False,
        }
    },
    "properties": {
        "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}, "uniqueItems": True},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "priority": {"type": "integer", "enum": [1, 2, 3]},
        "when": {"type": "string", "format": "date"},
    },
    "required": ["items"],
    "additionalProperties": False,
}


class Weather(BaseModel):
    """An answer that is asked for as JSON."""

    city: str
    degrees: float
    raining: bool


def png() -> bytes:
    """A red pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\x00\xff\x00\x00")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


PICTURE = base64.b64encode(png()).decode()
PDF_BYTES = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
PDF = base64.b64encode(PDF_BYTES).decode()
