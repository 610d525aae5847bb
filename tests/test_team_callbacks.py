"""Where a team's requests are to be logged."""

import json
import sqlite3

import pytest

from management import Management, unique
from subject import Gateway

SECRET = "sk-lf-very-secret"
LANGFUSE = {
    "callback_name": "langfuse",
    "callback_type": "success",
    "callback_vars": {"langfuse_host": "https://lf.example", "langfuse_secret_key": SECRET},
}


@pytest.fixture
def admin(gateway: Gateway) -> Management:
    return Management(gateway)


def data(admin: Management, team: str) -> dict:
    return admin.get(f"/team/{team}/callback")["data"]


class TestTeamCallbacks:
    def test_added_shown_and_taken_away(self, admin: Management):
        team = admin.team(metadata={"cost_centre": 7})
        assert data(admin, team)["success_callbacks"] == []
        row = admin.post(f"/team/{team}/callback", LANGFUSE)["data"]
        assert row["team_id"] == team and row["metadata"]["cost_centre"] == 7
        both = {"callback_name": "otel", "callback_vars": {}}
        admin.post(f"/team/{team}/callback", both)
        shown = data(admin, team)
        assert (shown["success_callbacks"], shown["failure_callbacks"]) == (["langfuse", "otel"], ["otel"])
        assert shown["callback_vars"] == {"langfuse_host": "https://lf.example", "langfuse_secret_key": "****"}
        assert admin.refused(f"/team/{team}/callback", LANGFUSE)[1]["param"] == "callback_name"
        left = admin.post(f"/team/{team}/callback/langfuse", method="DELETE")["data"]
        assert left["success_callbacks"] == ["otel"] and left["callback_vars"] == {}
        assert admin.refused(f"/team/{team}/callback/langfuse", method="DELETE")[0] == 404
        answer = admin.post(f"/team/{team}/disable_logging")
        assert answer["data"]["success_callbacks"] == answer["data"]["failure_callbacks"] == []
        assert admin.get("/team/info", team_id=team)["team_info"]["metadata"] == {"cost_centre": 7, "logging": []}

    @pytest.mark.parametrize(
        ("change", "param"),
        [
            ({"callback_name": None}, "callback_name"),
            ({"callback_vars": {"a": 1}}, "callback_vars"),
            ({"callback_type": "sometimes"}, "callback_type"),
            ({"callback_var": {}}, "callback_var"),
        ],
    )
    def test_what_is_wrong_is_named(self, admin: Management, change: dict, param: str):
        status, error = admin.refused(f"/team/{admin.team()}/callback", LANGFUSE | change)
        assert (status, error["param"]) == (400, param)

    def test_they_are_the_team_s_administrators_to_say(self, admin: Management):
        team = admin.team()
        chief_name, chief = admin.user()
        member_name, member = admin.user()
        for name, role in ((chief_name, "admin"), (member_name, "user")):
            admin.post("/team/member_add", {"team_id": team, "member": {"user_id": name, "role": role}})
        chief.post(f"/team/{team}/callback", LANGFUSE)
        assert data(chief, team)["success_callbacks"] == ["langfuse"]
        assert member.refused(f"/team/{team}/callback", LANGFUSE)[0] in (401, 403)
        assert member.refused(f"/team/{team}/callback", method="GET")[0] in (401, 403)
        assert chief.refused(f"/team/{team}/disable_logging")[0] in (401, 403), "that is for those above"
        other = admin.team()
        assert chief.refused(f"/team/{other}/callback", LANGFUSE)[0] in (401, 403)

    def test_a_secret_is_nowhere_in_the_clear(self, start, config):
        with start(config) as gateway:
            admin = Management(gateway)
            team = admin.team(team_alias=unique("red"))
            answer = admin.post(f"/team/{team}/callback", LANGFUSE)
            shown = [answer, admin.get("/team/info", team_id=team), admin.get("/audit"), data(admin, team)]
            assert SECRET not in json.dumps(shown)
            with sqlite3.connect(gateway.log_file.parent / "tollway-data" / "tollway.db") as database:
                assert SECRET not in "\n".join(database.iterdump())
