"""Many at once, models that are paused, credentials, and further reports."""

import pytest

import deployments
from management import Management, unique
from subject import Gateway
from test_run_time_models import params


@pytest.fixture
def admin(gateway: Gateway) -> Management:
    return Management(gateway)


class TestManyUsersAtOnce:
    def test_each_is_made_for_itself(self, admin: Management):
        name = unique("many")
        answer = admin.post(
            "/management/v1/users/bulk",
            {"users": [{"user_id": name, "max_budget": 5}, {"user_id": name}, {"user_emial": "x"}, 7]},
        )
        assert (answer["successful_creations"], answer["failed_creations"]) == (1, 3)
        made, taken, misspelt, number = answer["results"]
        assert made["created_user"]["max_budget"] == 5 and made["created_user"]["key"].startswith("sk-")
        assert "already exists" in taken["error"] and "nearest: `user_email`" in misspelt["error"]
        assert number["error"] == "an entry must be an object"
        assert admin.post("/management/v1/users/bulk_delete", {"user_ids": [name]}) == 1
        assert admin.refused("/management/v1/users/bulk", {"users": []})[1]["param"] == "users"

    def test_nobody_makes_administrators_that_way(self, admin: Management):
        id = admin.post("/organization/new", {"organization_alias": unique("acme")})["organization_id"]
        user, chief = admin.user()
        member = {"user_id": user, "role": "org_admin"}
        admin.post("/organization/member_add", {"organization_id": id, "member": member})
        answer = chief.post(
            "/management/v1/users/bulk",
            {"users": [{"user_role": "proxy_admin", "organization_id": id}, {"user_id": unique("stranger")}]},
        )
        assert answer["failed_creations"] == 2
        _, plain = admin.user()
        assert plain.refused("/management/v1/users/bulk", {"users": [{}]})[0] == 401


class TestManyMembersAtOnce:
    def test_changed_and_taken_out_each_for_itself(self, admin: Management):
        team = admin.team()
        ada, bob = unique("ada"), unique("bob")
        admin.post("/team/member_add", {"team_id": team, "member": [{"user_id": ada}, {"user_id": bob}]})
        path = f"/management/v1/teams/{team}/members"
        changed = admin.post(
            f"{path}/bulk_update",
            {
                "members": [
                    {"user_id": ada, "max_budget_in_team": 3},
                    {"user_id": "nobody"},
                    {"user_id": bob, "role": "x"},
                ]
            },
        )
        assert (changed["successful_updates"], changed["failed_updates"]) == (1, 2)
        assert changed["results"][0]["updated_membership"]["max_budget_in_team"] == 3
        gone = admin.post(f"{path}/bulk_delete", {"members": [{"user_id": ada}, {"user_id": ada}]})
        assert (gone["successful_deletions"], gone["failed_deletions"]) == (1, 1)
        assert [member["user_id"] for member in gone["updated_team"]["members_with_roles"]] == [bob]
        _, stranger = admin.user()
        assert stranger.refused(f"{path}/bulk_delete", {"members": [{"user_id": bob}]})[0] in (401, 403)


class TestModels:
    def test_paused_and_asked_again(self, admin: Management, provider_side):
        name = unique("mine")
        body = {"model_name": name, "litellm_params": params(provider_side, "to-openai")}
        id = admin.post("/model/new", body)["model_id"]
        assert admin.ask(name)[0] == 200
        assert admin.post("/model/block", {"model_id": id})["model_info"]["blocked"] is True
        assert admin.ask(name)[0] >= 400
        admin.post("/model/unblock", {"model_id": id})
        assert admin.ask(name)[0] == 200
        assert admin.refused("/model/block", {"model_id": "nothing"})[1]["param"] == "model_id"
        admin.post("/model/delete", {"id": id})

    def test_pages_of_models(self, admin: Management):
        all = admin.get("/v2/model/info", size=1000)
        assert all["total_count"] == len(all["data"]) == len(admin.get("/model/info")["data"])
        page = admin.get("/v2/model/info", size=2, page=2, sortBy="model_name")
        names = sorted(row["model_name"] for row in all["data"])
        assert [row["model_name"] for row in page["data"]] == names[2:4] and page["current_page"] == 2
        found = admin.get("/v2/model/info", search="TO-OPENAI")["data"]
        assert found and all_of(found, "to-openai")
        own = admin.with_key(admin.key_of(models=["to-openai"]))
        assert {row["model_name"] for row in own.get("/v2/model/info")["data"]} == {"to-openai"}

    def test_what_is_known_of_prices(self, admin: Management):
        status, _, prices = admin.gateway.request("GET", "/public/litellm_model_cost_map", key=False)
        assert status == 200 and prices["gpt-4o"]["litellm_provider"] == "openai"
        assert admin.get("/utils/model_info", model="to-openai")["input_cost_per_token"] == 2.5e-06
        assert admin.get("/utils/model_info", model="gpt-4o", custom_llm_provider="openai")["key"] == "gpt-4o"
        assert admin.refused("/utils/model_info", method="GET", model="nothing")[0] == 404
        assert admin.get("/model/cost_map/source")["model_count"] == len(prices)


def all_of(rows: list[dict], part: str) -> bool:
    return all(part in row["model_name"] for row in rows)


class TestCredentials:
    def test_by_model(self, admin: Management, provider_side):
        name = unique("credential")
        values = {"api_key": deployments.server.KEY, "api_base": f"{provider_side.url}/to-openai/v1"}
        admin.post("/credentials", {"credential_name": name, "credential_values": values})
        litellm_params = {"model": "openai/gpt-4o", "litellm_credential_name": name}
        id = admin.post("/model/new", {"model_name": unique("mine"), "litellm_params": litellm_params})["model_id"]
        assert admin.get(f"/credentials/by_model/{id}")["credential_name"] == name
        assert deployments.server.KEY not in str(admin.get(f"/credentials/by_model/{id}"))
        assert admin.get("/credentials/migrate-encryption/check")["needs_migration"] == 0
        assert admin.post("/credentials/migrate-encryption?dry_run=true")["dry_run"] is True
        assert admin.post("/credentials/migrate-encryption")["migrated"] == 0
        admin.post("/model/delete", {"id": id})
        admin.post(f"/credentials/{name}", method="DELETE")
        assert admin.refused("/credentials/by_model/nothing", method="GET")[0] == 400
        _, user = admin.user()
        assert user.refused("/credentials/migrate-encryption")[0] == 401


class TestReports:
    def test_parts_agree_with_the_whole(self, admin: Management):
        team, tag = admin.team(), unique("tag")
        ada, bob = unique("ada"), unique("bob")
        admin.post("/team/member_add", {"team_id": team, "member": [{"user_id": ada}, {"user_id": bob}]})
        made = {"team_id": team, "tags": [tag]}
        keys = [admin.key_of(user_id=user, key_alias=unique(user), **made) for user in (ada, ada, bob)]
        for key in keys:
            admin.with_key(key).ask()
            admin.with_key(key).ask("to-anthropic")
        admin.post("/key/delete", {"keys": [keys[1]]})
        whole = admin.get("/team/daily/activity", team_ids=team)["metadata"]
        assert whole["total_api_requests"] == 6
        users = admin.get("/team/spend/by_user", team_ids=team)
        assert users["metadata"]["total_spend"] == pytest.approx(whole["total_spend"], abs=1e-12)
        assert {row["user_id"]: row["metrics"]["api_requests"] for row in users["results"]} == {ada: 4, bob: 2}
        by_key = admin.get("/team/daily/activity/aggregated/keys", team_ids=team, limit=2)
        assert (by_key["total_count"], len(by_key["results"]), by_key["has_more"]) == (3, 2, True)
        rest = admin.get("/team/daily/activity/aggregated/keys", team_ids=team, offset=2)
        spends = [row["metrics"]["spend"] for row in by_key["results"] + rest["results"]]
        assert sum(spends) == pytest.approx(whole["total_spend"], abs=1e-12)
        found = admin.get("/team/daily/activity/aggregated/search", team_ids=team, search=bob.upper())["results"]
        assert len(found) == 1 and found[0]["metadata"]["key_alias"].startswith(bob)
        top = admin.get("/team/daily/activity/aggregated/model_top_keys", team_ids=team, model_group="to-anthropic")
        assert [row["metrics"]["api_requests"] for row in top["results"]] == [1, 1, 1]
        assert admin.refused("/team/daily/activity/aggregated/search", method="GET")[1]["param"] == "search"
        [summary] = admin.get("/tag/summary", start_date="2020-01-01", end_date="2099-01-01", tag_filter=tag)["results"]
        assert (summary["unique_users"], summary["total_requests"]) == (2, 6)
        assert summary["total_spend"] == pytest.approx(whole["total_spend"], abs=1e-12)
        for path in ("/tag/dau", "/tag/wau", "/tag/mau"):
            [row] = admin.get(path, tag_filter=tag)["results"]
            assert (row["tag"], row["active_users"]) == (tag, 2), path
        per_user = admin.get("/tag/user-agent/per-user-analytics", tag_filters=f"{tag},other")["results"]
        assert {row["user_id"]: row["total_requests"] for row in per_user} == {ada: 4, bob: 2}
        names = {"filter[startTime][gte]": "2020-01-01", "filter[startTime][lte]": "2099-01-01"}
        [named] = admin.get("/management/v1/spend_logs/users", q=ada, **names)["data"]
        assert (named["id"], named["requests"]) == (ada, 4)

    def test_members_see_their_own_part_of_a_team(self, admin: Management):
        user, own = admin.user()
        team = admin.team()
        admin.post("/team/member_add", {"team_id": team, "member": [{"user_id": user}, {"user_id": unique("other")}]})
        admin.with_key(admin.key_of(team_id=team)).ask()
        admin.with_key(admin.key_of(team_id=team, user_id=user)).ask()
        assert [row["user_id"] for row in own.get("/team/spend/by_user")["results"]] == [user]
        assert own.get("/team/daily/activity/aggregated/keys")["total_count"] == 1
        assert own.refused("/team/spend/by_user", method="GET", team_ids=admin.team())[0] in (401, 403)
        assert own.refused("/tag/summary", method="GET", start_date="2020-01-01", end_date="2099-01-01")[0] == 401

    def test_a_session_s_requests(self, admin: Management):
        session = unique("session")
        key = admin.with_key(admin.key_of())
        body = {"model": "to-openai", "messages": [{"role": "user", "content": "hi"}]}
        headers = {"authorization": f"Bearer {key.key}", "x-litellm-session-id": session}
        assert admin.gateway.request("POST", "/v1/chat/completions", body, headers=headers, key=False)[0] == 200
        assert key.ask(litellm_session_id=session)[0] == 200
        assert key.ask()[0] == 200
        page = admin.get("/spend/logs/session/ui", session_id=session)
        assert page["total"] == 2 and {row["session_id"] for row in page["data"]} == {session}
        assert admin.get("/spend/logs/v2", api_key=key.key, session_id=session)["total"] == 2
        assert admin.refused("/spend/logs/session/ui", method="GET")[1]["param"] == "session_id"

    def test_rows_are_sorted_and_filtered(self, admin: Management):
        key = admin.key_of()
        for model in ("to-openai", "to-anthropic", "to-gemini"):
            admin.with_key(key).ask(model)
        rows = admin.get("/spend/logs/v2", api_key=key, sort_by="spend", sort_order="asc")["data"]
        assert [row["spend"] for row in rows] == sorted(row["spend"] for row in rows)
        found = admin.get("/spend/logs/v2", api_key=key, search="gemini")["data"]
        assert [row["model_group"] for row in found] == ["to-gemini"]
        assert admin.get("/spend/logs/v2", api_key=key, cache_hit_filter="hit")["total"] == 0
        status, error = admin.refused("/spend/logs/v2", method="GET", sort_by="weather")
        assert (status, error["param"]) == (400, "sort_by")

    def test_what_so_many_requests_will_cost(self, admin: Management):
        body = {"model": "to-openai", "input_tokens": 1000, "output_tokens": 100, "num_requests_per_day": 10}
        told = admin.post("/cost/estimate", body)
        assert told["cost_per_request"] == pytest.approx(1000 * 2.5e-06 + 100 * 1e-05)
        assert told["daily_cost"] == pytest.approx(10 * told["cost_per_request"]) and told["monthly_cost"] is None
        parts = told["input_cost_per_request"] + told["output_cost_per_request"]
        assert parts == pytest.approx(told["cost_per_request"])
        for wrong, param in (
            ({**body, "model": "nothing"}, "model"),
            ({**body, "input_tokens": -1}, "input_tokens"),
            ({"model": "to-openai"}, "input_tokens"),
        ):
            status, error = admin.refused("/cost/estimate", wrong)
            assert (status, error["param"]) == (400, param)
