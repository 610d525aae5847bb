"""What operators and their tools see: models, traces, metrics, headers, documentation, logs."""

import json
import re
import threading

import pytest

from deployments import ANTHROPIC, MASTER_KEY, OPENAI, PROVIDERS, Provider
from subject import Gateway, Process, eventually
from upstream import Upstream
from upstream.server import KEY as UPSTREAM_KEY

USER = [{"role": "user", "content": "hi"}]


def ask(gateway: Gateway, model: str, **more):
    return gateway.post("/v1/chat/completions", {"model": model, "messages": USER, **more})


class TestHealth:
    def test_liveliness_and_readiness_need_no_key(self, gateway: Gateway):
        for path in ("/health/liveliness", "/health/liveness", "/health/readiness"):
            assert gateway.get(path, key=False)[0] == 200

    @pytest.mark.parametrize(
        ("path", "field", "value"),
        [
            ("/health/readiness/details", "db", "connected"),
            ("/health/backlog", "in_flight_requests", 0),
            ("/health/latest", "latest_health_checks", {}),
            ("/health/license", "license_type", "community"),
            ("/settings", "num_callbacks", 0),
            ("/active/callbacks", "alerting", []),
        ],
    )
    def test_operators_see_how_the_gateway_is(self, gateway: Gateway, path: str, field: str, value: object):
        status, _, told = gateway.get(path)
        assert (status, told[field]) == (200, value)
        assert gateway.get(path, key=False)[0] == 401

    def test_health_tells_which_deployments_can_be_called(self, gateway: Gateway):
        status, _, health = gateway.get("/health")
        assert status == 200
        assert "missing-key" in [entry["model_name"] for entry in health["unhealthy_endpoints"]]
        assert "to-openai" in [entry["model_name"] for entry in health["healthy_endpoints"]]
        assert gateway.get("/health", key=False)[0] == 401


class TestModels:
    def test_openai_s_client_lists_them(self, openai_client):
        names = [model.id for model in openai_client.models.list()]
        assert {provider.deployment for provider in PROVIDERS} <= set(names)
        assert openai_client.models.retrieve("to-gemini").id == "to-gemini"

    def test_google_s_client_lists_them(self, gateway: Gateway):
        names = [model["name"] for model in gateway.get("/v1beta/models")[2]["models"]]
        assert "models/to-anthropic" in names

    def test_model_info_shows_settings_and_prices_but_no_secret(self, gateway: Gateway):
        status, _, info = gateway.get("/model/info")
        assert status == 200
        [row] = [row for row in info["data"] if row["model_name"] == "to-openai"]
        assert row["litellm_params"]["model"] == "openai/gpt-4o"
        assert row["model_info"]["input_cost_per_token"] == 2.5e-06
        assert row["model_info"]["id"]
        assert UPSTREAM_KEY not in json.dumps(info)
        one = gateway.get(f"/model/info?litellm_model_id={row['model_info']['id']}")[2]["data"]
        assert [entry["model_name"] for entry in one] == ["to-openai"]

    def test_unknown_models_are_404(self, gateway: Gateway):
        assert gateway.get("/v1/models/no-such")[0] == 404


class TestHeaders:
    def test_an_answer_says_who_gave_it_and_what_it_cost(self, gateway: Gateway, provider: Provider):
        status, headers, answer = ask(gateway, provider.deployment)
        assert status == 200
        assert re.fullmatch(r"[0-9a-f-]{36}", headers["x-litellm-call-id"])
        assert headers["x-litellm-model-group"] == provider.deployment
        assert headers["x-litellm-model-id"]
        assert headers["x-litellm-model-api-base"].startswith("http://127.0.0.1:")
        assert headers["x-litellm-version"]
        assert float(headers["x-litellm-response-cost"]) > 0
        assert float(headers["x-litellm-response-duration-ms"]) > 0
        assert headers["x-litellm-attempted-retries"] == "0"
        assert headers["llm_provider-x-request-id"] == "req-upstream1"
        assert headers["x-ratelimit-remaining-requests"] == "99"
        assert UPSTREAM_KEY not in str(headers)

    def test_the_cost_is_exact(self, gateway: Gateway):
        _, headers, answer = ask(gateway, OPENAI.deployment)
        usage = answer["usage"]
        nano = usage["prompt_tokens"] * 2500 + usage["completion_tokens"] * 10_000
        assert round(float(headers["x-litellm-response-cost"]) * 1e9) == nano

    def test_a_stream_is_not_held_back_by_proxies(self, gateway: Gateway):
        _, headers, _ = ask(gateway, OPENAI.deployment, stream=True)
        assert headers["content-type"].startswith("text/event-stream")
        assert headers["cache-control"] == "no-cache"
        assert headers["x-accel-buffering"] == "no"

    def test_errors_have_them_too(self, gateway: Gateway):
        status, headers, _ = ask(gateway, OPENAI.failing("500"))
        assert status == 500
        assert headers["x-litellm-call-id"]
        assert headers["x-litellm-response-cost"] == "0"


class TestTraces:
    def test_a_trace_tells_the_whole_story(self, gateway: Gateway, provider: Provider):
        _, headers, answer = ask(gateway, provider.deployment, user="someone")
        status, _, trace = gateway.get(f"/trace/{headers['x-litellm-call-id']}")
        assert status == 200
        assert trace["requested_model"] == provider.deployment
        assert trace["outcome"] == "success"
        [attempt] = trace["attempts"]
        assert attempt["status"] == 200
        assert attempt["url"].startswith("http://127.0.0.1:")
        usage = trace["answer"]["usage"]
        assert answer["usage"]["completion_tokens"] in usage.values()
        assert trace["answer"]["cost"]["lines"]
        assert UPSTREAM_KEY not in json.dumps(trace)

    def test_it_is_found_by_the_id_of_the_answer(self, gateway: Gateway):
        _, _, answer = ask(gateway, OPENAI.deployment)
        assert gateway.get(f"/trace/{answer['id']}")[2]["answer"]["id"] == answer["id"]

    def test_a_stream_is_traced_when_it_is_over(self, gateway: Gateway):
        _, headers, _ = ask(gateway, ANTHROPIC.deployment, stream=True)
        path = f"/trace/{headers['x-litellm-call-id']}"
        eventually(lambda: gateway.get(path)[0] == 200, "the trace")
        trace = gateway.get(path)[2]
        assert trace["stream"] is True
        assert trace["answer"]["usage"]
        assert trace["time_ms"]["first_token"] is not None

    def test_a_failure_names_its_cause(self, gateway: Gateway):
        _, headers, _ = ask(gateway, OPENAI.failing("refused"))
        trace = gateway.get(f"/trace/{headers['x-litellm-call-id']}")[2]
        assert trace["outcome"] == "failure"
        assert "refused" in json.dumps(trace["error"])

    def test_a_client_that_left_is_traced(self, gateway: Gateway, openai_client, upstream: Upstream):
        model = OPENAI.failing("hold")
        asked = {"model": model, "messages": [{"role": "user", "content": "a b c d"}], "stream": True}
        stream = openai_client.chat.completions.create(**asked, extra_headers={"x-litellm-call-id": "left-early"})
        next(stream)
        stream.close()
        eventually(lambda: gateway.get("/trace/left-early")[0] == 200, "the trace")
        assert gateway.get("/trace/left-early")[2]["outcome"] not in ("success", "failure")

    def test_they_need_a_key(self, gateway: Gateway):
        for path in ("/trace", "/trace/x", "/metrics", "/model/info", "/v1/models"):
            assert gateway.get(path, key=False)[0] == 401, path


def metric(gateway: Gateway, name: str, *labels: str) -> float:
    """The sum of a metric's samples that have the labels."""
    text = gateway.get("/metrics")[2]
    found = [line for line in text.splitlines() if re.match(rf"{name}(_total)?[ {{]", line)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in found if all(label in line for label in labels))


class TestMetrics:
    def test_answers_tokens_and_spend_are_counted(self, gateway: Gateway):
        group = f'"{OPENAI.deployment}"'
        names = ("litellm_requests_metric", "litellm_total_tokens_metric", "litellm_spend_metric")
        before = [metric(gateway, name, group) for name in names]
        _, headers, answer = ask(gateway, OPENAI.deployment)
        after = [metric(gateway, name, group) for name in names]
        requests, tokens, spend = (b - a for a, b in zip(before, after))
        assert requests == 1
        assert tokens == answer["usage"]["total_tokens"]
        assert spend == pytest.approx(float(headers["x-litellm-response-cost"]))

    def test_failures_are_counted(self, gateway: Gateway):
        before = metric(gateway, "litellm_proxy_failed_requests_metric")
        ask(gateway, OPENAI.failing("500"))
        assert metric(gateway, "litellm_proxy_failed_requests_metric") == before + 1

    def test_names_that_clients_invent_make_no_series(self, gateway: Gateway):
        for number in range(5):
            ask(gateway, f"invented-{number}")
        assert "invented-" not in gateway.get("/metrics")[2]

    def test_nothing_runs_when_nothing_runs(self, gateway: Gateway):
        eventually(lambda: metric(gateway, "litellm_in_flight_requests") <= 1, "the end of all requests")


class TestDocumentation:
    def test_openapi_names_every_route(self, gateway: Gateway):
        described = gateway.get("/openapi.json", key=False)[2]
        listed = {route["path"] for route in gateway.get("/routes", key=False)[2]["routes"]}
        assert described["openapi"].startswith("3.")
        assert listed == set(described["paths"])
        assert {"/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/completions"} <= listed

    def test_every_listed_route_exists(self, gateway: Gateway):
        for route in gateway.get("/routes", key=False)[2]["routes"]:
            path = re.sub(r"\{\w+\}", "to-openai", route["path"])
            for method in route["methods"]:
                body = {} if method == "POST" else None
                status, _, answer = gateway.request(method, path, body)
                unknown = status == 404 and answer in ({"detail": "Not Found"}, None)
                assert not unknown and status != 405, f"{method} {path}: {status} {answer}"

    def test_the_page_needs_nothing_from_elsewhere(self, gateway: Gateway):
        status, headers, page = gateway.get("/docs", key=False)
        assert status == 200
        assert headers["content-type"].startswith("text/html")
        assert not re.search(r"(src|href)=['\"]?https?://", page)


class TestLogs:
    def test_they_hold_no_prompt_no_answer_and_no_key(self, start, config: str):
        secret_text = "the-prompt-nobody-may-read"
        with start(config, "--debug") as gateway:
            body = {"messages": [{"role": "user", "content": secret_text}]}
            for model in (
                "to-openai",
                "to-anthropic",
                "to-openai-fault-500",
                "to-openai-fault-cut",
                "wrong-key",
                "no-such",
            ):
                for stream in (False, True):
                    gateway.post("/v1/chat/completions", body | {"model": model, "stream": stream})
            path = f"/v1beta/models/to-gemini:generateContent?key={MASTER_KEY}"
            gateway.post(path, {"contents": [{"parts": [{"text": secret_text}]}]}, key=False)
            gateway.get("/v1/models", headers={"authorization": "Bearer sk-wrong-key-1234567890"}, key=False)
            gateway.post("/v1/chat/completions", b'{"messages": "' + secret_text.encode())
            log = gateway.log
        assert "to-openai" in log
        for secret in (secret_text, MASTER_KEY, UPSTREAM_KEY, "sk-wrong-key-1234567890", "sk-not-the-one"):
            assert secret not in log

    def test_each_request_is_a_line_and_so_is_each_failed_attempt(self, start, config: str):
        with start(config) as gateway:
            answered, failed = (
                ask(gateway, model)[1]["x-litellm-call-id"] for model in ("to-openai", "to-openai-fault-500")
            )

            def lines(call_id: str) -> list[str]:
                return [line for line in gateway.log.splitlines() if call_id in line]

            eventually(lambda: lines(answered) and len(lines(failed)) > 1, "the lines")
            assert len(lines(answered)) == 1
            assert ["attempt failed" in line for line in lines(failed)] == [True, False]
            for line in lines(failed):
                assert "500" in line
                assert "upstream says 500" in line

    def test_they_can_be_json(self, start, config: str):
        logged = json.dumps(json.loads(config) | {"tollway": {"log_format": "json"}})
        with start(logged) as gateway:
            call_id = ask(gateway, "to-openai")[1]["x-litellm-call-id"]
            eventually(lambda: call_id in gateway.log, "the line")
            [line] = [line for line in gateway.log.splitlines() if call_id in line]
            assert call_id in json.loads(line).values()


class TestUtilities:
    def test_tokens_are_counted(self, gateway: Gateway):
        status, _, count = gateway.post("/utils/token_counter", {"model": "to-openai", "messages": USER})
        assert (status, count["total_tokens"]) == (200, 8)

    def test_a_request_is_shown_as_the_provider_would_get_it(self, gateway: Gateway, upstream: Upstream):
        body = {"call_type": "completion", "request_body": {"model": "to-anthropic", "messages": USER}}
        status, _, shown = gateway.post("/utils/transform_request", body)
        assert status == 200
        assert shown["raw_request_body"]["messages"] == [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
        assert UPSTREAM_KEY not in json.dumps(shown)
        assert upstream.seen("to-anthropic") == []


def test_many_requests_at_once_do_not_mix(process: Process):
    """Each caller gets the answer to its own question, whole and streamed."""
    wrong: list[str] = []

    def caller(number: int) -> None:
        for turn in range(5):
            model = PROVIDERS[(number + turn) % len(PROVIDERS)].deployment
            question = f"caller {number} turn {turn}"
            body = {"model": model, "messages": [{"role": "user", "content": question}]}
            status, _, answer = process.post("/v1/chat/completions", body)
            if status != 200 or answer["choices"][0]["message"]["content"] != f'You said: "{question}".':
                wrong.append(f"{question}: {answer}")

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_each_provider_gets_its_own_key_and_nothing_of_the_caller_s(
    gateway: Gateway, provider: Provider, upstream: Upstream
):
    headers = {"x-forwarded-for": "10.0.0.9", "cookie": "session=secret", "x-custom": "mine"}
    gateway.post("/v1/chat/completions", {"model": provider.deployment, "messages": USER}, headers=headers)
    [seen] = upstream.seen(provider.deployment)
    assert UPSTREAM_KEY in " ".join(seen.headers.values())
    for secret in (MASTER_KEY, "session=secret", "10.0.0.9", "mine"):
        assert secret not in " ".join(seen.headers.values())


def test_a_body_goes_through_byte_by_byte_where_both_sides_speak_the_same(gateway: Gateway, upstream: Upstream):
    """The order of the fields, numbers as they are written, fields that nobody knows yet in the dialect's own corner."""
    body = b'{"logit_bias": {"50256": -1, "17": 2}, "messages": [{"content": "hi", "role": "user"}], "temperature": 0.70, "model": "to-openai", "seed": 12345678901234567890}'
    status, _, _ = gateway.post("/v1/chat/completions", body)
    assert status == 200
    [seen] = upstream.seen("to-openai")
    assert list(seen.body)[:3] == ["logit_bias", "messages", "temperature"]
    assert list(seen.body["logit_bias"]) == ["50256", "17"]
    assert seen.body["seed"] == 12345678901234567890
    assert seen.body["model"] == "gpt-4o"
