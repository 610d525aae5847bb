"""What keys demand of requests, what rights they give, and that nobody gets more by managing keys."""

import json

import pytest

import deployments
from management import Management, unique
from subject import Gateway


@pytest.fixture
def admin(gateway: Gateway) -> Management:
    return Management(gateway)


class TestEnforcedParams:
    @pytest.mark.parametrize(
        "fields",
        [
            {"enforced_params": ["user", "metadata.team"]},
            {"metadata": {"enforced_params": ["user", "metadata.team"]}},
        ],
    )
    def test_a_request_must_have_them(self, admin: Management, fields: dict):
        key = admin.with_key(admin.key_of(**fields))
        for more, param, shown in (
            ({}, "user", "user"),
            ({"user": None}, "user", "user"),
            ({"user": "ada"}, "metadata.team", "metadata"),
            ({"user": "ada", "metadata": {"a": "b"}}, "metadata.team", "[metadata][team]"),
        ):
            status, answer = key.ask(**more)
            assert (status, answer["error"]["param"]) == (400, param), more
            told = f"BadRequest please pass param={shown} in request body. This is a required param"
            assert answer["error"]["message"] == told
        assert key.ask(user="ada", metadata={"team": "red"})[0] == 200
        assert admin.ask()[0] == 200, "of other keys nothing is asked"

    def test_embeddings_too(self, admin: Management):
        key = admin.with_key(admin.key_of(enforced_params=["user"]))
        body = {"model": "to-embeddings", "input": "hi"}
        assert key.call("POST", "/v1/embeddings", body)[1]["error"]["param"] == "user"

    def test_the_configuration_s_hold_for_all_and_for_service_accounts(self, start, config):
        settings = json.loads(config)
        general = settings.setdefault("general_settings", {})
        general["enforced_params"] = ["user"]
        general["service_account_settings"] = {"enforced_params": ["metadata.job"]}
        with start(json.dumps(settings)) as own:
            own = Management(own)
            assert own.ask()[1]["error"]["param"] == "user"
            assert own.ask(user="ada")[0] == 200
            account = own.post("/key/service-account/generate", {"team_id": own.team(), "key_alias": unique("bot")})
            bot = own.with_key(account["key"])
            assert bot.ask(user="ada")[1]["error"]["param"] == "metadata.job"
            assert bot.ask(user="ada", metadata={"job": "nightly"})[0] == 200


class TestCacheControls:
    def test_a_key_asks_for_what_it_may_alone(self, admin: Management):
        key = admin.with_key(admin.key_of(allowed_cache_controls=["no-cache", "s-maxage"]))
        assert key.ask(cache={"no-cache": True, "s-max-age": 5})[0] == 200
        for more, control in (
            ({"cache": {"no-store": True}}, "no-store"),
            ({"cache": {"no-cache": True, "ttl": 60}}, "ttl"),
            ({"ttl": 60}, "ttl"),
            ({"caching": False}, "no-store"),
        ):
            status, answer = key.ask(**more)
            assert (status, answer["error"]["param"]) == (403, f"cache.{control}"), more
        free = admin.with_key(admin.key_of())
        assert free.ask(cache={"no-store": True, "ttl": 60})[0] == 200

    def test_there_is_no_such_control(self, admin: Management):
        status, error = admin.refused("/key/generate", {"allowed_cache_controls": ["no-cash"]})
        assert (status, error["param"]) == (400, "allowed_cache_controls")


class TestRoutes:
    def test_groups_of_routes(self, admin: Management):
        messages = {"model": "to-anthropic", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
        groups = (("openai_routes", 200, 403), ("anthropic_routes", 403, 200), ("llm_api_routes", 200, 200))
        for group, chats, says in groups:
            key = admin.with_key(admin.key_of(allowed_routes=[group]))
            assert key.ask()[0] == chats, group
            assert key.call("POST", "/v1/messages", messages)[0] == says, group

    def test_what_is_no_route_is_named_with_the_nearest(self, admin: Management):
        status, error = admin.refused("/key/generate", {"allowed_routes": ["llm_api_route"]})
        assert (status, error["param"]) == (400, "allowed_routes")
        assert error["message"].endswith("nearest: `llm_api_routes`")

    def test_spend_tracking_keys_read_spend_and_nothing_else(self, admin: Management):
        name, chief = admin.user("proxy_admin")
        key = chief.with_key(chief.key_of(user_id=name, allowed_routes=["spend_tracking_routes"]))
        assert key.get("/spend/logs") is not None and key.get("/global/spend")
        assert key.ask()[0] == 403 and key.refused("/key/list", method="GET")[0] == 403


class TestRights:
    def test_a_key_that_may_see_spend_sees_all_of_it_and_manages_nothing(self, admin: Management):
        admin.with_key(admin.key_of()).ask()
        sees = admin.with_key(admin.key_of(permissions={"get_spend_routes": True}))
        plain = admin.with_key(admin.key_of())
        for path in ("/global/spend", "/global/spend/keys", "/global/activity", "/user/daily/activity"):
            assert sees.call("GET", path)[0] == 200, path
        assert plain.refused("/global/spend", method="GET")[0] == 401
        assert sees.get("/spend/logs")
        assert sees.refused("/audit", method="GET")[0] == 401
        assert sees.refused("/user/list", method="GET")[0] == 401
        assert sees.refused("/key/generate", {})[0] == 401
        assert sees.refused("/global/spend/reset")[0] == 401

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("permissions", {"get_spend_routes": True}),
            ("object_permission", {"mcp_servers": ["all"]}),
            ("allowed_passthrough_routes", ["/vertex"]),
            ("allowed_vector_store_indexes", [{"index_name": "all"}]),
        ],
    )
    def test_only_administrators_give_them(self, admin: Management, field: str, value: object):
        user, own = admin.user()
        given = admin.key_of(user_id=user)
        team = admin.team()
        admin.post("/team/member_add", {"team_id": team, "member": {"user_id": user, "role": "admin"}})
        for path, body in (
            ("/key/generate", {field: value}),
            ("/key/generate", {"team_id": team, field: value}),
            ("/key/update", {"key": given, field: value}),
            ("/key/regenerate", {"key": given, field: value}),
        ):
            status, error = own.refused(path, body)
            assert (status, error["param"]) == (403, field), (path, body)
        answer = own.post("/key/bulk_update", {"keys": [{"key": given, field: value}]})
        assert answer["successful_updates"] == [] and field in answer["failed_updates"][0]["failed_reason"]
        assert own.post("/key/generate", {field: None})["user_id"] == user, "nothing is nothing"


class TestNothingIsGainedByManagingKeys:
    @pytest.fixture
    def narrow(self, admin: Management):
        """Its user may have more than this key."""
        user, wide = admin.user()
        bounds = {"max_budget": 1, "rpm_limit": 5, "enforced_params": ["user"], "allowed_cache_controls": ["ttl"]}
        key = admin.key_of(user_id=user, models=["to-openai"], **bounds)
        return user, wide, key, admin.with_key(key)

    def test_what_it_makes_has_its_bounds(self, narrow):
        _, _, _, caller = narrow
        made = caller.post("/key/generate", {})
        assert (made["models"], made["max_budget"], made["rpm_limit"]) == (["to-openai"], 1, 5)
        assert (made["enforced_params"], made["allowed_cache_controls"]) == (["user"], ["ttl"])
        for body, param in (
            ({"allowed_cache_controls": ["ttl", "no-store"]}, "allowed_cache_controls"),
            ({"enforced_params": ["metadata"]}, "enforced_params"),
        ):
            status, error = caller.refused("/key/generate", body)
            assert (status, error["param"]) == (403, param)

    def test_it_cannot_widen_what_it_made_or_itself(self, narrow):
        _, wide, key, caller = narrow
        made = caller.key_of()
        for target in (made, key):
            for body, param in (
                ({"max_budget": None}, "max_budget"),
                ({"max_budget": 2}, "max_budget"),
                ({"rpm_limit": None}, "rpm_limit"),
                ({"models": []}, "models"),
                ({"enforced_params": []}, "enforced_params"),
                ({"allowed_cache_controls": None}, "allowed_cache_controls"),
            ):
                status, error = caller.refused("/key/update", {"key": target, **body})
                assert (status, error["param"]) == (403, param), body
        assert caller.post("/key/update", {"key": made, "max_budget": 0.5})["max_budget"] == 0.5
        assert wide.post("/key/update", {"key": made, "max_budget": 3})["max_budget"] == 3, "a wider key may"

    def test_it_changes_what_is_wider_as_long_as_that_gains_nothing(self, narrow):
        _, wide, _, caller = narrow
        other = wide.key_of(max_budget=10)
        alias = unique("alias")
        assert caller.post("/key/update", {"key": other, "key_alias": alias})["key_alias"] == alias
        assert caller.refused("/key/update", {"key": other, "max_budget": 20})[1]["param"] == "max_budget"

    def test_it_does_not_get_to_know_a_wider_key(self, narrow):
        _, wide, key, caller = narrow
        other = wide.key_of()
        status, error = caller.refused("/key/regenerate", {"key": other})
        assert (status, error["param"]) == (403, "models")
        assert caller.refused(f"/key/{other}/regenerate", {})[0] == 403
        assert caller.post("/key/regenerate", {"key": key})["key"] != key, "itself it may renew"


class TestKeysOfMembers:
    def test_they_end_when_their_team_says(self, admin: Management):
        user, own = admin.user()
        team = admin.team(team_member_key_duration="1d", team_member_permissions=["/key/generate", "/key/info"])
        admin.post("/team/member_add", {"team_id": team, "member": {"user_id": user, "role": "user"}})
        short = own.post("/key/generate", {"team_id": team})["expires"]
        assert short and own.post("/key/generate", {"team_id": team, "duration": "30d"})["expires"][:10] == short[:10]
        assert own.post("/key/generate", {"team_id": team, "duration": "1m"})["expires"] < short
        assert admin.post("/key/generate", {"team_id": team})["expires"] is None
