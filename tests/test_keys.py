"""Virtual keys: made, changed, refused, gone."""

import hashlib
import re
import sqlite3

import pytest

import deployments
from management import BUDGET, Management, unique
from subject import Gateway, eventually


@pytest.fixture
def admin(gateway: Gateway) -> Management:
    return Management(gateway)


class TestMaking:
    def test_a_key_is_shown_once_and_stored_as_its_hash(self, start, config):
        with start(config) as own:
            made = Management(own).post("/key/generate", {"key_alias": "ci"})
            assert re.fullmatch(r"sk-[\w-]{22}", made["key"])
            assert made["key_name"] == "sk-..." + made["key"][-4:]
            assert made["token"] == made["token_id"] == hashlib.sha256(made["key"].encode()).hexdigest()
            info = Management(own).get("/key/info", key=made["key"])
            assert made["key"] not in str(info["info"])
            database = own.log_file.parent / "tollway-data" / "tollway.db"
            with sqlite3.connect(database) as connection:
                dump = "\n".join(connection.iterdump())
            assert made["token"] in dump
            assert made["key"] not in dump and made["key"][3:] not in dump

    def test_all_fields_are_echoed_in_litellm_s_shape(self, admin: Management):
        fields = {
            "key_alias": unique("all"),
            "models": ["to-openai"],
            "aliases": {"best": "to-openai"},
            "max_budget": 12.5,
            "budget_duration": "30d",
            "soft_budget": 10,
            "tpm_limit": 1000,
            "rpm_limit": 100,
            "max_parallel_requests": 7,
            "metadata": {"a": 1},
            "tags": ["one", "two"],
            "user_id": "ada",
            "permissions": {"get_spend_routes": True},
            "guardrails": ["pii"],
            "allowed_cache_controls": ["no-cache"],
            "model_rpm_limit": {"to-openai": 5},
            "model_max_budget": {"to-openai": {"budget_limit": 1, "time_period": "1d"}},
            "duration": "30d",
        }
        made = admin.post("/key/generate", fields)
        for name, value in fields.items():
            if name not in ("duration", "metadata"):
                assert made[name] == value, name
        assert made["metadata"] == {"a": 1, "tags": ["one", "two"]}
        assert made["duration"] is None and made["expires"] and made["budget_reset_at"].endswith("T00:00:00.000000Z")
        assert made["created_by"] == "default_user_id"

    def test_a_chosen_key_is_taken(self, admin: Management):
        chosen = "sk-chosen-" + unique("0123456789")
        assert admin.key_of(key=chosen) == chosen
        assert admin.with_key(chosen).ask()[0] == 200
        status, error = admin.refused("/key/generate", {"key": chosen})
        assert (status, error["param"]) == (400, "key")

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({"key": "sk-short"}, "key"),
            ({"key": "no-prefix-0123456789"}, "key"),
            ({"max_budget": -1}, "max_budget"),
            ({"max_budget": 1e30}, "max_budget"),
            ({"max_budget": "lots"}, "max_budget"),
            ({"duration": "soon"}, "duration"),
            ({"budget_duration": "1y"}, "budget_duration"),
            ({"rpm_limit": 1.5}, "rpm_limit"),
            ({"models": "to-openai"}, "models"),
            ({"aliases": {"a": 1}}, "aliases"),
            ({"key_type": "wrong"}, "key_type"),
            ({"allowed_ips": ["here"]}, "allowed_ips"),
            ({"user_id": "a\u0000b"}, "user_id"),
            ({"budget_limits": [{"max_budget": 1}]}, "budget_limits[0].budget_duration"),
        ],
    )
    def test_what_makes_no_sense_names_its_field(self, admin: Management, body: dict, param: str):
        status, error = admin.refused("/key/generate", body)
        assert (status, error["param"], error["code"]) == (400, param, "400")

    def test_an_unknown_field_is_named_with_the_nearest(self, admin: Management):
        status, error = admin.refused("/key/generate", {"max_bugdet": 5})
        assert status == 400
        assert error["message"] == "unknown field `max_bugdet`; nearest: `max_budget`"

    def test_an_alias_is_unique(self, admin: Management):
        alias = unique("alias")
        admin.key_of(key_alias=alias)
        status, error = admin.refused("/key/generate", {"key_alias": alias})
        assert (status, error["param"]) == (400, "key_alias")

    def test_what_it_refers_to_must_be_there(self, admin: Management):
        assert admin.refused("/key/generate", {"team_id": "no-such"})[0] == 404
        assert admin.refused("/key/generate", {"budget_id": "no-such"})[0] == 404
        assert admin.refused("/key/service-account/generate", {})[1]["param"] == "team_id"

    def test_a_service_account_is_nobody_s(self, admin: Management):
        team = admin.team()
        made = admin.post("/key/service-account/generate", {"team_id": team, "key_alias": unique("bot")})
        assert made["user_id"] is None
        assert made["metadata"]["service_account_id"] == made["key_alias"]


class TestUsing:
    def test_models_aliases_and_wildcards(self, admin: Management):
        key = admin.with_key(admin.key_of(models=["to-openai", "thinking-*"], aliases={"best": "to-openai"}))
        assert key.ask("to-openai")[0] == 200
        assert key.ask("best")[0] == 200
        assert key.ask("thinking-anthropic", max_tokens=3000)[0] == 200
        status, answer = key.ask("to-gemini")
        assert status == 403
        assert answer["error"]["type"] == "key_model_access_denied"
        assert answer["error"]["param"] == "model"
        allowed = "can only access models=['to-openai', 'thinking-*']. Tried to access to-gemini"
        assert allowed in answer["error"]["message"]

    def test_a_budget_refuses_in_the_recorded_words(self, admin: Management):
        key = admin.key_of(max_budget=0.000001)
        status, answer = admin.with_key(key).ask()
        assert status == 422
        assert answer["error"]["type"] == "budget_exceeded"
        assert (answer["error"]["param"], answer["error"]["code"]) == (None, "422")
        assert answer["error"]["message"].startswith("Budget has been exceeded! Key=")

    def test_a_budget_is_spent_to_its_end_and_no_further(self, admin: Management):
        key = admin.with_key(admin.key_of(max_budget=BUDGET))
        answers = [key.ask()[0] for _ in range(12)]
        assert answers.count(200) > 3 and answers.count(422) > 3
        info = key.get("/key/info")["info"]
        assert 0 < info["spend"] <= BUDGET

    def test_a_limit_per_minute_refuses_with_429(self, admin: Management):
        key = admin.with_key(admin.key_of(rpm_limit=3))
        answers = [key.ask() for _ in range(5)]
        assert [status for status, _ in answers] == [200, 200, 200, 429, 429]
        error = answers[-1][1]["error"]
        assert error["type"] == "throttling_error"
        assert "Rate limit exceeded for api_key" in error["message"] and "Current limit: 3" in error["message"]

    def test_blocked_unblocked_deleted_hold_from_the_next_request_on(self, admin: Management):
        secret = admin.key_of()
        key = admin.with_key(secret)
        assert key.ask()[0] == 200
        assert admin.post("/key/block", {"key": secret})["blocked"] is True
        status, answer = key.ask()
        assert status == 401 and answer["error"]["message"].startswith("Key is blocked.")
        assert admin.post("/key/unblock", {"key": secret})["blocked"] is False
        assert key.ask()[0] == 200
        assert admin.post("/key/delete", {"keys": [secret]}) == {"deleted_keys": [secret]}
        assert key.ask()[0] == 401

    def test_an_expired_key_is_refused(self, admin: Management):
        secret = admin.key_of(duration="1s")
        admin.post("/key/update", {"key": secret, "duration": "1s"})
        key = admin.with_key(secret)
        eventually(lambda: key.ask()[0] == 401, "the end of the key")
        error = key.ask()[1]["error"]
        assert error["type"] == "expired_key" and error["param"] == "sk-..." + secret[-4:]
        admin.post("/key/update", {"key": secret, "duration": "-1"})
        assert key.ask()[0] == 200

    def test_kinds_of_keys_reach_their_routes_alone(self, admin: Management):
        user, _ = admin.user()
        llm = admin.with_key(admin.key_of(user_id=user, key_type="llm_api"))
        read = admin.with_key(admin.key_of(user_id=user, key_type="read_only"))
        manage = admin.with_key(admin.key_of(user_id=user, key_type="management"))
        assert llm.ask()[0] == 200 and llm.call("GET", "/key/info")[0] == 403
        assert read.ask()[0] == 403 and read.call("GET", "/key/info")[0] == 200
        assert read.call("POST", "/key/generate", {})[0] == 403
        assert manage.ask()[0] == 403 and manage.call("POST", "/key/generate", {})[0] == 200

    def test_addresses(self, admin: Management):
        assert admin.with_key(admin.key_of(allowed_ips=["127.0.0.0/8"])).ask()[0] == 200
        assert admin.with_key(admin.key_of(allowed_ips=["10.0.0.0/8"])).ask()[0] == 403


class TestChanging:
    def test_null_takes_away_and_absence_keeps(self, admin: Management):
        key = admin.key_of(max_budget=5, rpm_limit=9, metadata={"a": 1})
        changed = admin.post("/key/update", {"key": key, "max_budget": None, "tpm_limit": 4})
        assert (changed["max_budget"], changed["rpm_limit"], changed["tpm_limit"]) == (None, 9, 4)
        assert changed["metadata"] == {"a": 1} and changed["key"] == key

    def test_narrowed_rights_hold_at_once(self, admin: Management):
        secret = admin.key_of()
        key = admin.with_key(secret)
        assert key.ask("to-gemini")[0] == 200
        admin.post("/key/update", {"key": secret, "models": ["to-openai"]})
        assert key.ask("to-gemini")[0] == 403

    def test_a_key_is_found_by_itself_and_by_its_hash(self, admin: Management):
        made = admin.post("/key/generate", {})
        assert admin.get("/key/info", key=made["token"])["info"]["key_name"] == made["key_name"]
        assert admin.refused("/key/info", method="GET", key="sk-not-there-at-all-0")[0] == 404

    def test_several_at_once(self, admin: Management):
        keys = [admin.key_of() for _ in range(2)]
        each = [{"key": keys[0], "max_budget": 1}, {"key": keys[1], "max_budget": -1}, {"key": "sk-none-0123456789"}]
        answer = admin.post("/key/bulk_update", {"keys": each})
        assert answer["total_requested"] == 3
        assert [one["key_info"]["max_budget"] for one in answer["successful_updates"]] == [1]
        assert len(answer["failed_updates"]) == 2
        assert "max_budget" in answer["failed_updates"][0]["failed_reason"]

    def test_regenerated_with_and_without_grace(self, admin: Management):
        old = admin.key_of(max_budget=3)
        new = admin.post("/key/regenerate", {"key": old, "grace_period": "1h"})
        assert new["key"] != old and new["max_budget"] == 3
        assert admin.with_key(old).ask()[0] == 200
        assert admin.with_key(new["key"]).ask()[0] == 200
        newest = admin.post(f"/key/{new['key']}/regenerate", {"new_key": "sk-" + unique("newest-0123456789")})
        assert admin.with_key(newest["key"]).ask()[0] == 200
        assert admin.with_key(new["key"]).ask()[0] == 401
        assert admin.with_key(old).ask()[0] == 401, "no grace is no grace, for those before it too"

    def test_spend_is_set_and_lets_a_used_up_key_go_on(self, admin: Management):
        secret = admin.key_of(max_budget=BUDGET)
        key = admin.with_key(secret)
        while key.ask()[0] == 200:
            pass
        answer = admin.post(f"/key/{secret}/reset_spend", {"reset_to": 0})
        assert answer["spend"] == 0 and answer["previous_spend"] > 0
        assert key.ask()[0] == 200
        assert admin.refused(f"/key/{secret}/reset_spend", {"reset_to": -5})[1]["param"] == "reset_to"


class TestListing:
    def test_pages_filters_and_order(self, admin: Management):
        user = unique("lister")
        aliases = [unique("listed") for _ in range(5)]
        for alias in aliases:
            admin.key_of(user_id=user, key_alias=alias)
        page = admin.get("/key/list", user_id=user, size=2, page=2, sort_by="key_alias", sort_order="asc",
                         return_full_object="true")
        assert (page["total_count"], page["current_page"], page["total_pages"]) == (5, 2, 3)
        assert [key["key_alias"] for key in page["keys"]] == aliases[2:4]
        short = admin.get("/key/list", user_id=user)
        assert all(re.fullmatch("[0-9a-f]{64}", key) for key in short["keys"])
        one = admin.get("/key/list", key_alias=aliases[0])
        assert one["total_count"] == 1
        assert admin.get("/key/list", key_hash=one["keys"][0])["keys"] == one["keys"]
        assert aliases[0] in admin.get("/key/aliases", search=aliases[0])["aliases"]
        assert admin.refused("/key/list", method="GET", page=0)[1]["param"] == "page"
        assert admin.refused("/key/list", method="GET", size="many")[1]["param"] == "size"

    def test_several_are_shown(self, admin: Management):
        keys = [admin.key_of() for _ in range(2)]
        shown = admin.post("/v2/key/info", {"keys": keys})
        assert [row["key_name"] for row in shown["info"]] == ["sk-..." + key[-4:] for key in keys]


class TestPolicy:
    """What the configuration says about keys, users and teams that are made."""

    @pytest.fixture
    def own(self, start, provider_side):
        settings = {
            "num_retries": 0,
            "default_key_generate_params": {"max_budget": 2, "models": ["to-openai"]},
            "upperbound_key_generate_params": {"max_budget": 10, "duration": "30d", "rpm_limit": 100},
            "default_internal_user_params": {"user_role": "internal_user_viewer", "max_budget": 7},
            "default_team_params": {"max_budget": 50, "budget_duration": "30d"},
            "default_team_settings": [{"team_id": "special", "max_budget": 99}],
        }
        config = deployments.configuration(provider_side.url, provider_side.url, litellm_settings=settings)
        with start(config) as gateway:
            yield Management(gateway)

    def test_defaults_and_bounds(self, own: Management):
        made = own.post("/key/generate", {})
        assert (made["max_budget"], made["models"], made["rpm_limit"]) == (2, ["to-openai"], 100)
        assert made["expires"], "the bound of `duration` holds for who says nothing"
        status, error = own.refused("/key/generate", {"max_budget": 11})
        assert status == 400
        assert error["message"] == "max_budget is over max limit set in config - user_value=11; max_value=10.0" or (
            error["message"] == "max_budget is over max limit set in config - user_value=11; max_value=10"
        )
        assert own.refused("/key/update", {"key": made["key"], "rpm_limit": 101})[1]["param"] == "rpm_limit"
        assert own.refused("/key/update", {"key": made["key"], "max_budget": None})[1]["param"] == "max_budget"
        user = own.post("/user/new", {"auto_create_key": False})
        assert (user["user_role"], user["max_budget"]) == ("internal_user_viewer", 7)
        assert own.post("/team/new", {})["max_budget"] == 50
        special = own.post("/team/new", {"team_id": "special"})
        assert (special["max_budget"], special["budget_duration"]) == (99, "30d")
