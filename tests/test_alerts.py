"""Alerts: who is told of what, how often, and what if they cannot be told."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

import deployments
from alert_receivers import MailServer, WebhookServer
from management import Management, unique
from subject import Process, eventually, run

#: What one call to the model costs: 10 tokens in and 20 out at gpt-4o's prices.
CALL = 0.000225

SECRET = "/services/T0PSECRET"


@pytest.fixture
def hooks() -> Iterator[WebhookServer]:
    with WebhookServer() as server:
        yield server


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


def variables(hooks: WebhookServer, mail: MailServer | None = None) -> dict[str, str]:
    set_up = {
        "WEBHOOK_URL": hooks.url + "/webhook",
        "SLACK_WEBHOOK_URL": hooks.url + SECRET,
        "MS_TEAMS_WEBHOOK_URL": hooks.url + "/teams",
    }
    if mail:
        set_up |= {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(mail.port), "SMTP_TLS": "False"}
        set_up |= {"SMTP_SENDER_EMAIL": "Tollway <gate@example.com>"}
    return set_up


def configuration(env: dict[str, str], channels: list[str], tollway: dict | None = None, **general: object) -> str:
    mock = {"model": "openai/gpt-4o", "api_key": "k", "mock_response": "hello"}
    sick = {"model": "openai/gpt-4o", "api_key": "k", "mock_response": "litellm.InternalServerError"}
    return json.dumps(
        {
            "model_list": [
                {"model_name": "m", "litellm_params": mock},
                {"model_name": "sick", "litellm_params": sick, "model_info": {"id": "sick-one"}},
            ],
            "general_settings": {"master_key": deployments.MASTER_KEY, "alerting": channels, **general},
            "router_settings": {"num_retries": 0},
            "environment_variables": env,
            "tollway": {"watch": False, **(tollway or {})},
        }
    )


def ask(gateway: Process, key: str, model: str = "m") -> int:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    return gateway.post("/v1/chat/completions", body, headers={"authorization": f"Bearer {key}"}, key=False)[0]


def metric(gateway: Process, name: str) -> float:
    lines = gateway.get("/metrics")[2].splitlines()
    return sum(float(line.split(" ")[-1]) for line in lines if line.startswith(name + "{") or line.startswith(name + " "))


class TestBudgets:
    def test_a_soft_budget_is_told_once_to_everybody_whom_it_concerns(self, start, hooks, mail):
        env = variables(hooks, mail)
        config = configuration(
            env, ["webhook", "slack", "ms_teams", "email"], tollway={"alert_emails": ["ops@example.com"]}
        )
        with start(config) as gateway:
            admin = Management(gateway)
            user = admin.post("/user/new", {"user_id": unique("ada"), "user_email": "ada@example.com"})["user_id"]
            alias = unique("ci")
            made = admin.post(
                "/key/generate", {"user_id": user, "key_alias": alias, "soft_budget": 1.5 * CALL, "max_budget": 1}
            )
            for _ in range(5):
                assert ask(gateway, made["key"]) == 200
            eventually(lambda: len(mail.letters) == 2, "two letters")
            eventually(lambda: hooks.at("/webhook") and hooks.at("/teams") and hooks.at(SECRET), "three messages")
            [event] = hooks.at("/webhook")
            expected = {
                "event": "soft_budget_crossed",
                "event_group": "key",
                "event_message": f"Key Budget: Soft Budget Crossed Total Soft Budget:`{1.5 * CALL:.7f}`",
                "spend": 2 * CALL,
                "max_budget": 1,
                "soft_budget": 1.5 * CALL,
                "token": made["token"],
                "key_alias": alias,
                "user_id": user,
                "user_email": "ada@example.com",
                "team_id": None,
            }
            assert {name: event[name] for name in expected} == pytest.approx(expected)
            assert "Soft Budget Crossed" in hooks.at(SECRET)[0]["text"]
            assert hooks.at("/teams")[0]["attachments"][0]["content"]["type"] == "AdaptiveCard"
            assert sorted(letter["to"] for letter in mail.letters) == ["ada@example.com", "ops@example.com"]
            letter = mail.letters[0]
            assert letter["from"] == "Tollway <gate@example.com>"
            assert "Soft Budget Crossed" in letter["subject"] and alias in letter.get_content()
            eventually(lambda: metric(gateway, "tollway_alerts_sent_total") == 5, "the count of all five")
        assert len(hooks.taken) == 3 and len(mail.letters) == 2, "nothing was told twice"

    def test_the_end_of_a_budget_is_told_once_however_many_are_refused(self, start, hooks):
        with start(configuration(variables(hooks), ["webhook"])) as gateway:
            key = Management(gateway).key_of(max_budget=2.5 * CALL, budget_duration="30d")
            statuses = [ask(gateway, key) for _ in range(8)]
            assert statuses.count(200) >= 2 and statuses[-1] == 422
            eventually(lambda: "budget_crossed" in [event["event"] for event in hooks.at("/webhook")], "the alert")
        events = [event["event"] for event in hooks.at("/webhook")]
        assert events.count("budget_crossed") == 1
        # Half of a month's budget within seconds: the rest will not last.
        assert events.count("projected_limit_exceeded") == 1
        [projected] = [event for event in hooks.at("/webhook") if event["event"] == "projected_limit_exceeded"]
        assert projected["projected_spend"] > projected["max_budget"] and projected["projected_exceeded_date"]

    def test_teams_have_budgets_too(self, start, hooks):
        with start(configuration(variables(hooks), ["webhook"])) as gateway:
            admin = Management(gateway)
            team = admin.post("/team/new", {"team_alias": unique("red"), "max_budget": 1.1 * CALL})
            key = admin.key_of(team_id=team["team_id"])
            assert ask(gateway, key) == 200
            eventually(lambda: hooks.at("/webhook"), "the alert")
        event = hooks.at("/webhook")[0]
        assert (event["event"], event["event_group"]) == ("threshold_crossed", "team")
        assert event["event_message"] == "Team Budget: 15% Threshold Crossed"
        assert (event["team_id"], event["team_alias"]) == (team["team_id"], team["team_alias"])


class TestDeployments:
    def test_failures_are_told_and_many_of_them_are_an_outage(self, start, hooks):
        with start(configuration(variables(hooks), ["webhook"])) as gateway:
            for _ in range(12):
                assert ask(gateway, gateway.key, "sick-one") == 500
            kinds = lambda: {event["alert_type"] for event in hooks.at("/webhook")}  # noqa: E731
            eventually(lambda: {"llm_exceptions", "outage_alerts"} <= kinds(), "the alerts")
        messages = [event["event_message"] for event in hooks.at("/webhook")]
        assert sum("failed: `sick` on `sick-one`" in message for message in messages) == 1
        assert [message for message in messages if "Outage" in message and "sick-one" in message]

    def test_only_what_is_wanted_is_told(self, start, hooks):
        config = configuration(variables(hooks), ["webhook"], alert_types=["new_virtual_key_created"])
        with start(config) as gateway:
            assert ask(gateway, gateway.key, "sick-one") == 500
            made = Management(gateway).post("/key/generate", {"key_alias": unique("new")})
            eventually(lambda: hooks.at("/webhook"), "the alert")
        [event] = hooks.at("/webhook")
        assert (event["event"], event["token"]) == ("key_created", made["token"])
        assert made["key"] not in str(event)

    def test_kinds_have_slack_addresses_of_their_own(self, start, hooks):
        own = {"llm_exceptions": [hooks.url + "/one", "os.environ/SECOND_URL"]}
        config = configuration(
            variables(hooks) | {"SECOND_URL": hooks.url + "/two"}, ["slack"], alert_to_webhook_url=own
        )
        with start(config) as gateway:
            assert ask(gateway, gateway.key, "sick-one") == 500
            eventually(lambda: hooks.at("/one") and hooks.at("/two"), "the alerts")
        assert "llm_exceptions" in hooks.at("/two")[0]["text"] and not hooks.at(SECRET)

    def test_what_is_slow_is_told(self, start, hooks):
        with start(configuration(variables(hooks), ["slack"], alerting_threshold=0.000001)) as gateway:
            assert ask(gateway, gateway.key) == 200
            eventually(lambda: hooks.at(SECRET), "the alert")
        assert "Responses are slow" in hooks.at(SECRET)[0]["text"]


class TestTrouble:
    def test_a_receiver_that_hangs_keeps_nobody_waiting(self, start, hooks):
        hooks.gate.clear()
        with start(configuration(variables(hooks), ["webhook"])) as gateway:
            assert ask(gateway, gateway.key, "sick-one") == 500
            began = time.monotonic()
            for _ in range(20):
                assert ask(gateway, gateway.key) == 200
            assert time.monotonic() - began < 5
            hooks.gate.set()
            eventually(lambda: hooks.at("/webhook"), "the alert")

    def test_what_did_not_arrive_is_sent_again(self, start, hooks):
        hooks.answers = [503]
        with start(configuration(variables(hooks), ["webhook"], alert_types=["llm_exceptions"])) as gateway:
            assert ask(gateway, gateway.key, "sick-one") == 500
            eventually(lambda: hooks.at("/webhook"), "the second attempt")
            eventually(lambda: metric(gateway, "tollway_alerts_sent_total") == 1, "its count")
            assert metric(gateway, "tollway_alerts_failed_total") == 0

    def test_what_cannot_arrive_is_logged_without_its_address_and_told_the_next_time(self, start, hooks):
        hooks.answers = [404]
        with start(configuration(variables(hooks), ["slack"], alert_types=["llm_exceptions"])) as gateway:
            assert ask(gateway, gateway.key, "sick-one") == 500
            eventually(lambda: "an alert could not be sent" in gateway.log, "the line in the log")
            assert metric(gateway, "tollway_alerts_failed_total") == 1
            assert ask(gateway, gateway.key, "sick-one") == 500
            eventually(lambda: hooks.at(SECRET), "the alert of the second failure")
            assert "T0PSECRET" not in gateway.log


class TestTryingOut:
    def test_a_test_alert_arrives(self, start, hooks, mail):
        env = variables(hooks, mail) | {"TEST_EMAIL_ADDRESS": "me@example.com"}
        with start(configuration(env, ["webhook", "slack", "email"])) as gateway:
            for service in ("webhook", "slack", "email"):
                status, _, answer = gateway.get(f"/health/services?service={service}")
                assert (status, answer["status"]) == (200, "success"), answer
            assert len(hooks.at("/webhook")) == len(hooks.at(SECRET)) == 1
            assert hooks.at("/webhook")[0]["event"] == "budget_crossed"
            assert [letter["to"] for letter in mail.letters] == ["me@example.com"]
            # It is not ordered.
            assert gateway.get("/health/services?service=ms_teams")[0] == 422
            status, _, answer = gateway.get("/health/services?service=carrier_pigeon")
            assert status == 400 and "carrier_pigeon" in answer["error"]["message"]
            hooks.answers = [404]
            status, _, answer = gateway.get("/health/services?service=slack")
            assert status == 502 and "404" in answer["error"]["message"] and "T0PSECRET" not in str(answer)
            user_key = Management(gateway).key_of()
            own = {"authorization": f"Bearer {user_key}"}
            assert gateway.get("/health/services?service=slack", headers=own, key=False)[0] == 401

    def test_mail_does_not_go_out_in_the_clear(self, start, hooks, mail):
        env = variables(hooks, mail) | {"TEST_EMAIL_ADDRESS": "me@example.com", "SMTP_TLS": "True"}
        with start(configuration(env, ["email"])) as gateway:
            status, _, answer = gateway.get("/health/services?service=email")
            assert (status, mail.letters) == (502, []), answer

    def test_settings_are_shown_without_addresses(self, start, hooks):
        with start(configuration(variables(hooks), ["slack"], alerting_args={"budget_alert_ttl": 60})) as gateway:
            status, _, fields = gateway.get("/alerting/settings")
            assert status == 200
            shown = {field["field_name"]: field for field in fields}
            assert (shown["alerting"]["field_value"], shown["budget_alert_ttl"]["field_value"]) == (["slack"], 60)
            assert shown["budget_alert_ttl"]["field_default_value"] == 86400
            assert "T0PSECRET" not in str(fields)

    def test_what_has_no_effect_is_said(self, tmp_path):
        file = tmp_path / "config.yaml"
        types = ["budget_alerts", "spend_reports", "buget_alerts"]
        file.write_text(configuration({}, ["slack", "pagerduty", "slak"], alert_types=types))
        report = run("check", str(file)).stdout
        for words in (
            "no alerts go to `slack`: it has no address",
            "`pagerduty` of `alerting` is known but not yet effective",
            "there is no `slak` for `alerting`",
            "`spend_reports` of `alert_types` is known but not yet effective",
            "did you mean `budget_alerts`?",
        ):
            assert words in report, report


class TestExpiringKeys:
    def test_the_owner_is_told_once_also_after_a_restart(self, start, hooks, mail):
        config = configuration(
            variables(hooks, mail), ["webhook", "email"], tollway={"key_expiry_check_s": 0.2}
        )
        with start(config) as gateway:
            admin = Management(gateway)
            user = admin.post("/user/new", {"user_id": unique("ada"), "user_email": "ada@example.com"})["user_id"]
            alias = unique("ci")
            soon = admin.post("/key/generate", {"user_id": user, "key_alias": alias, "duration": "3d"})
            admin.key_of(duration="30d")
            admin.key_of()
            eventually(lambda: mail.letters and hooks.at("/webhook"), "the alert")
        with start(config) as gateway:
            # It looks again, and again.
            other = Management(gateway).post("/key/generate", {"duration": "3d", "key_alias": unique("other")})
            eventually(lambda: len(hooks.at("/webhook")) == 2, "the next key's alert")
        first, second = hooks.at("/webhook")
        assert (first["event"], first["token"], second["token"]) == ("expiring_keys", soon["token"], other["token"])
        assert f"Key `{alias}` expires in" in first["event_message"]
        assert [letter["to"] for letter in mail.letters] == ["ada@example.com"]


class TestRotation:
    """Keys that get new secrets by themselves; their owners get them by mail."""

    ENABLED = {"LITELLM_KEY_ROTATION_ENABLED": "true", "LITELLM_KEY_ROTATION_CHECK_INTERVAL_SECONDS": "0.2"}

    def test_the_owner_gets_the_new_secret_and_then_the_old_one_ends(self, start, hooks, mail):
        config = configuration(
            variables(hooks, mail) | self.ENABLED, ["webhook"], alert_types=["virtual_key_updated"]
        )
        with start(config) as gateway:
            admin = Management(gateway)
            user = admin.post("/user/new", {"user_id": unique("ada"), "user_email": "ada@example.com"})["user_id"]
            made = admin.post("/key/generate", {"user_id": user, "auto_rotate": True, "rotation_interval": "2s"})
            assert "warnings" not in made and made["key_rotation_at"] and made["rotation_count"] == 0
            kept = admin.key_of(user_id=user)
            eventually(lambda: ask(gateway, made["key"]) == 401, "the end of the old secret")
            text = mail.letters[0].get_content()
            assert mail.letters[0]["to"] == "ada@example.com"
            admin.post("/key/update", {"key": made["token"], "auto_rotate": False})
            # The last letter has the secret that counts.
            secrets = [line for letter in mail.letters for line in letter.get_content().splitlines()]
            secret = [line for line in secrets if line.startswith("sk-")][-1]
            assert ask(gateway, secret) == ask(gateway, kept) == 200
            info = admin.get("/key/info", key=secret)["info"]
            assert info["rotation_count"] == len(mail.letters) and info["last_rotation_at"]
            assert info["key_rotation_at"] is None and info["auto_rotate"] is False
            log = admin.get("/audit", object_id=made["token"], action="rotated")["audit_logs"]
            assert log[0]["changed_by"] == "key_rotation" and secret not in str(log)
            assert secret not in gateway.log and "sk-..." in text
            eventually(lambda: hooks.at("/webhook"), "the alert of the change")

    def test_no_secret_is_lost_while_mail_is_not_taken(self, start, hooks, mail):
        env = variables(hooks, mail) | self.ENABLED | {"SMTP_PORT": "9"}
        with start(configuration(env, [])) as gateway:
            admin = Management(gateway)
            user = admin.post("/user/new", {"user_id": unique("ada"), "user_email": "ada@example.com"})["user_id"]
            key = admin.key_of(user_id=user, auto_rotate=True, rotation_interval="1s")
            eventually(lambda: "keeps its secret" in gateway.log, "the line in the log")
            assert ask(gateway, key) == 200

    def test_what_cannot_rotate_says_so(self, start, hooks, mail):
        rotating = {"auto_rotate": True, "rotation_interval": "30d"}
        with start(configuration({}, [])) as gateway:
            [warning] = Management(gateway).post("/key/generate", rotating)["warnings"]
            assert "LITELLM_KEY_ROTATION_ENABLED" in warning
        with start(configuration(self.ENABLED, [])) as gateway:
            [warning] = Management(gateway).post("/key/generate", rotating)["warnings"]
            assert "no mail is set up" in warning
        with start(configuration(self.ENABLED | variables(hooks, mail), [])) as gateway:
            admin = Management(gateway)
            made = admin.post("/key/generate", {})
            [warning] = admin.post("/key/update", {"key": made["key"], **rotating})["warnings"]
            assert "user_email" in warning
            status, error = admin.refused("/key/generate", {"auto_rotate": True})
            assert (status, error["param"]) == (400, "rotation_interval")


class TestWrongKeys:
    def test_an_address_that_presents_many_waits_and_known_keys_do_not(self, start):
        config = configuration({}, [], tollway={"wrong_keys_burst": 3, "wrong_keys_per_s": 0.1})
        with start(config) as gateway:
            good = Management(gateway).key_of()
            assert ask(gateway, good) == 200
            statuses = [ask(gateway, f"sk-wrong-{number:016}") for number in range(6)]
            assert statuses[:3] == [401, 401, 401] and statuses[-1] == 429
            wrong = {"authorization": "Bearer sk-wrong-9999999999999999"}
            status, headers, _ = gateway.get("/v1/models", headers=wrong, key=False)
            assert status == 429 and 1 <= int(headers["retry-after"]) <= 10
            assert ask(gateway, good) == ask(gateway, gateway.key) == 200
