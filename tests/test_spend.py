"""What was spent, and who changed what."""

import csv
import io
import json
import re
import sqlite3

import pytest

from management import Management, unique
from subject import Gateway, run


@pytest.fixture
def admin(gateway: Gateway) -> Management:
    return Management(gateway)


@pytest.fixture
def own(start, config):
    """A gateway whose books hold what this test did and nothing else."""
    with start(config) as gateway:
        yield Management(gateway)


def rows_of(admin: Management, key: str) -> list[dict]:
    return admin.get("/spend/logs", api_key=key)


class TestSpend:
    def test_what_a_key_spent_is_the_sum_of_its_rows(self, admin: Management):
        key = admin.key_of()
        caller = admin.with_key(key)
        for model in ("to-openai", "to-anthropic", "to-openai", "no-such-model"):
            caller.ask(model)
        rows = rows_of(admin, key)
        served = [row for row in rows if row["status"] == "success"]
        assert [row["model_group"] for row in served] == ["to-openai", "to-anthropic", "to-openai"]
        assert all(row["spend"] > 0 and row["total_tokens"] == row["prompt_tokens"] + row["completion_tokens"]
                   for row in rows if row["status"] == "success")
        total = admin.get("/key/info", key=key)["info"]["spend"]
        assert total == pytest.approx(sum(row["spend"] for row in rows), abs=1e-12)
        assert all(re.fullmatch(r"[0-9a-f]{16}", row["metadata"]["price_list"]) for row in rows if row["spend"])
        one = admin.get("/spend/logs", request_id=rows[0]["request_id"])
        assert one == [rows[0]]
        assert admin.get(f"/spend/logs/ui/{rows[0]['request_id']}")["spend"] == rows[0]["spend"]

    def test_content_of_a_stream_begins_before_it_ends(self, admin: Management):
        key = admin.key_of()
        caller = admin.with_key(key)
        caller.ask()
        caller.ask(stream=True)
        whole, streamed = rows_of(admin, key)[::-1]
        assert whole["completionStartTime"] == whole["endTime"]
        assert streamed["startTime"] <= streamed["completionStartTime"] <= streamed["endTime"]
        assert "first_token_ms" not in streamed["metadata"]

    def test_pages_cursors_and_csv(self, admin: Management):
        key = admin.key_of()
        for _ in range(5):
            admin.with_key(key).ask()
        first = admin.get("/spend/logs/v2", api_key=key, page_size=2)
        assert (first["total"], first["total_pages"], len(first["data"])) == (5, 3, 2)
        seen = [row["request_id"] for row in first["data"]]
        cursor = first["next_cursor"]
        while cursor:
            page = admin.get("/spend/logs/v2", api_key=key, page_size=2, cursor=cursor)
            seen += [row["request_id"] for row in page["data"]]
            cursor = page["next_cursor"]
        assert len(seen) == len(set(seen)) == 5
        assert admin.get("/spend/logs/ui", api_key=key, status_filter="failure")["total"] == 0
        table = admin.get("/spend/logs/v2", api_key=key, format="csv")
        parsed = list(csv.DictReader(io.StringIO(table)))
        assert [row["request_id"] for row in parsed] == seen
        assert admin.refused("/spend/logs/v2", method="GET", cursor="x")[1]["param"] == "cursor"
        assert admin.refused("/spend/logs", method="GET", start_date="21.11.2026")[1]["param"] == "start_date"

    def test_all_reports_agree(self, own: Management):
        team = own.team()
        user, _ = own.user()
        key = own.key_of(team_id=team, user_id=user, tags=["blue"], key_alias="k")
        for model in ("to-openai", "to-gemini"):
            assert own.with_key(key).ask(model, user="customer-1")[0] == 200
        assert own.ask()[0] == 200
        rows = own.get("/spend/logs")
        total = pytest.approx(sum(row["spend"] for row in rows), abs=1e-12)
        of_key = pytest.approx(sum(row["spend"] for row in rows if row["team_id"] == team), abs=1e-12)
        assert {row["api_key"] for row in rows if row["team_id"] is None} == {"litellm_proxy_master_key"}
        assert own.get("/global/spend")["spend"] == total
        assert sum(day["spend"] for day in own.get("/global/spend/logs")) == total
        assert sum(row["total_spend"] for row in own.get("/global/spend/models")) == total
        assert sum(row["spend"] for row in own.get("/global/spend/provider")) == total
        assert sum(row["total_spend"] for row in own.get("/global/spend/keys")) == total
        assert own.get("/global/spend/teams")["total_spend_per_team"][0]["total_spend"] == of_key
        assert own.get("/spend/tags")[0]["individual_request_tag"] == "blue"
        assert own.get("/spend/tags")[0]["total_spend"] == of_key
        assert own.get("/global/spend/tags")["spend_per_tag"][0]["spend"] == of_key
        assert own.get("/spend/keys")[0]["spend"] == of_key
        assert own.get("/spend/users", user_id=user)[0]["spend"] == of_key
        assert own.post("/global/spend/end_users")[0]["total_spend"] == of_key
        assert own.get("/global/activity")["sum_api_requests"] == 3
        activity = own.get("/user/daily/activity")
        assert activity["metadata"]["total_spend"] == total and activity["metadata"]["total_api_requests"] == 3
        of_team = own.get("/team/daily/activity", team_ids=team)["results"][0]
        assert of_team["metrics"]["spend"] == of_key
        assert of_team["breakdown"]["entities"][team]["metrics"]["spend"] == of_key
        [id] = of_team["breakdown"]["api_keys"]
        assert of_team["breakdown"]["api_keys"][id]["metadata"]["key_alias"] == "k"
        assert own.get("/tag/daily/activity", tags="blue")["metadata"]["total_spend"] == of_key
        assert own.get("/customer/daily/activity", end_user_ids="customer-1")["metadata"]["total_spend"] == of_key
        report = own.get("/global/spend/report", group_by="team")
        assert report[0]["teams"][0]["total_spend"] == of_key
        assert own.get("/team/spend/report", team_id=team)[0]["total_cost"] == of_key
        day = report[0]["group_by_day"][:10]
        assert own.get("/spend/logs", start_date=day, end_date=day)[0]["spend"] == total

    def test_everybody_sees_their_own(self, admin: Management):
        user, own = admin.user()
        own.ask()
        admin.with_key(admin.key_of()).ask()
        assert {row["user"] for row in own.get("/spend/logs")} == {user}
        assert own.get("/user/daily/activity")["metadata"]["total_api_requests"] == 1
        assert own.refused("/user/daily/activity", method="GET", user_id="somebody")[0] == 403
        assert [row["user_id"] for row in own.get("/spend/users")] == [user]
        assert {row["user_id"] for row in own.get("/spend/keys")} == {user}

    def test_what_something_costs(self, admin: Management):
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 4}}
        answer = admin.post("/spend/calculate", {"completion_response": {"model": "to-openai", "usage": usage}})
        assert answer == {"cost": pytest.approx(9.25e-5)}
        messages = [{"role": "user", "content": "hi"}]
        assert admin.post("/spend/calculate", {"model": "to-openai", "messages": messages})["cost"] > 0
        assert admin.refused("/spend/calculate", {"model": "no-such", "messages": messages})[1]["param"] == "model"

    def test_only_the_master_key_sets_all_spend_to_zero(self, own: Management):
        secret = own.key_of()
        own.with_key(secret).ask()
        assert own.get("/key/info", key=secret)["info"]["spend"] > 0
        assert own.post("/global/spend/reset")["status"] == "success"
        assert own.get("/key/info", key=secret)["info"]["spend"] == 0
        assert rows_of(own, secret)[0]["spend"] > 0, "rows stay"


class TestAudit:
    def test_who_changed_what_from_what_to_what(self, own: Management):
        made = own.post("/key/generate", {"metadata": {"langfuse_secret_key": "sk-lf-1"}})
        user, chief = own.user("proxy_admin")
        chief.post("/key/update", {"key": made["key"], "max_budget": 5})
        chief.post("/key/block", {"key": made["key"]})
        own.post("/key/delete", {"keys": [made["key"]]})
        log = own.get("/audit", object_id=made["token"])
        assert [(one["action"], one["changed_by"]) for one in log["audit_logs"]] == [
            ("deleted", "default_user_id"), ("blocked", user), ("updated", user), ("created", "default_user_id"),
        ]
        assert log["total"] == 4
        updated = log["audit_logs"][2]
        assert updated["table_name"] == "LiteLLM_VerificationToken"
        assert updated["before_value"]["details"]["allowance"]["budget"].get("max") is None
        assert updated["updated_values"]["details"]["allowance"]["budget"]["max"] == 5_000_000_000
        assert "sk-lf-1" not in json.dumps(log) and made["key"] not in json.dumps(log)
        assert own.get(f"/audit/{updated['id']}") == updated
        assert own.get("/audit", changed_by=user)["total"] == 2
        assert own.get("/audit", action="blocked")["total"] == 1
        assert own.refused("/audit/no-such", method="GET")[0] == 404

    def test_what_was_refused_is_in_no_log(self, own: Management):
        own.refused("/team/new", {"max_budget": -1})
        own.refused("/key/generate", {"team_id": "no-such"})
        assert own.get("/audit")["total"] == 0


@pytest.mark.cli
class TestCommands:
    def test_keys_teams_users_budgets_and_reports_from_the_terminal(self, own: Management):
        env = {"TOLLWAY_URL": own.gateway.url, "TOLLWAY_API_KEY": own.key}

        def tollway(*arguments: str, code: int = 0) -> str:
            done = run(*arguments, **env)
            assert done.returncode == code, (arguments, done.stdout, done.stderr)
            return done.stdout if code == 0 else done.stderr

        team = json.loads(tollway("teams", "new", "team_alias=red", "max_budget=10", "--json"))["team_id"]
        secret = json.loads(
            tollway("keys", "new", f"team_id={team}", "key_alias=ci", "models=to-openai,to-gemini", "--json")
        )["key"]
        assert own.with_key(secret).ask()[0] == 200
        assert "ci" in tollway("keys", "list") and "red" in tollway("teams", "list")
        assert json.loads(tollway("keys", "info", secret, "--json"))["models"] == ["to-openai", "to-gemini"]
        tollway("keys", "update", secret, "max_budget=2")
        tollway("keys", "block", secret)
        assert own.with_key(secret).ask()[0] == 401
        tollway("keys", "unblock", secret)
        tollway("users", "new", "user_id=ada", "user_role=internal_user")
        assert "ada" in tollway("users", "list")
        tollway("budgets", "new", "budget_id=small", "max_budget=1")
        assert "small" in tollway("budgets", "list")
        report = tollway("report", "--by", "team,model", "--since", "7d")
        assert "red" in report and "gpt-4o" in report
        assert "created" in tollway("changes")
        assert "nearest: `max_budget`" in tollway("keys", "new", "max_bugdet=1", code=1)
        tollway("keys", "delete", secret)
        assert own.with_key(secret).ask()[0] == 401

    def test_the_books_are_checked_and_copied_while_the_gateway_runs(self, own: Management, tmp_path):
        folder = own.gateway.log_file.parent
        config = str(folder / "config.yaml")
        secret = own.key_of()
        assert own.with_key(secret).ask()[0] == 200
        assert rows_of(own, secret)
        checked = run("audit", "--config", config)
        assert (checked.returncode, checked.stdout) == (0, "all sums agree with their rows\n"), checked.stderr
        copy = tmp_path / "copy.db"
        assert run("backup", "--config", config, str(copy)).returncode == 0
        with sqlite3.connect(copy) as database:
            [[rows]] = database.execute("SELECT COUNT(*) FROM spend")
            database.execute("UPDATE daily_spend SET cost_nano = cost_nano + 1")
        assert rows == 1
        again = run("backup", "--config", config, str(copy))
        assert again.returncode == 1 and "copy.db" in again.stderr

        (other := tmp_path / "other").mkdir()
        copy.rename(other / "tollway.db")
        wrong = run("audit", "--config", config, TOLLWAY_DATA=str(other))
        assert wrong.returncode == 1 and "expected" in wrong.stdout
        nowhere = run("audit", "--config", config, TOLLWAY_DATA=str(tmp_path / "nowhere"))
        assert nowhere.returncode == 2 and "there is no database" in nowhere.stderr
