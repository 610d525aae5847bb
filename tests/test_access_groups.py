"""Access groups: models under one name, in lists of models and beside them."""

import pytest

from management import BUDGET, Management, unique
from subject import Gateway


@pytest.fixture
def admin(gateway: Gateway) -> Management:
    return Management(gateway)


def group_of(admin: Management, *models: str) -> str:
    name = unique("group")
    admin.post("/access_group/new", {"access_group": name, "model_names": list(models)})
    return name


class TestInListsOfModels:
    def test_a_key_that_lists_the_group_calls_its_models_and_follows_it(self, admin: Management):
        name = group_of(admin, "to-openai")
        key = admin.with_key(admin.key_of(models=[name]))
        assert key.ask("to-openai")[0] == 200
        status, answer = key.ask("to-gemini")
        assert status == 403 and answer["error"]["type"] == "key_model_access_denied"
        admin.post(f"/access_group/{name}/update", {"model_names": ["to-gemini"]}, method="PUT")
        assert key.ask("to-gemini")[0] == 200, "from the next request on"
        assert key.ask("to-openai")[0] == 403
        admin.post(f"/access_group/{name}/delete", method="DELETE")
        assert key.ask("to-gemini")[0] == 403, "what is gone has no models"

    def test_shown_with_its_models_by_name(self, admin: Management):
        name = unique("group")
        [deployment] = [row for row in admin.get("/model/info")["data"] if row["model_name"] == "to-gemini"]
        id = deployment["model_info"]["id"]
        made = admin.post("/access_group/new", {"access_group": name, "model_names": ["to-openai"], "model_ids": [id]})
        assert made["model_names"] == ["to-openai", "to-gemini"]
        shown = {"access_group": name, "model_names": ["to-openai", "to-gemini"], "deployment_count": 2}
        assert admin.get(f"/access_group/{name}/info") == shown
        assert shown in admin.get("/access_group/list")["access_groups"]
        admin.post(f"/access_group/{name}/delete", method="DELETE")
        assert admin.refused(f"/access_group/{name}/info", method="GET")[0] == 404

    def test_what_is_wrong_is_named(self, admin: Management):
        name = group_of(admin, "to-openai")
        for body, param in (
            ({"model_names": ["to-openai"]}, "access_group"),
            ({"access_group": unique("g")}, "model_names"),
            ({"access_group": unique("g"), "model_names": "to-openai"}, "model_names"),
            ({"access_group": unique("g"), "model_names": ["to-opnai"]}, "model_names"),
            ({"access_group": unique("g"), "model_ids": ["nothing"]}, "model_ids"),
            ({"access_group": "all-proxy-models", "model_names": ["to-openai"]}, "access_group"),
            ({"access_group": "to-openai", "model_names": ["to-openai"]}, "access_group"),
            ({"access_group": name, "model_names": ["to-openai"]}, "access_group"),
            ({"access_group": unique("g"), "model_nams": ["to-openai"]}, "model_nams"),
        ):
            status, error = admin.refused("/access_group/new", body)
            assert (status, error["param"]) == (400, param), body
        assert "nearest: `to-openai`" in admin.refused(
            "/access_group/new", {"access_group": unique("g"), "model_names": ["to-opnai"]}
        )[1]["message"]


class TestBesideListsOfModels:
    def test_teams_and_keys_that_are_given_the_group_reach_its_models(self, admin: Management):
        team = admin.team(models=["to-openai"])
        secret = admin.key_of(team_id=team)
        key = admin.with_key(secret)
        other = admin.post("/key/generate", {"models": ["to-openai"]})
        assert key.ask("to-gemini")[0] == 403
        made = admin.post(
            "/v1/access_group",
            {
                "access_group_name": unique("group"),
                "access_model_names": ["to-gem*"],
                "assigned_team_ids": [team],
                "assigned_key_ids": [other["token"]],
                "description": "new models",
            },
        )
        id = made["access_group_id"]
        assert (made["assigned_team_ids"], made["assigned_key_ids"]) == ([team], [other["token"]])
        assert made["description"] == "new models"
        assert key.ask("to-gemini")[0] == 200 and key.ask("to-openai")[0] == 200
        assert admin.with_key(other["key"]).ask("to-gemini")[0] == 200
        assert admin.get("/team/info", team_id=team)["team_info"]["access_group_ids"] == [id]
        assert admin.get("/key/list", access_group_id=id)["keys"] == [other["token"]]
        assert made in admin.get("/v1/access_group")
        changed = admin.post(f"/v1/access_group/{id}", {"assigned_team_ids": []}, method="PUT")
        assert changed["assigned_team_ids"] == [] and changed["assigned_key_ids"] == [other["token"]]
        assert key.ask("to-gemini")[0] == 403
        admin.post(f"/v1/unified_access_group/{id}", method="DELETE")
        assert admin.get("/key/info", key=other["key"])["info"]["access_group_ids"] == []
        assert admin.refused(f"/v1/access_group/{id}", method="GET")[0] == 404

    def test_a_key_names_its_groups_itself(self, admin: Management):
        name = unique("group")
        id = admin.post("/v1/access_group", {"access_group_name": name, "access_model_names": ["to-gemini"]})[
            "access_group_id"
        ]
        made = admin.post("/key/generate", {"models": ["no-default-models"], "access_group_ids": [id]})
        key = admin.with_key(made["key"])
        assert key.ask("to-gemini")[0] == 200 and key.ask("to-openai")[0] == 403
        assert admin.get(f"/v1/access_group/{id}")["assigned_key_ids"] == [made["token"]]
        assert [model["id"] for model in key.get("/v1/models")["data"]] == ["to-gemini"]
        admin.post("/key/update", {"key": made["key"], "access_group_ids": []})
        assert key.ask("to-gemini")[0] == 403
        status, error = admin.refused("/key/generate", {"access_group_ids": ["nothing"]})
        assert (status, error["param"]) == (404, "access_group_ids")

    def test_nobody_gives_a_group_whose_models_they_do_not_have(self, admin: Management):
        id = admin.post("/v1/access_group", {"access_group_name": unique("g"), "access_model_names": ["to-gemini"]})[
            "access_group_id"
        ]
        user, own = admin.user(models=["to-openai"])
        given = own.post("/key/generate", {"models": ["to-openai"]})["key"]
        team = admin.team(models=["to-openai"])
        admin.post("/team/member_add", {"team_id": team, "member": {"user_id": user, "role": "admin"}})
        for path, body in (
            ("/key/generate", {"models": ["to-openai"], "access_group_ids": [id]}),
            ("/key/update", {"key": given, "access_group_ids": [id]}),
            ("/key/generate", {"team_id": team, "models": ["to-openai"], "access_group_ids": [id]}),
            ("/team/update", {"team_id": team, "access_group_ids": [id]}),
        ):
            status, error = own.refused(path, body)
            assert (status, error["param"]) == (403, "models"), (path, body)
        for path, method in (("/v1/access_group", "POST"), (f"/v1/access_group/{id}", "PUT")):
            assert own.refused(path, {}, method=method)[0] == 401
        admin.post("/team/update", {"team_id": team, "access_group_ids": [id]})
        chief, wide = admin.user()
        admin.post("/team/member_add", {"team_id": team, "member": {"user_id": chief, "role": "admin"}})
        assert wide.post("/key/generate", {"team_id": team, "models": ["to-openai"], "access_group_ids": [id]})


class TestBudgets:
    def test_what_all_spend_on_a_group_s_models_is_bounded(self, admin: Management, provider_side):
        import test_run_time_models

        model = unique("mine")
        params = test_run_time_models.params(provider_side, "to-openai")
        made = admin.post("/model/new", {"model_name": model, "litellm_params": params})
        name = group_of(admin, model)
        budget = {"max_budget": BUDGET, "budget_duration": "30d"}
        assert admin.post(f"/access_group/{name}/budget", budget, method="PUT")["max_budget"] == BUDGET
        keys = [admin.with_key(admin.key_of()) for _ in range(2)]
        answers = [key.ask(model) for _ in range(6) for key in keys]
        assert 200 in [status for status, _ in answers]
        status, answer = answers[-1]
        assert status == 422 and "Model Access Group=" in answer["error"]["message"]
        shown = admin.get(f"/access_group/{name}/budget")
        assert 0 < shown["spend"] <= BUDGET
        admin.post(f"/access_group/{name}/budget", method="DELETE")
        assert keys[0].ask(model)[0] == 200
        admin.post(f"/access_group/{name}/delete", method="DELETE")
        admin.post("/model/delete", {"id": made["model_id"]})
