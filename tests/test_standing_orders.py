"""What a key or its team says about all its requests: how they are routed, what becomes of them when a model's budget is
used up, and what of models that have no price."""

from __future__ import annotations

import pytest

from management import Management, unique
from subject import run
from test_budgets import HOLD, Asked
from routed import Site, configuration, site  # noqa: F401  (site is a fixture)
from upstream import Upstream

MODELS = ("first", "second")


@pytest.fixture
def admin(start, site: Site):
    model_list = [site.at(name, name) for name in MODELS]
    model_list.append(site.at("sick", "sick", "500"))
    model_list.append(site.at("new", "new") | {"litellm_params": site.at("new", "new")["litellm_params"] | {"model": "openai/gpt-99"}})
    with start(configuration(model_list, {"num_retries": 0, "disable_cooldowns": True})) as gateway:
        yield Management(gateway)


class TestRouterSettings:
    FALLBACKS = {"fallbacks": [{"sick": ["second"]}]}

    def test_a_key_falls_back_where_others_do_not(self, admin: Management, upstream: Upstream):
        key = admin.key_of(router_settings=self.FALLBACKS)
        assert Asked(admin.gateway, "sick", admin.key_of()).status == 500
        assert Asked(admin.gateway, "sick", key).place == "second"
        assert Asked(admin.gateway, "sick", key, disable_fallbacks=True).status == 500
        assert Asked(admin.gateway, "sick", key, fallbacks=["first"]).place == "first", "a request's own word comes first"
        narrow = admin.key_of(models=["sick"], router_settings=self.FALLBACKS)
        assert Asked(admin.gateway, "sick", narrow).status == 500, "nobody falls back to what they may not use"

    def test_a_team_s_hold_for_all_its_keys_that_say_nothing_else(self, admin: Management, upstream: Upstream):
        team = admin.team(router_settings=self.FALLBACKS | {"num_retries": 2})
        key = admin.key_of(team_id=team)
        assert Asked(admin.gateway, "sick", key).place == "second"
        assert len(upstream.seen("sick")) == 3
        own = admin.key_of(team_id=team, router_settings={"num_retries": 0, "model_group_alias": {"best": "first"}})
        assert Asked(admin.gateway, "sick", own).place == "second"
        assert len(upstream.seen("sick")) == 4
        assert Asked(admin.gateway, "best", own).place == "first"
        admin.post("/team/update", {"team_id": team, "router_settings": None})
        assert Asked(admin.gateway, "sick", key).status == 500, "from the next request on"

    def test_retries_and_time_outs(self, admin: Management, upstream: Upstream):
        key = admin.key_of(router_settings={"num_retries": 1, "timeout": 0.3})
        assert Asked(admin.gateway, "sick", key).status == 500
        assert len(upstream.seen("sick")) == 2
        upstream.breaks("first", "hang")
        assert Asked(admin.gateway, "first", key, num_retries=0).status == 408

    @pytest.mark.parametrize(
        ("settings", "place"),
        [
            ({"fallback": []}, "router_settings.fallback"),
            ({"num_retries": "many"}, "router_settings.num_retries"),
            ({"fallbacks": [{"a": [5]}]}, "router_settings.fallbacks[0].a[0]"),
            ({"routing_strategy": "best"}, "router_settings.routing_strategy"),
        ],
    )
    def test_what_makes_no_sense_is_refused_with_its_place(self, admin: Management, settings: dict, place: str):
        for path, more in (("/key/generate", {}), ("/team/new", {})):
            status, error = admin.refused(path, {"router_settings": settings, **more})
            assert (status, error["param"]) == (400, place), path
        key = admin.key_of()
        assert admin.refused("/key/update", {"key": key, "router_settings": settings})[1]["param"] == place


class TestBudgetFallbacks:
    def test_another_model_is_asked_when_a_model_s_budget_is_used_up(self, admin: Management, upstream: Upstream):
        key = admin.key_of(model_max_budget={"first": HOLD}, budget_fallbacks={"first": ["second"]})
        places = [Asked(admin.gateway, "first", key).place for _ in range(30)]
        assert places[0] == "first" and places[-1] == "second" and places == sorted(places)
        last = Asked(admin.gateway, "first", key)
        assert last.body["model"] == "second"
        notes = [step.get("note") for step in admin.get(f"/trace/{last.id}")["route"]]
        assert "the budget for `first` is used up; `second` is asked instead" in notes
        groups = {row["model_group"] for row in admin.get("/spend/logs", api_key=key)}
        assert groups == {"first", "second"}

    def test_a_team_s_model_budget_too(self, admin: Management, upstream: Upstream):
        team = admin.team(model_max_budget={"first": 0}, budget_fallbacks={"first": ["second"]})
        assert Asked(admin.gateway, "first", admin.key_of(team_id=team)).place == "second"

    def test_embeddings_too(self, admin: Management, upstream: Upstream):
        key = admin.key_of(model_max_budget={"first": 0}, budget_fallbacks={"first": ["second"]})
        asked = Asked(admin.gateway, "first", key, "/v1/embeddings", messages=None, max_tokens=None, input="hi")
        assert len(upstream.seen("first")) == 0 and len(upstream.seen("second")) == 1, asked.body

    def test_who_has_nothing_left_at_all_is_refused(self, admin: Management, upstream: Upstream):
        key = admin.key_of(max_budget=0, model_max_budget={"first": 0}, budget_fallbacks={"first": ["second"]})
        assert Asked(admin.gateway, "first", key).status == 422
        assert upstream.seen("second") == []


class TestModelsWithoutAPrice:
    @pytest.mark.parametrize(("policy", "status"), [("refuse", 400), ("allow", 200), (0.001, 200), (2, 422)])
    def test_a_key_s_word_on_them(self, admin: Management, upstream: Upstream, policy: object, status: int):
        key = admin.key_of(max_budget=1, unknown_price=policy)
        assert Asked(admin.gateway, "new", key).status == status
        assert Asked(admin.gateway, "first", key).status == 200

    def test_a_team_s_hold_for_its_keys(self, admin: Management, upstream: Upstream):
        team = admin.team(max_budget=1, unknown_price="refuse")
        asked = Asked(admin.gateway, "new", admin.key_of(team_id=team))
        assert (asked.status, asked.error["param"]) == (400, "model")

    def test_it_is_for_administrators_to_give(self, admin: Management, upstream: Upstream):
        user, own = admin.user()
        assert own.refused("/key/generate", {"unknown_price": "allow"})[0] == 403
        team = admin.team()
        admin.post("/team/member_add", {"team_id": team, "member": {"user_id": user, "role": "admin"}})
        status, error = own.refused("/team/update", {"team_id": team, "unknown_price": "allow"})
        assert (status, error["param"]) == (403, "unknown_price")
        assert admin.refused("/key/generate", {"unknown_price": "maybe"})[1]["param"] == "unknown_price"

    def test_nobody_is_served_them_where_the_configuration_says_so(self, start, site: Site, upstream: Upstream):
        new = site.at("new", "new")
        new["litellm_params"]["model"] = "openai/gpt-99"
        settings = {"litellm_settings": {"block_requests_for_models_without_pricing": True}}
        with start(configuration([new, site.at("first", "first")], **settings)) as gateway:
            asked = Asked(gateway, "new")
            assert (asked.status, asked.error["param"]) == (400, "model")
            assert Asked(gateway, "first").status == 200

    @pytest.mark.cli
    def test_check_lists_them(self, tmp_path):
        file = tmp_path / "config.yaml"
        file.write_text(
            "model_list:\n- {model_name: a, litellm_params: {model: openai/gpt-99, api_key: k}}\n"
            "- {model_name: b, litellm_params: {model: openai/gpt-4o, api_key: k}}\n"
            "- {model_name: c, litellm_params: {model: openai/gpt-98, api_key: k}, model_info: {input_cost_per_token: 1e-6}}\n"
        )
        checked = run("check", "--strict", str(file))
        assert "no price is known of `openai/gpt-99`" in checked.stdout
        assert "gpt-4o`" not in checked.stdout and "gpt-98" not in checked.stdout
        assert '"unpriced":["openai/gpt-99"]' in run("check", "--json", str(file)).stdout


class TestCustomers:
    """What holds for the customer that a request names."""

    def ask(self, admin: Management, model: str, key: str, customer: str) -> Asked:
        return Asked(admin.gateway, model, key, user=customer)

    def test_its_models_are_its_bounds(self, admin: Management, upstream: Upstream):
        customer = unique("customer")
        admin.post("/customer/new", {"user_id": customer, "models": ["second", "sick"]})
        key = admin.key_of()
        asked = self.ask(admin, "first", key, customer)
        assert (asked.status, asked.error["type"]) == (403, "customer_model_access_denied")
        assert self.ask(admin, "second", key, customer).status == 200
        assert self.ask(admin, "first", key, unique("other")).status == 200
        falling = admin.key_of(router_settings={"fallbacks": [{"sick": ["first"]}]})
        assert self.ask(admin, "sick", falling, customer).status == 500, "nor does it fall back beyond them"
        assert self.ask(admin, "sick", falling, unique("other")).status == 200

    def test_without_a_budget_of_its_own_it_has_the_key_s(self, admin: Management, upstream: Upstream):
        budget, rich, poor = unique("budget"), unique("rich"), unique("poor")
        admin.post("/budget/new", {"budget_id": budget, "max_budget": HOLD})
        admin.post("/customer/new", {"user_id": rich, "max_budget": 5})
        key = admin.key_of(end_user_budget_id=budget)
        statuses = [self.ask(admin, "first", key, poor).status for _ in range(30)]
        assert statuses[0] == 200 and statuses[-1] == 422
        assert self.ask(admin, "first", key, unique("new")).status == 200, "each has it for itself"
        assert self.ask(admin, "first", key, rich).status == 200
        assert self.ask(admin, "first", admin.key_of(), poor).status == 200, "other keys say nothing of it"

    def test_or_the_configuration_s(self, start, site: Site, upstream: Upstream):
        settings = {"litellm_settings": {"max_end_user_budget": 0.0000001}}
        with start(configuration([site.at("first", "first")], **settings)) as gateway:
            asked = Asked(gateway, "first", user="somebody")
            assert (asked.status, asked.error["type"]) == (422, "budget_exceeded")
            assert Asked(gateway, "first").status == 200

    def test_where_it_may_be_answered(self, start, site: Site, upstream: Upstream):
        model_list = [
            site.at("both", "berlin", region_name="eu-central-1"),
            site.at("both", "boston", region_name="us-east-1"),
        ]
        with start(configuration(model_list)) as gateway:
            admin = Management(gateway)
            customer = unique("european")
            admin.post("/customer/new", {"user_id": customer, "allowed_model_region": "eu"})
            places = {self.ask(admin, "both", admin.key_of(), customer).place for _ in range(10)}
            assert places == {"berlin"}
