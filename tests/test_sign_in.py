"""Providers that want a short-lived token: who signs in, how often, and what if that fails."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anthropic
import openai
import pytest

import deployments
from cloud import ANSWER, CLIENT, EMAIL, SECRET, TENANT, Cloud
from subject import Gateway, eventually, run

GEMINI, CLAUDE = "vertex_ai/gemini-2.5-pro", "vertex_ai/claude-sonnet-4-5@20250929"
AZURE = "azure/our-deployment"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as running:
        yield running


def model(name: str, provider_model: str, **params: object) -> dict:
    return {"model_name": name, "litellm_params": {"model": provider_model} | params}


def configuration(*models: dict, **sections: object) -> str:
    return json.dumps(
        {
            "model_list": list(models),
            "general_settings": {"master_key": deployments.MASTER_KEY},
            "router_settings": {"num_retries": 0},
            "tollway": {"log_format": "json", "watch": False},
        }
        | sections
    )


def ask(gateway: Gateway, name: str, **more: object):
    body = {"model": name, "messages": [{"role": "user", "content": "Which river?"}], **more}
    status, _, answer = gateway.post("/v1/chat/completions", body)
    return status, answer


def answered(gateway: Gateway, name: str, **more: object) -> None:
    status, answer = ask(gateway, name, **more)
    assert status == 200, answer
    assert answer["choices"][0]["message"]["content"] == ANSWER


class TestGoogle:
    def test_many_requests_take_one_token(self, start, cloud: Cloud):
        cloud.pause = 0.2
        gemini = model("river", GEMINI, vertex_credentials=cloud.service_account(), api_base=cloud.url)
        claude = model("stream", CLAUDE, vertex_credentials=cloud.service_account(), api_base=cloud.url)
        with start(configuration(gemini, claude)) as gateway:
            with ThreadPoolExecutor(16) as pool:
                for name in ["river", "stream"] * 8:
                    pool.submit(answered, gateway, name)
            assert [path for path, _ in cloud.asked] == ["/google/token"]
            assert len(cloud.served) == 16
            assert {headers["authorization"] for _, _, headers, _ in cloud.served} == {"Bearer token-1"}
            assert "token-1" not in gateway.log and "PRIVATE KEY" not in gateway.log

    def test_gemini_is_at_its_project_and_location(self, start, cloud: Cloud, tmp_path: Path):
        own = {"vertex_credentials": cloud.service_account_file(tmp_path), "api_base": cloud.url}
        models = [
            model("here", GEMINI, vertex_location="europe-west4", **own),
            model("there", GEMINI, vertex_project="another", **own),
        ]
        with start(configuration(*models)) as gateway, openai.OpenAI(
            base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0
        ) as client:
            answered(gateway, "here")
            question = [{"role": "user", "content": "Which river?"}]
            chunks = list(client.chat.completions.create(model="there", messages=question, stream=True))
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == ANSWER
        publisher = "publishers/google/models/gemini-2.5-pro"
        assert [path for _, path, _, _ in cloud.served] == [
            f"/v1/projects/our-project/locations/europe-west4/{publisher}:generateContent",
            f"/v1/projects/another/locations/us-central1/{publisher}:streamGenerateContent?alt=sse",
        ]

    def test_claude_is_asked_as_vertex_wants_it(self, start, cloud: Cloud):
        claude = model("river", CLAUDE, vertex_credentials=cloud.service_account(), api_base=cloud.url)
        with start(configuration(claude)) as gateway, anthropic.Anthropic(
            base_url=gateway.url, api_key=gateway.key, max_retries=0
        ) as client:
            question = [{"role": "user", "content": "Which river?"}]
            told = client.messages.create(model="river", max_tokens=9, messages=question)
            assert told.content[0].text == ANSWER
            answered(gateway, "river")
        for _, path, headers, body in cloud.served:
            models = "/v1/projects/our-project/locations/us-central1/publishers/anthropic/models"
            assert path == f"{models}/claude-sonnet-4-5@20250929:rawPredict"
            sent = json.loads(body)
            assert sent["anthropic_version"] == "vertex-2023-10-16" and "model" not in sent
            assert "x-api-key" not in headers

    def test_credentials_are_found_as_google_s_libraries_find_them(self, start, cloud: Cloud, tmp_path: Path):
        user = {
            "type": "authorized_user",
            "client_id": "gcloud",
            "client_secret": SECRET,
            "refresh_token": "1//again",
            "quota_project_id": "billed",
            "token_uri": f"{cloud.url}/google/token",
        }
        (tmp_path / "user.json").write_text(json.dumps(user))
        gemini = model("river", GEMINI, vertex_project="p", api_base=cloud.url)
        with start(configuration(gemini), GOOGLE_APPLICATION_CREDENTIALS=str(tmp_path / "user.json")) as gateway:
            answered(gateway, "river")
        assert cloud.served[0][2]["x-goog-user-project"] == "billed"
        cloud.forget()
        with start(configuration(gemini), GCE_METADATA_HOST=cloud.host, HOME=str(tmp_path)) as gateway:
            answered(gateway, "river")
        scopes = {"scopes": "https://www.googleapis.com/auth/cloud-platform", "flavor": "Google"}
        assert [fields for _, fields in cloud.asked] == [scopes]

    def test_a_token_that_is_revoked_is_replaced(self, start, cloud: Cloud):
        gemini = model("river", GEMINI, vertex_credentials=cloud.service_account(), api_base=cloud.url)
        routing = {"num_retries": 0, "disable_cooldowns": True}
        with start(configuration(gemini, router_settings=routing)) as gateway:
            answered(gateway, "river")
            cloud.revoke()
            status, answer = ask(gateway, "river")
            assert status == 401 and "no such token" in answer["error"]["message"]
            answered(gateway, "river")
            assert len(cloud.asked) == 2

    def test_a_reload_keeps_the_token(self, start, cloud: Cloud):
        gemini = model("river", GEMINI, vertex_credentials=cloud.service_account(), api_base=cloud.url)
        with start(configuration(gemini)) as gateway:
            answered(gateway, "river")
            file = gateway.log_file.parent / "config.yaml"
            file.write_text(configuration(gemini, gemini | {"model_name": "again"}))
            gateway.signal(signal.SIGHUP)
            eventually(lambda: ask(gateway, "again")[0] == 200, "the reload")
            assert len(cloud.asked) == 1

    def test_a_failure_is_told_and_another_deployment_answers(self, start, cloud: Cloud):
        stranger = cloud.service_account() | {"client_email": "stranger@our-project.iam.gserviceaccount.com"}
        broken = model("river", GEMINI, vertex_credentials=stranger, api_base=cloud.url, order=1)
        alone = model("alone", GEMINI, vertex_credentials=stranger, api_base=cloud.url)
        well = model("river", GEMINI, vertex_credentials=cloud.service_account(), api_base=cloud.url, order=2)
        with start(configuration(broken, alone, well, router_settings={"num_retries": 2})) as gateway:
            status, answer = ask(gateway, "alone")
            assert (status, answer["error"]["type"]) == (401, "authentication_error")
            told = answer["error"]["message"]
            for part in ("the service account `stranger@", f"`{cloud.url}/google/token` answered 400 `invalid_grant`", "clock"):
                assert part in told, told
            answered(gateway, "river")
            state = json.dumps(gateway.get("/router/state")[2])
            assert "AuthenticationError" in state

    def test_the_check_names_what_is_missing(self, cloud: Cloud, tmp_path: Path):
        lacking = cloud.service_account()
        del lacking["private_key"]
        models = [
            model("no-file", GEMINI, vertex_credentials="/no/such/file.json", vertex_project="p"),
            model("no-key", GEMINI, vertex_credentials=lacking),
            model("no-project", GEMINI),
            model("no-secret", AZURE, api_base="https://x.openai.azure.com", tenant_id=TENANT, client_id=CLIENT),
        ]
        file = tmp_path / "config.yaml"
        params = {"type": "gcs", "gcs_bucket_name": "b", "gcs_path_service_account": "/no/such/cache.json"}
        file.write_text(configuration(*models, litellm_settings={"cache": True, "cache_params": params}))
        checked = run("check", str(file), HOME=str(tmp_path))
        told = ("`/no/such/file.json`", "it has no `private_key`", "needs `project`", "lacks `client_secret`")
        for part in (*told, "`/no/such/cache.json`"):
            assert part in checked.stdout, checked.stdout
        told = json.loads(run("check", "--json", str(file), HOME=str(tmp_path)).stdout)
        assert len(told["unusable"]) == 5


class TestEntra:
    def at(self, cloud: Cloud) -> dict[str, str]:
        return {"AZURE_AUTHORITY_HOST": cloud.url}

    def test_an_application_signs_in_once_for_all_its_deployments(self, start, cloud: Cloud):
        own = {"api_base": cloud.url, "tenant_id": TENANT, "client_id": CLIENT, "client_secret": "os.environ/APP_SECRET"}
        models = [model("river", AZURE, **own), model("other", "azure/other", **own)]
        with start(configuration(*models), APP_SECRET=SECRET, **self.at(cloud)) as gateway:
            answered(gateway, "river")
            answered(gateway, "other")
            assert SECRET not in gateway.log and "token-1" not in gateway.log
        assert [fields["scope"] for _, fields in cloud.asked] == ["https://cognitiveservices.azure.com/.default"]
        for _, path, headers, _ in cloud.served:
            assert headers["authorization"] == "Bearer token-1" and "api-key" not in headers
            assert path.startswith("/openai/deployments/")

    def test_a_user_signs_in_with_a_password_for_a_scope(self, start, cloud: Cloud):
        own = {"azure_username": "ada", "azure_password": "pass", "azure_scope": "api://x/.default"}
        river = model("river", AZURE, api_base=cloud.url, tenant_id=TENANT, client_id=CLIENT, **own)
        with start(configuration(river), **self.at(cloud)) as gateway:
            answered(gateway, "river")
        [(_, fields)] = cloud.asked
        assert (fields["username"], fields["scope"]) == ("ada", "api://x/.default")

    @pytest.mark.parametrize("reference", ["azure/aud", "file/{file}", "env/SUBJECT", None])
    def test_a_workload_signs_in_with_another_provider_s_token(self, start, cloud: Cloud, tmp_path: Path, reference):
        file = tmp_path / "subject"
        file.write_text("a subject\n")
        own = {"azure_ad_token": f"oidc/{reference.format(file=file)}"} if reference else {}
        who = {"AZURE_TENANT_ID": TENANT, "AZURE_CLIENT_ID": CLIENT, "AZURE_FEDERATED_TOKEN_FILE": str(file)}
        river = model("river", AZURE, api_base=cloud.url, **own)
        with start(configuration(river), SUBJECT="a subject", **who, **self.at(cloud)) as gateway:
            answered(gateway, "river")
        assert [fields["client_assertion"] for _, fields in cloud.asked] == ["a subject"]

    def test_the_machine_signs_in_where_that_is_wanted(self, start, cloud: Cloud):
        river = model("river", AZURE, api_base=cloud.url)
        metadata = {"AZURE_POD_IDENTITY_AUTHORITY_HOST": cloud.url}
        with start(configuration(river), **metadata) as gateway:
            status, answer = ask(gateway, "river")
            assert status == 401 and "AZURE_API_KEY" in answer["error"]["message"]
        wanted = {"enable_azure_ad_token_refresh": True}
        with start(configuration(river, litellm_settings=wanted), **metadata) as gateway:
            answered(gateway, "river")
        assert [fields["resource"] for _, fields in cloud.asked] == ["https://cognitiveservices.azure.com"]

    def test_a_key_of_the_deployment_comes_first(self, start, cloud: Cloud):
        cloud.tokens.add("ready")
        own = {"api_base": cloud.url, "tenant_id": TENANT, "client_id": CLIENT, "client_secret": SECRET}
        models = [model("key", AZURE, api_key="k", **own), model("token", AZURE, azure_ad_token="ready", **own)]
        with start(configuration(*models), **self.at(cloud)) as gateway:
            assert ask(gateway, "key")[0] == 401
            answered(gateway, "token")
        assert not cloud.asked

    def test_a_wrong_secret_is_told_and_not_shown(self, start, cloud: Cloud):
        own = {"tenant_id": TENANT, "client_id": CLIENT, "client_secret": "not-the-one"}
        with start(configuration(model("river", AZURE, api_base=cloud.url, **own)), **self.at(cloud)) as gateway:
            status, answer = ask(gateway, "river")
            told = answer["error"]["message"]
            assert status == 401 and f"application `{CLIENT}`" in told and "check the client's id and secret" in told
            assert "not-the-one" not in told + gateway.log

    def test_a_token_server_that_hangs_does_not_hang_a_request(self, start, cloud: Cloud):
        cloud.pause = 5.0
        own = {"tenant_id": TENANT, "client_id": CLIENT, "client_secret": SECRET, "timeout": 0.3}
        with start(configuration(model("river", AZURE, api_base=cloud.url, **own)), **self.at(cloud)) as gateway:
            status, answer = ask(gateway, "river")
            assert status == 401 and "did not answer in time" in answer["error"]["message"]


def test_secrets_are_not_in_what_is_shown_of_models(start, cloud: Cloud):
    own = {"tenant_id": TENANT, "client_id": CLIENT, "client_secret": SECRET}
    models = [
        model("azure", AZURE, api_base=cloud.url, **own),
        model("google", GEMINI, api_base=cloud.url, vertex_credentials=cloud.service_account()),
    ]
    with start(configuration(*models)) as gateway:
        shown = json.dumps(gateway.get("/model/info")[2])
        assert "azure" in shown and SECRET not in shown and "PRIVATE" not in shown and EMAIL not in shown
