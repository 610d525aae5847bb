"""LiteLLM's own client against a gateway: `python litellm_client.py URL KEY`. Run by test_litellm_client.py."""

import sys

import requests
from litellm.proxy.client import Client
from litellm.proxy.client.exceptions import NotFoundError, UnauthorizedError
from litellm.proxy.client.keys import KeysManagementClient
from litellm.proxy.client.models import ModelsManagementClient
from litellm.proxy.client.teams import TeamsManagementClient
from litellm.proxy.client.users import UsersManagementClient

url, master_key = sys.argv[1:]


def raises(kind, call, *arguments):
    try:
        call(*arguments)
    except kind as error:
        return error
    raise AssertionError(f"{call} raised no {kind}")


def keys() -> None:
    client = KeysManagementClient(url, master_key)
    fields = {"models": ["to-openai"], "aliases": {"best": "to-openai"}, "duration": "24h", "user_id": "ada"}
    made = client.generate(key_alias="litellm-client", **fields)
    assert made["key"].startswith("sk-") and made["key_alias"] == "litellm-client" and made["expires"]
    info = client.info(made["key"])
    assert info["info"]["models"] == ["to-openai"] and info["info"]["user_id"] == "ada"
    listed = client.list(key_alias="litellm-client", return_full_object=True)
    assert listed["total_count"] == 1 and listed["keys"][0]["token"] == made["token"]
    changed = client.update(key=made["key"], models=["to-openai", "to-gemini"])
    assert changed["models"] == ["to-openai", "to-gemini"]
    assert client.delete(keys=[made["key"]])["deleted_keys"] == [made["key"]]
    assert client.list(key_alias="litellm-client")["total_count"] == 0
    again = client.generate(key_alias="litellm-client")
    assert client.delete(key_aliases=["litellm-client"])["deleted_keys"] == ["litellm-client"]
    raises(UnauthorizedError, KeysManagementClient(url, again["key"]).list)
    refused = raises(requests.exceptions.HTTPError, client.generate, None, None, None, "soon")
    assert refused.response.status_code == 400 and refused.response.json()["error"]["param"] == "duration"


def users() -> None:
    client = UsersManagementClient(url, master_key)
    made = client.create_user({"user_id": "grace", "user_email": "grace@example.com", "max_budget": 5})
    assert made["user_id"] == "grace" and made["key"].startswith("sk-")
    shown = client.get_user("grace")
    assert shown["user_info"]["max_budget"] == 5 and len(shown["keys"]) == 1
    assert client.get_user_v2("grace")["user_email"] == "grace@example.com"
    assert "grace" in [user["user_id"] for user in client.list_users()]
    assert [user["user_id"] for user in client.list_users({"user_email": "grace@"})] == ["grace"]
    client.delete_user(["grace"])
    raises(NotFoundError, client.get_user, "grace")
    raises(UnauthorizedError, UsersManagementClient(url, made["key"]).get_user, "grace")


def teams() -> None:
    http = Client(base_url=url, api_key=master_key).http
    made = http.request("POST", "/team/new", json={"team_alias": "red", "max_budget": 10})
    client = TeamsManagementClient(url, master_key)
    assert made["team_id"] in [team["team_id"] for team in client.list()]
    page = client.list_v2(team_alias="red", page=1, page_size=10, sort_by="created_at", sort_order="desc")
    assert [team["team_id"] for team in page["teams"]] == [made["team_id"]]
    assert client.get_available() == []
    http.request("POST", "/team/delete", json={"team_ids": [made["team_id"]]})
    assert made["team_id"] not in [team["team_id"] for team in client.list()]


def models() -> None:
    client = ModelsManagementClient(url, master_key)
    assert "to-openai" in [model["id"] for model in client.list()]
    [info] = [model for model in client.info() if model["model_name"] == "to-openai"]
    assert client.get(model_name="to-openai")["model_info"]["id"] == info["model_info"]["id"]
    raises(NotFoundError, client.get, None, "no-such")
    made = client.new("mine", {"model": "openai/gpt-4o", "api_key": "sk-mine-1", "mock_response": "hello"})
    assert made["model_name"] == "mine" and "sk-mine-1" not in str(made)
    assert client.get(model_name="mine")["model_info"]["db_model"] is True
    changed = client.update(made["model_id"], {"model": "openai/gpt-4o-mini"})
    assert changed["litellm_params"]["model"] == "openai/gpt-4o-mini"
    client.delete(made["model_id"])
    raises(NotFoundError, client.delete, made["model_id"])


def spend() -> None:
    client = Client(base_url=url, api_key=master_key)
    key = client.keys.generate()["key"]
    answer = Client(base_url=url, api_key=key).chat.completions(
        model="to-openai", messages=[{"role": "user", "content": "hi"}], max_tokens=50
    )
    assert answer["choices"][0]["message"]["content"]
    rows = client.http.request("GET", f"/spend/logs?api_key={key}")
    assert len(rows) == 1 and rows[0]["spend"] == client.keys.info(key)["info"]["spend"] > 0
    assert client.http.request("GET", "/global/spend")["spend"] >= rows[0]["spend"]


for part in (keys, users, teams, models, spend):
    part()
    print(f"{part.__name__}: ok")
