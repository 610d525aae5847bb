"""Teams, members, users, organizations, customers, budgets, tags: and who may do what."""

import pytest

from management import BUDGET, Management, unique
from subject import Gateway


@pytest.fixture
def admin(gateway: Gateway) -> Management:
    return Management(gateway)


class TestTeams:
    def test_made_changed_shown_deleted(self, admin: Management):
        alias = unique("red")
        team = admin.post("/team/new", {"team_alias": alias, "max_budget": 10, "models": ["to-openai"]})
        assert (team["team_alias"], team["max_budget"], team["models"]) == (alias, 10, ["to-openai"])
        id = team["team_id"]
        changed = admin.post("/team/update", {"team_id": id, "max_budget": 20, "budget_duration": "7d"})
        assert changed["team_id"] == id and changed["data"]["max_budget"] == 20 and changed["data"]["budget_reset_at"]
        key = admin.key_of(team_id=id)
        info = admin.get("/team/info", team_id=id)
        assert info["team_info"]["team_alias"] == alias and len(info["keys"]) == 1
        assert id in [row["team_id"] for row in admin.get("/team/list")]
        page = admin.get("/v2/team/list", team_alias=alias)
        assert (page["total"], page["teams"][0]["team_id"]) == (1, id)
        assert admin.post("/team/delete", {"team_ids": [id]}) == {"deleted_teams": [id]}
        assert admin.refused("/team/info", method="GET", team_id=id)[0] == 404
        assert admin.with_key(key).ask()[0] == 401, "its keys go with it"

    def test_models_and_budget_hold_for_its_keys(self, admin: Management):
        team = admin.team(models=["to-openai"], max_budget=BUDGET)
        keys = [admin.with_key(admin.key_of(team_id=team)) for _ in range(2)]
        status, answer = keys[0].ask("to-gemini")
        assert status == 403 and answer["error"]["type"] == "team_model_access_denied"
        answers = [key.ask() for _ in range(6) for key in keys]
        assert 200 in [status for status, _ in answers]
        status, answer = answers[-1]
        assert status == 422 and answer["error"]["message"].startswith(f"Budget has been exceeded! Team={team}")
        assert admin.get("/team/info", team_id=team)["team_info"]["spend"] <= BUDGET

    def test_blocked_and_unblocked(self, admin: Management):
        team = admin.team()
        key = admin.with_key(admin.key_of(team_id=team))
        assert admin.post("/team/block", {"team_id": team})["blocked"] is True
        status, answer = key.ask()
        assert status == 401 and answer["error"]["message"].startswith(f"Team={team} is blocked")
        admin.post("/team/unblock", {"team_id": team})
        assert key.ask()[0] == 200

    def test_members_with_budgets_of_their_own(self, admin: Management):
        team = admin.team()
        ada = unique("ada")
        added = admin.post(
            "/team/member_add",
            {"team_id": team, "member": {"user_id": ada, "role": "user"}, "max_budget_in_team": BUDGET},
        )
        assert [member["user_id"] for member in added["members_with_roles"]] == [ada]
        assert added["updated_users"][0]["user_id"] == ada
        assert added["updated_team_memberships"][0]["litellm_budget_table"]["max_budget"] == BUDGET
        key = admin.with_key(admin.key_of(team_id=team, user_id=ada))
        while (answer := key.ask())[0] == 200:
            pass
        assert answer[0] == 422 and "TeamMember=" in answer[1]["error"]["message"]
        admin.post("/team/member_update", {"team_id": team, "user_id": ada, "max_budget_in_team": 1})
        assert key.ask()[0] == 200
        admin.post("/team/member_delete", {"team_id": team, "user_id": ada})
        assert key.ask()[0] == 401, "a member's keys of the team go with them"
        assert admin.refused("/team/member_delete", {"team_id": team, "user_id": ada})[0] == 404

    def test_members_by_mail_and_many_at_once(self, admin: Management):
        team = admin.team(team_member_budget=3)
        mail = unique("ada") + "@example.com"
        admin.post("/team/member_add", {"team_id": team, "member": [{"user_email": mail, "role": "admin"}]})
        answer = admin.post(
            "/team/bulk_member_add",
            {"team_id": team, "members": [{"user_id": unique("m"), "role": "user"}, {"user_email": mail}]},
        )
        assert (answer["successful_additions"], answer["failed_additions"]) == (1, 1)
        memberships = admin.get("/team/info", team_id=team)["team_memberships"]
        assert [one["litellm_budget_table"]["max_budget"] for one in memberships] == [3, 3]
        status, error = admin.refused("/team/member_add", {"team_id": team, "member": {"role": "user"}})
        assert (status, error["param"]) == (400, "member[0]")


class TestUsers:
    def test_made_with_a_key_changed_listed_deleted(self, admin: Management):
        mail = unique("Ada") + "@Example.com"
        made = admin.post("/user/new", {"user_email": mail, "user_role": "internal_user", "max_budget": 5})
        assert made["key"].startswith("sk-") and made["user_email"] == mail.lower()
        id = made["user_id"]
        assert admin.post("/user/update", {"user_id": id, "max_budget": 6})["data"]["max_budget"] == 6
        info = admin.get("/user/info", user_id=id)
        assert info["user_info"]["max_budget"] == 6 and len(info["keys"]) == 1 and info["teams"] == []
        assert admin.get("/v2/user/info", user_id=id)["user_email"] == mail.lower()
        page = admin.get("/user/list", search=mail.lower())
        assert (page["total"], page["users"][0]["key_count"]) == (1, 1)
        assert admin.refused("/user/new", {"user_email": mail})[1]["param"] == "user_email"
        assert admin.post("/user/delete", {"user_ids": [id]}) == 1
        assert admin.refused("/user/info", method="GET", user_id=id)[0] == 404
        assert admin.with_key(made["key"]).ask()[0] == 401

    def test_their_budget_holds_for_all_their_keys(self, admin: Management):
        user, first = admin.user(max_budget=BUDGET)
        second = admin.with_key(admin.key_of(user_id=user))
        answers = [key.ask() for _ in range(6) for key in (first, second)]
        assert answers[0][0] == 200 and answers[-1][0] == answers[-2][0] == 422
        assert answers[-1][1]["error"]["message"].startswith(f"ExceededBudget: User={user} over budget")


ACME = {"organization_alias": "acme", "max_budget": 100, "models": ["to-openai"]}

#: How the documentation groups the management API.
MANAGED = (
    "keys",
    "teams",
    "users",
    "organizations",
    "customers",
    "budgets",
    "tags",
    "access groups",
    "spend",
    "audit log",
    "model management",
    "credentials",
)


class TestOrganizations:
    def test_made_changed_members_deleted(self, admin: Management):
        made = admin.post("/organization/new", ACME)
        id = made["organization_id"]
        assert made["litellm_budget_table"]["max_budget"] == 100
        changed = admin.post("/organization/update", {"organization_id": id, "max_budget": 50}, method="PATCH")
        assert changed["max_budget"] == 50
        ada = unique("ada")
        added = admin.post(
            "/organization/member_add", {"organization_id": id, "member": {"user_id": ada, "role": "org_admin"}}
        )
        assert added["updated_organization_memberships"][0]["user_role"] == "org_admin"
        info = admin.get("/organization/info", organization_id=id)
        assert [member["user_id"] for member in info["members"]] == [ada]
        team = admin.team(organization_id=id)
        status, error = admin.refused("/organization/delete", {"organization_ids": [id]}, method="DELETE")
        assert status == 400 and "1 teams" in error["message"]
        admin.post("/team/delete", {"team_ids": [team]})
        admin.post("/organization/delete", {"organization_ids": [id]}, method="DELETE")
        assert admin.refused("/organization/info", method="GET", organization_id=id)[0] == 404

    def test_its_administrator_manages_what_is_in_it_and_no_more(self, admin: Management):
        id = admin.post("/organization/new", ACME)["organization_id"]
        user, chief = admin.user()
        member = {"user_id": user, "role": "org_admin"}
        admin.post("/organization/member_add", {"organization_id": id, "member": member})
        team = chief.post("/team/new", {"organization_id": id, "models": ["to-openai"], "max_budget": 10})["team_id"]
        assert chief.post("/key/generate", {"team_id": team})["team_id"] == team
        chief.post("/team/block", {"team_id": team})
        for body, param in (({"models": ["to-gemini"]}, "models"), ({"max_budget": 101}, "max_budget")):
            status, error = chief.refused("/team/new", {"organization_id": id, **body})
            assert (status, error["param"]) == (403, param)
        assert chief.refused("/team/new", {})[0] == 403, "a team of no organization"
        assert chief.refused("/team/info", method="GET", team_id=admin.team())[0] == 403
        assert chief.refused("/organization/new", {"organization_alias": "b"})[0] == 401


class TestCustomersBudgetsTags:
    def test_a_customer_s_budget_and_block(self, admin: Management):
        id = unique("customer")
        made = admin.post("/customer/new", {"user_id": id, "max_budget": BUDGET, "alias": "A"})
        assert made["litellm_budget_table"]["max_budget"] == BUDGET
        key = admin.with_key(admin.key_of())
        while (answer := key.ask(user=id))[0] == 200:
            pass
        assert answer[1]["error"]["message"].startswith(f"ExceededBudget: End User={id} over budget")
        assert admin.get("/end_user/info", end_user_id=id)["spend"] > 0
        admin.post("/customer/update", {"user_id": id, "max_budget": 1})
        assert key.ask(user=id)[0] == 200
        assert admin.post("/customer/block", {"user_ids": [id]})["blocked_users"][0]["blocked"] is True
        assert key.ask(user=id)[0] == 401
        admin.post("/end_user/unblock", {"user_ids": [id]})
        assert key.ask(user=id)[0] == 200
        assert admin.post("/customer/delete", {"user_ids": [id]})["deleted_customers"] == 1
        assert admin.refused("/customer/info", method="GET", end_user_id=id)[0] == 404

    def test_a_shared_budget(self, admin: Management):
        id = unique("budget")
        made = admin.post("/budget/new", {"budget_id": id, "max_budget": 0.000001, "budget_duration": "30d"})
        assert made["budget_reset_at"].endswith("-01T00:00:00.000000Z")
        secret = admin.key_of(budget_id=id)
        assert admin.with_key(secret).ask()[0] == 422
        admin.post("/budget/update", {"budget_id": id, "max_budget": 1})
        assert admin.with_key(secret).ask()[0] == 200
        assert admin.get("/key/info", key=secret)["info"]["litellm_budget_table"]["max_budget"] == 1
        assert [row["budget_id"] for row in admin.post("/budget/info", {"budgets": [id]})] == [id]
        assert id in [row["budget_id"] for row in admin.get("/budget/list")]
        assert "max_budget" in [row["field_name"] for row in admin.get("/budget/settings", budget_id=id)]
        assert admin.post("/budget/delete", {"id": id})["budget_id"] == id
        assert admin.refused("/budget/update", {"budget_id": id})[0] == 404

    def test_a_tag_s_budget(self, admin: Management):
        name = unique("tag")
        admin.post("/tag/new", {"name": name, "max_budget": BUDGET, "description": "ours"})
        key = admin.with_key(admin.key_of(tags=[name]))
        while (answer := key.ask())[0] == 200:
            pass
        assert answer[0] == 422 and f"Tag={name}" in answer[1]["error"]["message"]
        assert admin.post("/tag/info", {"names": [name]})[name]["spend"] > 0
        assert name in [row["name"] for row in admin.get("/tag/list")]
        admin.post("/tag/update", {"name": name, "max_budget": 1})
        assert key.ask()[0] == 200
        admin.post("/tag/delete", {"name": name})


class TestPermissions:
    """The table of routes decides; a test of its crate walks role × route × owner. Here: that it is asked."""

    def test_strangers_and_viewers_reach_nothing_of_others(self, admin: Management):
        owner, _ = admin.user()
        victim = admin.key_of(user_id=owner)
        team = admin.team()
        for role in ("internal_user", "internal_user_viewer"):
            _, other = admin.user(role)
            for path, body in (
                ("/key/update", {"key": victim, "max_budget": 1}),
                ("/key/delete", {"keys": [victim]}),
                ("/key/regenerate", {"key": victim}),
                ("/key/block", {"key": victim}),
                (f"/key/{victim}/reset_spend", {"reset_to": 0}),
                ("/key/generate", {"user_id": owner}),
                ("/key/generate", {"team_id": team}),
                ("/team/update", {"team_id": team, "team_alias": "mine"}),
                ("/team/member_add", {"team_id": team, "member": {"user_id": "x"}}),
                ("/team/delete", {"team_ids": [team]}),
                ("/user/update", {"user_id": owner, "user_alias": "x"}),
                ("/user/new", {}),
                ("/budget/new", {}),
                ("/customer/new", {"user_id": "x"}),
                ("/global/spend/reset", None),
            ):
                assert other.refused(path, body)[0] in (401, 403), (role, path)
            for path, query in (
                ("/key/info", {"key": victim}),
                ("/team/info", {"team_id": team}),
                ("/user/info", {"user_id": owner}),
                ("/global/spend", {}),
                ("/audit", {}),
                ("/spend/logs", {"user_id": owner}),
            ):
                assert other.refused(path, method="GET", **query)[0] in (401, 403), (role, path)
            assert admin.get("/key/info", key=victim)["info"]["max_budget"] is None

    def test_a_viewing_administrator_looks_and_changes_nothing(self, admin: Management):
        _, viewer = admin.user("proxy_admin_viewer")
        secret = admin.key_of()
        assert viewer.get("/key/info", key=secret)
        assert viewer.get("/global/spend") and viewer.get("/audit") and viewer.get("/user/list")
        status, error = viewer.refused("/key/update", {"key": secret, "max_budget": 1})
        assert status == 401
        assert error["message"].startswith("Authentication Error, Only proxy admin can be used to generate, delete")
        assert "Your role=proxy_admin_viewer" in error["message"]

    def test_an_administrator_s_key_does_all_but_what_is_the_master_s(self, admin: Management):
        _, chief = admin.user("proxy_admin")
        assert chief.post("/team/new", {"team_alias": unique("t")})["admins"]
        assert chief.refused("/global/spend/reset")[0] == 401

    def test_users_make_and_see_their_own_keys(self, admin: Management):
        user, own = admin.user(models=["to-openai"], max_budget=5)
        made = own.post("/key/generate", {"key_alias": unique("own"), "max_budget": 1})
        assert made["user_id"] == user
        assert made["token"] in own.get("/key/list")["keys"]
        assert own.get("/key/list", user_id="somebody-else")["keys"] == []
        assert own.post("/key/update", {"key": made["key"], "max_budget": 2})["max_budget"] == 2
        assert own.post("/key/delete", {"keys": [made["key"]]})

    def test_nobody_gives_what_they_do_not_have(self, admin: Management):
        user, own = admin.user(models=["to-openai"], max_budget=5)
        for body, param in (
            ({"models": ["to-gemini"]}, "models"),
            ({"models": ["all-proxy-models"]}, "models"),
            ({"max_budget": 6}, "max_budget"),
        ):
            status, error = own.refused("/key/generate", body)
            assert (status, error["param"]) == (403, param), body
        # A key passes its own bounds on.
        bounds = {"rpm_limit": 5, "max_budget": 1, "duration": "1h", "allowed_routes": ["/key/generate"]}
        narrow = admin.with_key(admin.key_of(user_id=user, models=["to-openai"], **bounds))
        child = narrow.post("/key/generate", {})
        assert (child["rpm_limit"], child["max_budget"], child["allowed_routes"]) == (5, 1, ["/key/generate"])
        assert child["expires"]
        assert narrow.refused("/key/generate", {"rpm_limit": 6})[1]["param"] == "rpm_limit"
        assert narrow.refused("/key/generate", {"allowed_routes": ["llm_api_routes"]})[1]["param"] == "allowed_routes"
        # What an administrator set is not theirs to lift.
        given = admin.key_of(user_id=user, max_budget=1, models=["to-openai"])
        assert own.refused("/key/update", {"key": given, "max_budget": 3})[1]["param"] == "max_budget"
        assert own.refused("/key/update", {"key": given, "max_budget": None})[1]["param"] == "max_budget"
        assert own.refused("/key/update", {"key": given, "spend": 0})[1]["param"] == "spend"
        assert own.refused("/user/update", {"user_id": user, "max_budget": 100})[1]["param"] == "max_budget"
        assert own.refused("/user/update", {"user_id": user, "user_role": "proxy_admin"})[1]["param"] == "user_role"
        admin.post("/key/block", {"key": given})
        assert own.refused("/key/update", {"key": given, "blocked": False})[1]["param"] == "blocked"
        assert own.refused("/key/unblock", {"key": given})[0] in (401, 403)

    def test_a_team_s_administrator_manages_it_within_its_bounds(self, admin: Management):
        user, chief = admin.user()
        team = admin.team(max_budget=10, models=["to-openai"])
        admin.post("/team/member_add", {"team_id": team, "member": {"user_id": user, "role": "admin"}})
        assert chief.post("/team/update", {"team_id": team, "team_alias": "ours"})["data"]["team_alias"] == "ours"
        assert chief.post("/key/generate", {"team_id": team})["team_id"] == team
        mate = unique("mate")
        chief.post("/team/member_add", {"team_id": team, "member": {"user_id": mate, "role": "user"}})
        made = chief.post("/key/generate", {"team_id": team, "user_id": mate})
        assert (made["user_id"], made["allowed_routes"]) == (mate, ["llm_api_routes"])
        for body, param in (
            ({"max_budget": 11}, "max_budget"),
            ({"max_budget": None}, "max_budget"),
            ({"models": []}, "models"),
            ({"blocked": True}, "blocked"),
            ({"spend": 0}, "spend"),
        ):
            status, error = chief.refused("/team/update", {"team_id": team, **body})
            assert (status, error["param"]) == (403, param), body
        assert chief.refused("/key/generate", {"team_id": team, "user_id": "stranger"})[1]["param"] == "user_id"
        assert chief.refused("/key/generate", {"team_id": team, "models": ["to-gemini"]})[1]["param"] == "models"
        assert chief.refused("/team/delete", {"team_ids": [team]})[0] in (401, 403)

    def test_nobody_gets_a_key_that_acts_as_somebody_else(self, admin: Management):
        user, chief = admin.user()
        boss, _ = admin.user("proxy_admin")
        team = admin.team()
        for member, role in ((user, "admin"), (boss, "user")):
            admin.post("/team/member_add", {"team_id": team, "member": {"user_id": member, "role": role}})
        theirs = admin.key_of(team_id=team, user_id=boss)
        own = chief.key_of(team_id=team)
        assert chief.with_key(chief.key_of(team_id=team, user_id=boss)).refused("/user/new", {})[0] == 403
        for path, body in (
            ("/key/generate", {"team_id": team, "user_id": boss, "allowed_routes": ["management_routes"]}),
            ("/key/generate", {"team_id": team, "user_id": boss, "key_type": "management"}),
            ("/key/regenerate", {"key": theirs}),
            ("/key/update", {"key": theirs, "allowed_routes": ["/user/new"]}),
            ("/key/update", {"key": own, "user_id": boss}),
        ):
            status, error = chief.refused(path, body)
            assert (status, error["param"]) == (403, "allowed_routes"), (path, body)

    def test_members_do_what_their_team_permits(self, admin: Management):
        user, own = admin.user()
        team = admin.team()
        admin.post("/team/member_add", {"team_id": team, "member": {"user_id": user, "role": "user"}})
        assert own.refused("/key/generate", {"team_id": team})[0] == 403
        listed = admin.get("/team/permissions_list", team_id=team)
        assert listed["team_member_permissions"] == ["/key/info", "/key/health"]
        assert "/key/generate" in listed["all_available_permissions"]
        admin.post(
            "/team/permissions_update",
            {"team_id": team, "team_member_permissions": ["/key/info", "/key/generate"]},
        )
        assert own.post("/key/generate", {"team_id": team})["team_id"] == team
        assert own.refused("/key/generate", {"team_id": team, "user_id": "somebody"})[0] == 403
        assert own.get("/team/info", team_id=team)["team_id"] == team
        status, error = admin.refused(
            "/team/permissions_update", {"team_id": team, "team_member_permissions": ["/user/new"]}
        )
        assert (status, error["param"]) == (400, "team_member_permissions")

    def test_a_program_s_key_sees_itself_and_nothing_else(self, admin: Management):
        made = admin.post("/key/generate", {})
        program = admin.with_key(made["key"])
        assert program.get("/key/info")["info"]["key_name"] == made["key_name"]
        assert program.post("/key/health")["key"] == "healthy"
        assert program.refused("/key/generate", {})[0] == 401
        assert program.refused("/key/update", {"key": made["key"], "max_budget": None})[0] == 401
        assert program.get("/key/list")["keys"] == []

    def test_every_route_of_the_table_is_served_and_needs_a_key(self, admin: Management):
        paths = admin.get("/openapi.json")["paths"]
        managed = [
            (method.upper(), path)
            for path, methods in paths.items()
            for method, operation in methods.items()
            if operation["tags"][0] in MANAGED and operation["security"]
        ]
        assert len(managed) > 200
        for method, path in managed:
            real = path.replace("{", "").replace("}", "")
            status, _, answer = admin.gateway.request(method, real, None if method == "GET" else {}, key=False)
            assert status == 401, (method, path, status, answer)
            status, answer = admin.call(method, real, None if method == "GET" else {"nonsense_field": 1})
            assert status != 405 and answer != {"detail": "Not Found"}, (method, path, status, answer)
