"""Budgets of providers and deployments, answers as long as a budget pays for, attempts that are billed without an
answer, and where the days of budgets begin."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from deployments import ANTHROPIC, GEMINI, OPENAI, RESPONSES, Provider
from management import Management, unique
from subject import Gateway, run
from routed import Site, configuration, site  # noqa: F401  (site is a fixture)
from upstream import Upstream

#: A call of `ask` to gpt-4o holds less than this, and costs a twentieth of it.
HOLD = 0.0008


class Asked:
    def __init__(self, gateway: Gateway, model: str, key: str | None = None, path: str = "/v1/chat/completions", **more):
        body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 50, **more}
        if ":" not in path:
            body["model"] = model
        body = {name: value for name, value in body.items() if value is not None}
        headers = {"authorization": f"Bearer {key or gateway.key}"}
        self.status, self.headers, self.body = gateway.request("POST", path, body, headers=headers, key=False)

    @property
    def place(self) -> str:
        assert self.status == 200, self.body
        return self.headers["x-litellm-model-id"]

    @property
    def error(self) -> dict:
        assert self.status >= 400, self.body
        return self.body["error"]

    @property
    def id(self) -> str:
        return self.headers["x-litellm-call-id"]


class TestProviderBudgets:
    def both(self, start, site: Site):
        model_list = [
            site.at("both", "east", order=1),
            site.at("both", "west", provider=ANTHROPIC, order=2),
            site.at("other", "other"),
        ]
        budgets = {
            "openai": {"budget_limit": HOLD + 0.0001, "time_period": "1d"},
            "anthropic": {"max_budget": 0.0015, "budget_duration": "30d"},
        }
        return start(configuration(model_list, {"provider_budget_config": budgets, "num_retries": 0}))

    def test_who_is_spent_is_passed_over_until_nobody_is_left(self, start, site: Site, upstream: Upstream):
        with self.both(start, site) as gateway:
            admin = Management(gateway)
            places = []
            while (asked := Asked(gateway, "both")).status == 200:
                places.append(asked.place)
            assert sorted(set(places)) == ["east", "west"] and places == sorted(places), "one after the other"
            assert asked.status == 429
            assert asked.error["message"].startswith("No deployments available - crossed budget: Exceeded budget for provider ")
            assert "provider openai: " in asked.error["message"] and "provider anthropic: " in asked.error["message"]
            assert 0 < int(asked.headers["retry-after"]) <= 86_400
            assert Asked(gateway, "other").status == 429, "whichever of its deployments"
            told = run("explain", asked.id, "--url", gateway.url, "--key", gateway.key).stdout
            assert "over budget" in told and "Exceeded budget for provider openai" in told

            shown = admin.get("/provider/budgets")["providers"]
            assert (shown["openai"]["budget_limit"], shown["openai"]["time_period"]) == (pytest.approx(HOLD + 0.0001), "1d")
            assert 0 < shown["openai"]["spend"] <= HOLD + 0.0001
            midnight = (datetime.now(timezone.utc) + timedelta(days=1)).strftime("%Y-%m-%dT00:00:00")
            assert shown["openai"]["budget_reset_at"].startswith(midnight)
            rows = admin.get("/spend/logs")
            for provider, place in (("openai", "east"), ("anthropic", "west")):
                spent = sum(row["spend"] for row in rows if row["model_id"] == place)
                assert shown[provider]["spend"] == pytest.approx(spent, abs=1e-12)

    def test_what_was_spent_is_known_after_a_restart(self, start, site: Site, upstream: Upstream):
        with self.both(start, site) as gateway:
            while Asked(gateway, "other").status == 200:
                pass
        with self.both(start, site) as gateway:
            assert Asked(gateway, "other").status == 429
            assert Asked(gateway, "both").place == "west"

    def test_only_operators_see_it(self, start, site: Site, upstream: Upstream):
        with self.both(start, site) as gateway:
            _, somebody = Management(gateway).user()
            assert somebody.refused("/provider/budgets", method="GET")[0] in (401, 403)


class TestDeploymentBudgets:
    def test_who_is_spent_is_passed_over(self, start, site: Site, upstream: Upstream):
        own = {"max_budget": HOLD, "budget_duration": "7d"}
        model_list = [site.at("pair", "first", order=1, **own), site.at("pair", "second", order=2)]
        with start(configuration(model_list)) as gateway:
            places = [Asked(gateway, "pair").place for _ in range(6)]
            assert places[0] == "first" and places[-1] == "second" and places == sorted(places)
            asked = Asked(gateway, "pair")
            route = Management(gateway).get(f"/trace/{asked.id}")["route"]
            [note] = [step["note"] for step in route if "note" in step]
            assert note.startswith("`first` is passed over: Exceeded budget for deployment model_name: pair, ")
            shown = Management(gateway).get("/provider/budgets")["deployments"]["first"]
            assert (shown["model_name"], shown["budget_limit"]) == ("pair", HOLD)
            assert 0 < shown["spend"] <= HOLD

    def test_a_tags_budget_of_the_configuration(self, start, site: Site, upstream: Upstream):
        tags = {"tag_budget_config": {"dear": {"max_budget": HOLD, "budget_duration": "1d"}}}
        with start(configuration([site.at("m", "m")], litellm_settings=tags)) as gateway:
            assert Asked(gateway, "m", metadata={"tags": ["dear"]}).status == 200
            while (asked := Asked(gateway, "m", metadata={"tags": ["dear"]})).status == 200:
                pass
            assert asked.status == 422 and "Tag=dear" in asked.error["message"]
            assert Asked(gateway, "m", metadata={"tags": ["cheap"]}).status == 200


class TestModelBudgets:
    @pytest.mark.parametrize("whose", ["key", "user", "team", "budget"])
    def test_one_model_is_spent_and_others_are_not(self, start, site: Site, upstream: Upstream, whose: str):
        with start(configuration([site.at("m", "m"), site.at("n", "n")])) as gateway:
            admin = Management(gateway)
            terms = {"model_max_budget": {"m": {"budget_limit": HOLD, "time_period": "1d"}}}
            if whose == "key":
                key = admin.key_of(**terms)
            elif whose == "user":
                key = admin.user(**terms)[1].key
            elif whose == "team":
                key = admin.key_of(team_id=admin.team(**terms))
            else:
                shared = admin.post("/budget/new", {"budget_id": unique("b"), **terms})["budget_id"]
                key = admin.key_of(budget_id=shared)
            assert Asked(gateway, "m", key).status == 200
            while (asked := Asked(gateway, "m", key)).status == 200:
                pass
            assert asked.status == 422 and "over budget for model=m" in asked.error["message"]
            assert Asked(gateway, "n", key).status == 200


class TestFallbacks:
    """From a cheap model to a dear one."""

    def gateway(self, start, site: Site):
        cheap = site.at("cheap", "cheap", "500")
        cheap["litellm_params"]["model"] = "openai/gpt-4o-mini"
        router = {"num_retries": 0, "disable_cooldowns": True, "fallbacks": [{"cheap": ["dear"]}]}
        return start(configuration([cheap, site.at("dear", "dear")], router))

    def test_who_cannot_pay_for_the_dear_one_is_not_sent_there(self, start, site: Site, upstream: Upstream):
        with self.gateway(start, site) as gateway:
            admin = Management(gateway)
            # A twentieth of what the dear one may cost.
            key = admin.key_of(max_budget=HOLD / 10)
            asked = Asked(gateway, "cheap", key)
            assert asked.status == 500 and upstream.seen("dear") == []
            notes = [step.get("note", "") for step in admin.get(f"/trace/{asked.id}")["route"]]
            assert any(note.startswith("`dear` is passed over: Budget has been exceeded!") for note in notes), notes
            assert admin.get("/key/info", key=key)["info"]["spend"] == 0

    def test_no_crowd_spends_more_than_there_is(self, start, site: Site, upstream: Upstream):
        with self.gateway(start, site) as gateway:
            admin = Management(gateway)
            budget = 3 * HOLD
            key = admin.key_of(max_budget=budget)
            with ThreadPoolExecutor(16) as pool:
                asked = list(pool.map(lambda _: Asked(gateway, "cheap", key), range(120)))
            assert {one.status for one in asked} <= {200, 422, 500}
            while Asked(gateway, "cheap", key).status == 200:
                pass
            spend = admin.get("/key/info", key=key)["info"]["spend"]
            assert budget - HOLD < spend <= budget


CLIENTS = [
    (OPENAI, "/v1/chat/completions", {}, lambda body: body["max_tokens"]),
    (RESPONSES, "/v1/responses", {"messages": None, "input": "hi"}, lambda body: body["max_output_tokens"]),
    # It has to declare something.
    (ANTHROPIC, "/v1/messages", {"max_tokens": 64_000}, lambda body: body["max_tokens"]),
    (
        GEMINI,
        "/v1beta/models/m:generateContent",
        {"messages": None, "contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
        lambda body: body["generationConfig"]["maxOutputTokens"],
    ),
]


class TestBudgetFit:
    @pytest.mark.parametrize(("provider", "path", "body", "said"), CLIENTS, ids=lambda it: getattr(it, "name", ""))
    def test_an_answer_is_as_long_as_the_budget_pays_for(
        self, start, site: Site, upstream: Upstream, provider: Provider, path: str, body: dict, said
    ):
        with start(configuration([site.at("m", "m", provider=provider)])) as gateway:
            admin = Management(gateway)
            budget = 0.001
            key = admin.key_of(max_budget=budget, metadata={"budget_fit": True})
            asked = Asked(gateway, "m", key, path, **{"max_tokens": None} | body)
            assert asked.status == 200, asked.body
            first = said(upstream.seen("m")[0].body)
            assert 10 < first < 5000
            fit = admin.get(f"/trace/{asked.id}")["admission"]["fit"]
            assert fit["max_output_tokens"] == first
            while (asked := Asked(gateway, "m", key, path, **{"max_tokens": None} | body)).status == 200:
                pass
            assert asked.status == 422
            lengths = [said(seen.body) for seen in upstream.seen("m")]
            assert lengths == sorted(lengths, reverse=True) and lengths[-1] < first
            assert admin.get("/key/info", key=key)["info"]["spend"] <= budget

    def test_what_the_client_declares_stays_where_it_fits(self, start, site: Site, upstream: Upstream):
        settings = {"tollway": {"budget_fit": True}}
        with start(configuration([site.at("m", "m")], **settings)) as gateway:
            admin = Management(gateway)
            assert Asked(gateway, "m", admin.key_of(max_budget=0.01)).status == 200
            assert Asked(gateway, "m", admin.key_of(max_budget=0.01), max_tokens=None, max_completion_tokens=10**6).status == 200
            assert Asked(gateway, "m", admin.key_of(), max_tokens=None).status == 200
            team = admin.team(max_budget=0.01, metadata={"budget_fit": False})
            assert Asked(gateway, "m", admin.key_of(team_id=team), max_tokens=None).status == 200
            bodies = [seen.body for seen in upstream.seen("m")]
            assert bodies[0]["max_tokens"] == 50
            assert 100 < bodies[1]["max_completion_tokens"] < 1000
            assert "max_tokens" not in bodies[2] and "max_tokens" not in bodies[3]


class TestBilledAttempts:
    def test_who_answered_what_nobody_can_read_is_booked_too(self, start, site: Site, upstream: Upstream):
        model_list = [site.at("pair", "sick", "garbage-body", order=1), site.at("pair", "well", order=2)]
        with start(configuration(model_list, {"disable_cooldowns": True})) as gateway:
            admin = Management(gateway)
            key = admin.key_of(max_budget=1)
            asked = Asked(gateway, "pair", key)
            assert asked.place == "well"
            rows = {row["model_id"]: row for row in admin.get("/spend/logs", api_key=key)}
            assert rows["sick"]["spend"] > 0 and rows["sick"]["status"] == "failure"
            assert rows["sick"]["metadata"]["attempt_of"] == rows["well"]["request_id"]
            assert rows["sick"]["completion_tokens"] == 0, "its input alone"
            total = rows["sick"]["spend"] + rows["well"]["spend"]
            assert admin.get("/key/info", key=key)["info"]["spend"] == pytest.approx(total, abs=1e-12)
            attempts = admin.get(f"/trace/{asked.id}")["attempts"]
            assert float(attempts[0]["billed"]) == pytest.approx(rows["sick"]["spend"]) and attempts[1]["billed"] is None

    def test_who_refused_has_billed_nothing(self, start, site: Site, upstream: Upstream):
        model_list = [site.at("pair", "sick", "500", order=1), site.at("pair", "well", order=2)]
        with start(configuration(model_list, {"disable_cooldowns": True})) as gateway:
            admin = Management(gateway)
            key = admin.key_of()
            assert Asked(gateway, "pair", key).place == "well"
            assert [row["model_id"] for row in admin.get("/spend/logs", api_key=key)] == ["well"]

    @pytest.fixture
    def hedging(self, start, site: Site, upstream: Upstream) -> Iterator[Management]:
        """A pair of which the first is known to be fast, so that the second is asked when it is not."""
        model_list = [site.at("pair", "first", order=1), site.at("pair", "second", order=2)]
        hedge = {"hedge": {"min_delay_ms": 100, "max_percent": 100}}
        with start(configuration(model_list, tollway=hedge)) as gateway:
            for _ in range(20):
                assert Asked(gateway, "pair").place == "first"
            yield Management(gateway)

    def test_a_hedge_that_was_too_late_is_booked(self, hedging: Management, upstream: Upstream):
        upstream.breaks("first", "hang")
        key = hedging.key_of(max_budget=0.01)
        assert Asked(hedging.gateway, "pair", key).place == "second"
        rows = {row["model_id"]: row for row in hedging.get("/spend/logs", api_key=key)}
        assert set(rows) == {"first", "second"} and rows["first"]["spend"] > 0
        assert rows["first"]["metadata"]["attempt_of"] == rows["second"]["request_id"]
        total = rows["first"]["spend"] + rows["second"]["spend"]
        assert hedging.get("/key/info", key=key)["info"]["spend"] == pytest.approx(total, abs=1e-12)

    def test_no_hedge_without_budget_for_both(self, hedging: Management, upstream: Upstream):
        upstream.breaks("first", "slow")
        assert Asked(hedging.gateway, "pair", hedging.key_of(max_budget=HOLD)).place == "first"
        assert upstream.seen("second") == []


class TestTimeZones:
    @pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata"])
    def test_budgets_begin_anew_at_midnight_there(self, start, site: Site, upstream: Upstream, zone: str):
        settings = {"timezone": zone}
        with start(configuration([site.at("m", "m")], litellm_settings=settings)) as gateway:
            admin = Management(gateway)
            key = admin.key_of(max_budget=HOLD, budget_duration="1d", key_alias=unique("k"))
            shown = admin.get("/key/info", key=key)["info"]["budget_reset_at"]
            there = datetime.fromisoformat(shown).astimezone(ZoneInfo(zone))
            now = datetime.now(ZoneInfo(zone))
            assert (there.hour, there.minute, there.second) == (0, 0, 0)
            assert timedelta(0) <= there - now <= timedelta(hours=25)
            while (asked := Asked(gateway, "m", key)).status == 200:
                pass
            assert asked.status == 422
            wait = timedelta(seconds=int(asked.headers["retry-after"]))
            assert abs(datetime.now(ZoneInfo(zone)) + wait - there) < timedelta(minutes=1)
            assert 0 < admin.get("/key/info", key=key)["info"]["spend"] <= HOLD
