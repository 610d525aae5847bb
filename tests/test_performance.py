"""What the log tells of how requests went: the cache's part, and how fast and how well deployments answered."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from management import Management, unique
from test_budgets import Asked
from routed import Site, configuration, site  # noqa: F401  (site is a fixture)
from upstream import Upstream

TODAY = {"start_date": str(date.today() - timedelta(days=1)), "end_date": str(date.today() + timedelta(days=1))}


@pytest.fixture
def admin(start, site: Site):
    model_list = [site.at("well", "east"), site.at("sick", "west", "500"), site.at("busy", "north", "429")]
    cache = {"litellm_settings": {"cache": True, "cache_params": {"type": "local"}}}
    alerts = {"general_settings": {"master_key": "sk-outer-tests-master-key", "alerting_threshold": 300}}
    router = {"num_retries": 0, "disable_cooldowns": True}
    with start(configuration(model_list, router, **cache, **alerts)) as gateway:
        yield Management(gateway)


class TestCacheHits:
    def test_by_key_and_model(self, admin: Management, upstream: Upstream):
        alias = unique("cached")
        key = admin.key_of(key_alias=alias)
        for _ in range(3):
            assert Asked(admin.gateway, "well", key).status == 200
        assert Asked(admin.gateway, "well", admin.key_of()).status == 200
        rows = admin.get("/global/activity/cache_hits", **TODAY)
        assert {row["api_key"] for row in rows} == {alias, "Unnamed Key"}
        [own] = admin.get("/global/activity/cache_hits", key_aliases=f"x,{alias}", **TODAY)
        assert (own["model"], own["total_rows"], own["cache_hit_true_rows"]) == ("well", 3, 2)
        assert own["cached_completion_tokens"] == 2 * own["generated_completion_tokens"] > 0
        assert admin.get("/global/activity/cache_hits", models="none", **TODAY) == []
        assert admin.get("/global/activity/cache_hits", start_date="2020-01-01", end_date="2020-01-02") == []


class TestExceptions:
    def test_how_often_providers_throttled(self, admin: Management, upstream: Upstream):
        for model in ("busy", "busy", "sick", "well"):
            Asked(admin.gateway, model)
        told = admin.get("/global/activity/exceptions", model_group="busy", **TODAY)
        assert told["sum_num_rate_limit_exceptions"] == 2
        assert [row["num_rate_limit_exceptions"] for row in told["daily_data"]] == [2]
        [row] = admin.get("/global/activity/exceptions/deployment", model_group="busy", **TODAY)
        assert row["deployment"] == "north" and row["sum_num_rate_limit_exceptions"] == 2
        assert "/north/fault-429/v1" in row["api_base"]
        none = admin.get("/global/activity/exceptions", model_group="sick", **TODAY)
        assert none == {"daily_data": [], "sum_num_rate_limit_exceptions": 0}
        assert admin.refused("/global/activity/exceptions", method="GET")[1]["param"] == "model_group"

    def test_of_which_class(self, admin: Management, upstream: Upstream):
        for model in ("busy", "sick", "sick", "well"):
            Asked(admin.gateway, model)
        told = admin.get("/model/metrics/exceptions")
        rows = {row["model"]: row for row in told["data"]}
        assert told["exception_types"] == ["InternalServerError", "RateLimitError"]
        assert rows["west"]["InternalServerError"] == 2 and rows["north"]["RateLimitError"] == 1
        assert "east" not in rows


class TestSpeed:
    def test_seconds_per_token_and_to_the_first_one(self, admin: Management, upstream: Upstream):
        key = admin.key_of()
        assert Asked(admin.gateway, "well", key, cache={"no-cache": True}).status == 200
        streamed = Asked(admin.gateway, "well", key, cache={"no-cache": True}, stream=True)
        assert streamed.status == 200
        for path in ("/model/metrics", "/model/streaming_metrics"):
            told = admin.get(path, _selected_model_group="well")
            [row] = told["data"]
            assert told["all_api_bases"] == ["east"] and 0 < row["east"] < 10, path
            assert admin.get(path, _selected_model_group="sick") == {"data": [], "all_api_bases": []}
            assert admin.get(path, api_key=admin.key_of())["data"] == []
        [slow] = admin.get("/model/metrics/slow_responses")
        assert (slow["model_id"], slow["total_count"], slow["slow_count"]) == ("east", 2, 0)
        of_stream, of_whole = admin.get("/spend/logs", api_key=key)
        assert of_stream["startTime"] <= of_stream["completionStartTime"] <= of_stream["endTime"]
        assert of_whole["completionStartTime"] == of_whole["endTime"], "all of it comes at once"

    def test_who_manages_nothing_sees_none_of_it(self, admin: Management):
        _, plain = admin.user()
        for path in ("/model/metrics", "/global/activity/cache_hits", "/model/metrics/exceptions"):
            assert plain.refused(path, method="GET")[0] == 401
