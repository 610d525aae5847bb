"""Models that are added, changed and taken away while the gateway runs."""

import sqlite3

import pytest

import deployments
from management import Management, unique
from subject import Gateway, run


@pytest.fixture
def admin(gateway: Gateway) -> Management:
    return Management(gateway)


def params(provider_side, name: str, **more: object) -> dict:
    base = f"{provider_side.url}/{name}/v1"
    return {"model": "openai/gpt-4o", "api_base": base, "api_key": deployments.server.KEY, **more}


class TestRunTimeModels:
    def test_served_from_the_next_request_on_changed_and_gone(self, admin: Management, provider_side, upstream):
        name = unique("mine")
        made = admin.post("/model/new", {"model_name": name, "litellm_params": params(provider_side, "to-openai")})
        id = made["model_id"]
        assert made["litellm_params"]["api_key"] == "****" and made["model_info"]["db_model"] is True
        assert admin.ask(name)[0] == 200
        [info] = [row for row in admin.get("/model/info")["data"] if row["model_name"] == name]
        assert info["model_info"]["id"] == id and info["model_info"]["db_model"] is True
        assert info["model_info"]["input_cost_per_token"] == 2.5e-06
        other = unique("renamed")
        admin.post("/model/update", {"model_name": other, "litellm_params": {"rpm": 100}, "model_info": {"id": id}})
        assert admin.ask(other)[0] == 200, "its key is kept"
        assert admin.ask(name)[0] == 400
        admin.post(f"/model/{id}/update", {"litellm_params": {"api_key": "sk-wrong"}}, method="PATCH")
        assert admin.ask(other)[0] == 401
        assert admin.post("/model/delete", {"id": id}) == {"message": f"Model: {id} deleted successfully"}
        assert admin.ask(other)[0] == 400
        assert admin.refused("/model/delete", {"id": id})[0] == 400

    def test_beside_one_of_the_configuration_both_are_its_group(self, admin: Management, provider_side):
        made = admin.post(
            "/model/new", {"model_name": "to-openai", "litellm_params": params(provider_side, "to-openai")}
        )
        rows = [row for row in admin.get("/model/info")["data"] if row["model_name"] == "to-openai"]
        assert sorted(row["model_info"]["db_model"] for row in rows) == [False, True]
        [written] = [row["model_info"]["id"] for row in rows if not row["model_info"]["db_model"]]
        status, error = admin.refused("/model/delete", {"id": written})
        assert status == 400 and "is in the configuration" in error["message"]
        admin.post("/model/delete", {"id": made["model_id"]})

    def test_a_team_s_own_is_for_its_keys_alone(self, admin: Management, provider_side):
        name, team = unique("ours"), admin.team(models=["to-anthropic"])
        key, other = admin.with_key(admin.key_of(team_id=team)), admin.with_key(admin.key_of())
        own = params(provider_side, "to-openai")
        body = {"model_name": name, "litellm_params": own, "model_info": {"team_id": team}}
        id = admin.post("/model/new", body)["model_id"]
        assert admin.get("/team/info", team_id=team)["team_info"]["models"] == ["to-anthropic", name]
        assert key.ask(name)[0] == 200
        assert other.ask(name)[0] == 400, "as if it were not there"
        assert name in [model["id"] for model in key.get("/v1/models")["data"]]
        assert name not in [model["id"] for model in other.get("/v1/models")["data"]]
        assert name not in [row["model_name"] for row in other.get("/v2/model/info", size=1000)["data"]]
        status, error = admin.refused("/model/update", {"model_info": {"id": id, "team_id": None}})
        assert (status, error["param"]) == (400, "model_info.team_id")
        # Beside everybody's, a team's own come first for it.
        mine = {**body, "model_name": "to-anthropic"}
        second = admin.post("/model/new", mine)["model_id"]
        assert other.ask("to-anthropic")[0] == 200
        assert key.ask("to-anthropic")[0] == 200
        answered = [admin.get("/spend/logs", api_key=caller.key)[0]["model"] for caller in (key, other)]
        assert answered[0] == "gpt-4o" and answered[1].startswith("claude")
        for model in (id, second):
            admin.post("/model/delete", {"id": model})
        assert admin.refused("/model/new", {**body, "model_info": {"team_id": "nothing"}})[0] == 404

    def test_what_is_wrong_with_it_is_told_and_nothing_is_kept(self, admin: Management):
        name = unique("wrong")
        of_team = {"model_name": name, "litellm_params": {"model": "openai/x"}, "model_info": {"team_id": 7}}
        for body, param in (
            ({"model_name": name, "litellm_params": {"model": "opnai/gpt-4o"}}, "litellm_params"),
            ({"model_name": name, "litellm_params": {}}, "litellm_params"),
            (of_team, "model_info.team_id"),
            ({"model_name": name}, "litellm_params"),
            ({"litellm_params": {"model": "openai/x"}}, "model_name"),
        ):
            status, error = admin.refused("/model/new", body)
            assert (status, error["param"]) == (400, param), body
        assert name not in [row["model_name"] for row in admin.get("/model/info")["data"]]
        _, user = admin.user()
        assert user.refused("/model/new", {})[0] == 401

    def test_they_outlive_the_process_and_their_secrets_are_sealed(self, start, config, provider_side, tmp_path):
        with start(config, TOLLWAY_SALT_KEY="a salt key for this test") as first:
            own = Management(first)
            own.post("/model/new", {"model_name": "mine", "litellm_params": params(provider_side, "to-openai")})
            database = first.log_file.parent / "tollway-data" / "tollway.db"
            with sqlite3.connect(database) as connection:
                dump = "\n".join(connection.iterdump())
            assert "mine" in dump and deployments.server.KEY not in dump
        with start(config, TOLLWAY_SALT_KEY="a salt key for this test") as second:
            assert Management(second).ask("mine")[0] == 200
        with start(config, TOLLWAY_SALT_KEY="another") as third:
            assert Management(third).ask("mine")[0] == 400
            assert "is not served" in third.log

    def test_the_salt_key_can_be_changed(self, start, config, provider_side):
        old, new = "the first salt key", "the second salt key"
        both = {"TOLLWAY_SALT_KEY": new, "TOLLWAY_FORMER_SALT_KEYS": old}
        with start(config, TOLLWAY_SALT_KEY=old) as first:
            own = Management(first)
            own.post("/model/new", {"model_name": "mine", "litellm_params": params(provider_side, "to-openai")})
            file = first.log_file.parent / "config.yaml"
        with start(config, **both) as second:
            assert Management(second).ask("mine")[0] == 200, "the old key opens what it sealed"
            done = run("reseal", "--config", str(file), **both)
            assert (done.returncode, done.stdout) == (0, "1 sealed anew\n"), done.stderr
            assert Management(second).ask("mine")[0] == 200
        assert run("reseal", "--config", str(file), TOLLWAY_SALT_KEY="a third").returncode == 1
        with start(config, TOLLWAY_SALT_KEY=new) as third:
            assert Management(third).ask("mine")[0] == 200


class TestCredentials:
    def test_models_refer_to_them_and_their_values_are_never_shown(self, admin: Management, provider_side):
        name = unique("credential")
        base = f"{provider_side.url}/to-openai/v1"
        values = {"api_key": deployments.server.KEY, "api_base": base}
        body = {"credential_name": name, "credential_info": {"description": "ours"}, "credential_values": values}
        assert admin.post("/credentials", body)["success"] is True
        assert admin.refused("/credentials", body)[0] == 400, "the name is taken"
        shown = admin.get(f"/credentials/by_name/{name}")
        assert shown["credential_values"] == {"api_key": "****", "api_base": "****"}
        assert deployments.server.KEY not in str(admin.get("/credentials"))
        model = unique("mine")
        params = {"model": "openai/gpt-4o", "litellm_credential_name": name}
        id = admin.post("/model/new", {"model_name": model, "litellm_params": params})["model_id"]
        assert admin.ask(model)[0] == 200
        admin.post(f"/credentials/{name}", {"credential_values": {"api_key": "sk-wrong"}}, method="PATCH")
        assert admin.ask(model)[0] == 401, "the new value counts from the next request on"
        admin.post("/model/delete", {"id": id})
        admin.post(f"/credentials/{name}", method="DELETE")
        assert admin.refused(f"/credentials/by_name/{name}", method="GET")[0] == 404
