"""Whatever a client sends, the answer is a 4xx that names what is wrong in the client's own dialect, and the gateway
lives on, small."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors as gemini_errors

import raw
from deployments import PROVIDERS, Provider
from subject import Gateway, Process
from upstream import Upstream

MIB = 1024 * 1024


@dataclass(frozen=True)
class Endpoint:
    """A client's dialect, with a body that is right."""

    name: str
    path: str
    good: dict

    def right(self, model: str) -> tuple[str, dict]:
        body = dict(self.good)
        if self.name != "gemini":
            body["model"] = model
        return self.path.format(model=model), body


USER = [{"role": "user", "content": "hi"}]
CHAT = Endpoint("chat", "/v1/chat/completions", {"messages": USER})
RESPONSES = Endpoint("responses", "/v1/responses", {"input": "hi"})
MESSAGES = Endpoint("messages", "/v1/messages", {"max_tokens": 100, "messages": USER})
GEMINI = Endpoint(
    "gemini", "/v1beta/models/{model}:generateContent", {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
)
ENDPOINTS = [CHAT, RESPONSES, MESSAGES, GEMINI]


@pytest.fixture(params=ENDPOINTS, ids=lambda endpoint: endpoint.name)
def endpoint(request: pytest.FixtureRequest) -> Endpoint:
    return request.param


@pytest.fixture(autouse=True)
def lives_on(gateway: Gateway) -> Iterator[None]:
    yield
    assert gateway.is_alive()


def complaint(endpoint: Endpoint, answer: object) -> str:
    """The message of an error in the endpoint's own dialect."""
    assert isinstance(answer, dict), answer
    error = answer["error"]
    if endpoint is MESSAGES:
        assert answer["type"] == "error"
        assert error["type"].endswith("_error") or error["type"] == "request_too_large"
    elif endpoint is GEMINI:
        assert isinstance(error["code"], int)
        assert error["status"].isupper()
    else:
        assert set(error) >= {"message", "type", "param", "code"}
    assert error["message"]
    return json.dumps(error)


def test_what_is_right_is_answered(gateway: Gateway, endpoint: Endpoint, provider: Provider):
    path, body = endpoint.right(provider.deployment)
    assert gateway.post(path, body)[0] == 200


#: A change of a right body, and the field that the error must name.
WRONG = [
    (CHAT, {"messages": None}, "messages"),
    (CHAT, {"messages": "hi"}, "messages"),
    (CHAT, {"messages": {"role": "user"}}, "messages"),
    (CHAT, {"messages": ["hi"]}, "messages[0]"),
    (CHAT, {"messages": [{"content": "hi"}]}, "role"),
    (CHAT, {"messages": [{"role": 7, "content": "hi"}]}, "role"),
    (CHAT, {"messages": [{"role": "user", "content": 7}]}, "content"),
    (CHAT, {"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "text"),
    (CHAT, {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}, "type"),
    (CHAT, {"temperature": "warm"}, "temperature"),
    (CHAT, {"max_tokens": "many"}, "max_tokens"),
    (CHAT, {"max_tokens": -1}, "max_tokens"),
    (CHAT, {"max_tokens": 1.5}, "max_tokens"),
    (CHAT, {"stream": "yes"}, "stream"),
    (CHAT, {"stream_options": 5, "stream": True}, "stream_options"),
    (CHAT, {"tools": "all"}, "tools"),
    (CHAT, {"tools": [{"type": "function"}]}, "function"),
    (CHAT, {"tools": [{"type": "function", "function": {}}]}, "name"),
    (CHAT, {"tool_choice": 3}, "tool_choice"),
    (CHAT, {"response_format": {"type": "json_schema"}}, "json_schema"),
    (CHAT, {"response_format": "json"}, "response_format"),
    (CHAT, {"stop": 5}, "stop"),
    (CHAT, {"n": "two"}, "n"),
    (CHAT, {"model": None}, "model"),
    (CHAT, {"model": 5}, "model"),
    (CHAT, {"model": ""}, "model"),
    (RESPONSES, {"input": None}, "input"),
    (RESPONSES, {"input": 5}, "input"),
    (RESPONSES, {"input": [5]}, "input[0]"),
    (RESPONSES, {"input": [{"type": "function_call_output"}]}, "call_id"),
    (RESPONSES, {"max_output_tokens": "many"}, "max_output_tokens"),
    (RESPONSES, {"tools": {}}, "tools"),
    (RESPONSES, {"reasoning": "hard"}, "reasoning"),
    (RESPONSES, {"text": {"format": {"type": "json_schema"}}}, "format"),
    (RESPONSES, {"model": ["a"]}, "model"),
    (MESSAGES, {"max_tokens": None}, "max_tokens"),
    (MESSAGES, {"max_tokens": "many"}, "max_tokens"),
    (MESSAGES, {"messages": None}, "messages"),
    (MESSAGES, {"messages": "hi"}, "messages"),
    (MESSAGES, {"messages": [{"role": "user"}]}, "content"),
    (MESSAGES, {"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "source"),
    (MESSAGES, {"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "tool_use_id"),
    (MESSAGES, {"tools": [{"name": "a"}]}, "input_schema"),
    (MESSAGES, {"thinking": {"type": "enabled"}}, "budget_tokens"),
    (MESSAGES, {"thinking": True}, "thinking"),
    (MESSAGES, {"stop_sequences": "a"}, "stop_sequences"),
    (MESSAGES, {"system": 5}, "system"),
    (GEMINI, {"contents": None}, "contents"),
    (GEMINI, {"contents": 5}, "contents"),
    (GEMINI, {"contents": [{"parts": [5]}]}, "parts"),
    (GEMINI, {"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png"}}]}]}, "data"),
    (GEMINI, {"generationConfig": 5}, "generationConfig"),
    (GEMINI, {"generationConfig": {"temperature": "warm"}}, "temperature"),
    (GEMINI, {"tools": [{"functionDeclarations": [{}]}]}, "name"),
]


@pytest.mark.parametrize(
    ("endpoint", "change", "field"), WRONG, ids=[f"{e.name}-{json.dumps(c)[:60]}" for e, c, _ in WRONG]
)
def test_a_wrong_field_is_named(gateway: Gateway, provider: Provider, endpoint: Endpoint, change: dict, field: str):
    path, body = endpoint.right(provider.deployment)
    body = {name: value for name, value in (body | change).items() if value is not None}
    status, _, answer = gateway.post(path, body)
    assert 400 <= status < 500, answer
    assert field in complaint(endpoint, answer)


BODIES = {
    "nothing": b"",
    "no JSON": b"hello",
    "half of JSON": b'{"model": "x", "messages": [',
    "an array": b"[]",
    "a string": b'"hi"',
    "null": b"null",
    "more than one value": b"{} {}",
    "a trailing comma": b'{"model": "x",}',
    "a control character": b'{"model": "a\x00b"}',
    "UTF-16": '{"model": "x"}'.encode("utf-16"),
    "invalid UTF-8": b'{"model": "\xff\xfe", "messages": []}',
    "half of a surrogate pair": b'{"model": "\\ud800", "messages": []}',
    "NaN": b'{"model": "x", "temperature": NaN}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_body_that_is_not_a_json_object_is_refused(gateway: Gateway, endpoint: Endpoint, body: bytes):
    path, _ = endpoint.right(PROVIDERS[0].deployment)
    status, _, answer = gateway.post(path, body)
    assert 400 <= status < 500, answer
    complaint(endpoint, answer)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'], ids=["arrays", "objects"])
def test_a_hundred_thousand_levels_of_nesting_are_refused(gateway: Gateway, endpoint: Endpoint, opening: bytes):
    path, good = endpoint.right(PROVIDERS[0].deployment)
    text = json.dumps(good).encode()
    deep = opening * 100_000 + b"1" + (b"]" if opening == b"[" else b"}") * 100_000
    for body in (deep, text[:-1] + b', "metadata": ' + deep + b"}"):
        status, _, answer = gateway.post(path, body)
        assert 400 <= status < 500
        complaint(endpoint, answer)


HUGE = ["1e999", "-1e999", "9" * 400, "1" + "0" * 40, "18446744073709551616", "1e-400"]


@pytest.mark.parametrize("number", HUGE, ids=lambda number: f"{number[:12]}({len(number)})")
def test_huge_numbers_are_refused_or_passed_on_but_break_nothing(gateway: Gateway, provider: Provider, number: str):
    for endpoint, field in ((CHAT, "max_tokens"), (CHAT, "temperature"), (CHAT, "seed"), (MESSAGES, "max_tokens")):
        path, good = endpoint.right(provider.deployment)
        good.pop(field, None)
        body = json.dumps(good)[:-1] + f', "{field}": {number}}}'
        status, _, answer = gateway.post(path, body.encode())
        assert status == 200 or 400 <= status < 500, (field, answer)


def test_of_duplicate_keys_gateway_and_provider_see_the_same(gateway: Gateway, provider: Provider, upstream: Upstream):
    """Else a caller could show the gateway one model and the provider another."""
    body = json.dumps({"model": "no-such-model", "messages": USER})[:-1] + f', "model": "{provider.deployment}"}}'
    status, _, answer = gateway.post("/v1/chat/completions", body.encode())
    if status == 200:
        [seen] = upstream.seen(provider.deployment)
        assert seen.body.get("model", "") != "no-such-model"
    else:
        assert 400 <= status < 500
        assert "model" in complaint(CHAT, answer)
        assert upstream.seen(provider.deployment) == []


NAMES = ["a\r\nx-injected: yes", "a\nb", "ключ", "🌦", "a" * 10_000, "../../etc/passwd", "%00", "a/b?c=d#e", "<script>"]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name[:20]))
def test_a_strange_model_name_injects_nothing(gateway: Gateway, name: str):
    answer = raw_post(gateway, "/v1/chat/completions", json.dumps({"model": name, "messages": USER}).encode())
    assert 400 <= answer.status < 500
    assert "x-injected" not in answer.head.lower()
    assert json.loads(answer.body)["error"]["message"]


def test_a_strange_call_id_injects_nothing(gateway: Gateway):
    for call_id in ("a" * 300, "späß", "a b"):
        body = json.dumps({"model": PROVIDERS[0].deployment, "messages": USER}).encode()
        lines = ["connection: close", f"content-length: {len(body)}", f"x-litellm-call-id: {call_id}"]
        answer = raw.send(gateway.url, [raw.head("/v1/chat/completions", gateway.key, *lines) + body])
        assert answer.status in (200, 400)


def raw_post(gateway: Gateway, path: str, body: bytes) -> raw.Answer:
    lines = ["connection: close", f"content-length: {len(body)}"]
    return raw.send(gateway.url, [raw.head(path, gateway.key, *lines) + body])


BAD_HTTP = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no host": b"POST /v1/chat/completions HTTP/1.1\r\n\r\n",
    "two lengths": b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    "length and chunks": b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length that is no number": b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: two\r\n\r\n{}",
    "a chunk that is no chunk": b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
    "a megabyte of head": b"GET / HTTP/1.1\r\nhost: a\r\nx-big: " + b"a" * MIB + b"\r\n\r\n",
    "ten thousand headers": b"GET / HTTP/1.1\r\nhost: a\r\n"
    + b"".join(b"x-%d: a\r\n" % n for n in range(10_000))
    + b"\r\n",
}


@pytest.mark.parametrize("request_bytes", BAD_HTTP.values(), ids=BAD_HTTP.keys())
def test_bad_http_is_refused(gateway: Gateway, request_bytes: bytes):
    answer = raw.send(gateway.url, [request_bytes], timeout=5)
    assert answer.status == 0 or 400 <= answer.status < 500


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
def test_a_body_of_200_mb_is_refused_without_being_held(process: Process, endpoint: Endpoint, announced: bool):
    path, _ = endpoint.right(PROVIDERS[0].deployment)
    process.forget_memory_peak()
    before = process.memory()
    block = b"x" * MIB
    if announced:
        head = raw.head(path, process.key, f"content-length: {200 * MIB}")
        pieces = [head, *[block] * 200]
    else:
        head = raw.head(path, process.key, "transfer-encoding: chunked")
        pieces = [head, *[b"%x\r\n%s\r\n" % (MIB, block)] * 200, b"0\r\n\r\n"]
    answer = raw.send(process.url, pieces)
    assert answer.status == 413
    complaint(endpoint, json.loads(answer.body))
    # What is announced as too large is not read at all; else up to the limit of 100 MiB, which grows by doubling.
    assert process.memory() - before < (16 if announced else 260) * MIB


def test_the_limit_of_bodies_can_be_set(start, config: str):
    limited = json.dumps(json.loads(config) | {"tollway": {"max_request_bytes": 1000}})
    with start(limited) as gateway:
        path, body = CHAT.right(PROVIDERS[0].deployment)
        assert gateway.post(path, body)[0] == 200
        status, _, answer = gateway.post(path, body | {"metadata": {"x": "y" * 1000}})
        assert status == 413
        assert "max_request_bytes" in answer["error"]["message"]


def test_a_client_that_stops_sending_is_told_so(start, config: str):
    impatient = json.dumps(json.loads(config) | {"tollway": {"client_read_timeout_s": 1}})
    with start(impatient) as gateway:
        head = raw.head("/v1/chat/completions", gateway.key, "content-length: 100")
        assert raw.send(gateway.url, [head, b'{"model":'], timeout=10).status == 408
        assert raw.send(gateway.url, [b"POST /v1/chat"], timeout=10).status in (0, 408)


def test_a_compressed_body_is_refused_with_a_hint(gateway: Gateway, endpoint: Endpoint):
    path, body = endpoint.right(PROVIDERS[0].deployment)
    status, _, answer = gateway.post(path, body, headers={"content-encoding": "gzip"})
    assert status == 415
    assert "uncompressed" in complaint(endpoint, answer)


class TestKeys:
    def test_each_client_raises_for_a_wrong_key(self, gateway: Gateway):
        wrong = "sk-wrong-key-1234567890"
        client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=wrong, max_retries=0)
        for ask in (
            lambda: client.chat.completions.create(model="to-openai", messages=USER),
            lambda: client.responses.create(model="to-openai", input="hi"),
            lambda: client.models.list(),
        ):
            with pytest.raises(openai.AuthenticationError) as raised:
                ask()
            assert wrong not in str(raised.value)
        with pytest.raises(anthropic.AuthenticationError):
            anthropic.Anthropic(base_url=gateway.url, api_key=wrong, max_retries=0).messages.create(
                model="to-openai", max_tokens=5, messages=USER
            )
        of_google = genai.Client(api_key=wrong, http_options={"base_url": gateway.url})
        with pytest.raises(gemini_errors.ClientError) as refused:
            of_google.models.generate_content(model="to-openai", contents="hi")
        assert refused.value.code == 401

    def test_no_key_is_a_401_in_each_dialect(self, gateway: Gateway, endpoint: Endpoint, upstream: Upstream):
        path, body = endpoint.right("to-openai")
        status, _, answer = gateway.post(path, body, key=False)
        assert status == 401
        complaint(endpoint, answer)
        assert upstream.seen("to-openai") == []

    def test_a_key_in_the_address_is_taken_from_google_s_clients_only(self, gateway: Gateway):
        path, body = CHAT.right("to-openai")
        assert gateway.post(f"{path}?key={gateway.key}", body, key=False)[0] == 401

    def test_a_caller_cannot_take_the_operator_s_place(self, gateway: Gateway, upstream: Upstream):
        path, body = CHAT.right("to-openai")
        for field in ("api_base", "base_url", "api_key", "model_list"):
            status, _, answer = gateway.post(path, body | {field: "http://127.0.0.1:9/v1"})
            assert status in (400, 401)
            assert field in complaint(CHAT, answer)
        assert upstream.seen("to-openai") == []


class TestUnknownModels:
    def test_the_nearest_name_is_told(self, gateway: Gateway, endpoint: Endpoint):
        path, body = endpoint.right("to-opneai")
        status, _, answer = gateway.post(path, body)
        assert status in (400, 404)
        assert "to-openai" in complaint(endpoint, answer)

    def test_each_client_raises(self, openai_client, anthropic_client, gemini_client):
        with pytest.raises((openai.BadRequestError, openai.NotFoundError)):
            openai_client.chat.completions.create(model="no-such", messages=USER)
        with pytest.raises((openai.BadRequestError, openai.NotFoundError)):
            openai_client.responses.create(model="no-such", input="hi")
        with pytest.raises((anthropic.BadRequestError, anthropic.NotFoundError)):
            anthropic_client.messages.create(model="no-such", max_tokens=5, messages=USER)
        with pytest.raises(gemini_errors.ClientError):
            gemini_client.models.generate_content(model="no-such", contents="hi")


def test_unknown_paths_and_methods_are_told(gateway: Gateway):
    status, _, answer = gateway.post("/v1/chat/completion", {})
    assert (status, "nearest" in json.dumps(answer)) == (404, True)
    assert gateway.get("/v1/chat/completions")[0] in (404, 405)


def test_what_cannot_be_carried_is_refused_or_noted(start, config: str):
    """Without `drop_params` a parameter that the provider lacks is an error that names it; never lost in silence."""
    strict = json.loads(config)
    strict["litellm_settings"]["drop_params"] = False
    with start(json.dumps(strict)) as gateway:
        body = {"model": "to-anthropic", "messages": USER, "logit_bias": {"50256": -100}}
        status, _, answer = gateway.post("/v1/chat/completions", body)
        assert status == 400
        assert "logit_bias" in complaint(CHAT, answer)
        status, headers, _ = gateway.post("/v1/chat/completions", body | {"drop_params": True})
        assert status == 200
        trace = gateway.get(f"/trace/{headers['x-litellm-call-id']}")[2]
        assert "logit_bias" in [note["param"] for note in trace["parameters"]]
