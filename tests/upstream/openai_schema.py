"""What OpenAI demands of schemas and data URLs (https://platform.openai.com/docs/guides/structured-outputs)."""

from __future__ import annotations

import base64
import binascii

from .refusal import Refusal, need


def check_function(function: dict, spot: str) -> None:
    parameters = function.get("parameters")
    need(parameters is None or isinstance(parameters, dict), f"Invalid type for '{spot}.parameters'.", spot)
    if parameters:
        need(
            parameters.get("type") == "object",
            f"Invalid schema for function '{function['name']}': schema must be a JSON Schema of 'type: \"object\"', "
            f"got 'type: \"{parameters.get('type')}\"'.",
            f"{spot}.parameters",
            "invalid_function_parameters",
        )
    if function.get("strict"):
        check_strict(parameters or {}, f"{spot}.parameters", function["name"])


def check_strict(schema: dict, param: str, name: str, context: tuple = ()) -> None:
    """Strict schemas close every object and require every field."""
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" or "properties" in schema:
        need(
            schema.get("additionalProperties") is False,
            f"Invalid schema for '{name}': In context={context}, 'additionalProperties' is required to be supplied and "
            "to be false.",
            param,
        )
        missing = sorted(set(schema.get("properties", {})) - set(schema.get("required", [])))
        need(
            not missing,
            f"Invalid schema for '{name}': In context={context}, 'required' is required to be supplied and to be an "
            f"array including every key in properties. Missing '{missing[0] if missing else ''}'.",
            param,
        )
    for word in ("properties", "$defs"):
        for key, field in schema.get(word, {}).items():
            check_strict(field, param, name, (*context, word, key))
    if "items" in schema:
        check_strict(schema["items"], param, name, (*context, "items"))
    for option in schema.get("anyOf", []):
        check_strict(option, param, name, (*context, "anyOf"))


def media_type_of(url: object, spot: str) -> str:
    """The type that a data URL names; `url` for an address that would be fetched."""
    need(isinstance(url, str), f"Invalid type for '{spot}': expected a string.", spot, "invalid_type")
    if url.startswith(("http://", "https://")):
        return "url"
    need(url.startswith("data:") and ";base64," in url, f"Invalid '{spot}': expected a base64-encoded data URL.", spot)
    head, data = url[5:].split(";base64,", 1)
    try:
        base64.b64decode(data, validate=True)
    except binascii.Error:
        raise Refusal(400, f"Invalid '{spot}': the data is not base64.", spot, "invalid_value") from None
    return head
