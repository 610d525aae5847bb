"""OpenAI's sign-in and errors, for both of its dialects (https://platform.openai.com/docs/guides/error-codes)."""

from __future__ import annotations

from . import frames
from .refusal import Refusal

CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}


def sign_in(headers: dict, query: dict) -> str:
    return headers.get("authorization", "").removeprefix("Bearer ")


def type_of(refusal: Refusal) -> str:
    if refusal.status == 429:
        return "rate_limit_error"
    return "server_error" if refusal.status >= 500 else "invalid_request_error"


def error(refusal: Refusal) -> dict:
    code = refusal.code or CODES.get(refusal.status)
    message = refusal.message
    if refusal.about == "context_window":
        code = "context_length_exceeded"
        message = (
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 200000 tokens. "
            "Please reduce the length of the messages."
        )
    if refusal.about == "content_filter":
        code = "content_policy_violation"
        message = "Your request was rejected as a result of our safety system."
    return {"error": {"message": message, "type": type_of(refusal), "param": refusal.param, "code": code}}


def error_event(refusal: Refusal) -> bytes:
    return frames.data(error(refusal))
