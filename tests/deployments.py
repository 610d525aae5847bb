"""The deployments that the tests ask for, and the configuration in which the gateway finds them.

A model's name says who answers: `to-anthropic` is the simulated Anthropic, `to-anthropic-fault-429` the same when it
has had enough.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from upstream import server

MASTER_KEY = "sk-outer-tests-master-key"

#: The variables from which the configuration takes the upstream's key.
ENVIRONMENT = {"OUTER_TESTS_UPSTREAM_KEY": server.KEY}


@dataclass(frozen=True)
class Provider:
    """A provider dialect, and how a configuration reaches it."""

    name: str
    model: str
    base: str
    #: a model that thinks, if that is another one
    thinker: str

    @property
    def deployment(self) -> str:
        return f"to-{self.name}"

    @property
    def thinking(self) -> str:
        return f"thinking-{self.name}"

    def failing(self, fault: str) -> str:
        return f"{self.deployment}-fault-{fault}"


OPENAI = Provider("openai", "openai/gpt-4o", "/v1", "openai/gpt-5-mini")
RESPONSES = Provider("responses", "openai/responses/gpt-4.1", "/v1", "openai/responses/gpt-5-mini")
ANTHROPIC = Provider("anthropic", "anthropic/claude-sonnet-4-5-20250929", "", "anthropic/claude-sonnet-4-5-20250929")
GEMINI = Provider("gemini", "gemini/gemini-2.5-flash", "/v1beta", "gemini/gemini-2.5-flash")
PROVIDERS = [OPENAI, RESPONSES, ANTHROPIC, GEMINI]

STATUSES = ["400", "401", "403", "404", "413", "429", "500", "503", "504", "529"]
NAMED_ERRORS = ["context-window", "content-filter"]
BROKEN_ANSWERS = [
    "reset",
    "close",
    "empty",
    "garbage",
    "garbage-body",
    "wrong-type",
    "wrong-json",
    "html-502",
    "redirect",
    "endless-body",
    "gzip-bomb",
    "refused",
]
BROKEN_BODIES = ["cut", "reset-body"]
BROKEN_STREAMS = ["cut", "reset-body", "unfinished", "error-event", "garbage-event", "hang-body"]
HANGING = ["hang", "hang-body"]
DELIVERIES = ["hold", "splinters", "endless-stream"]

#: Deployments that wait in vain give up after this many seconds.
PATIENCE = 1.5

FAULTS = sorted({*STATUSES, *NAMED_ERRORS, *BROKEN_ANSWERS, *BROKEN_BODIES, *BROKEN_STREAMS, *HANGING, *DELIVERIES})


def entry(name: str, model: str, base: str, **params: object) -> dict:
    known = {"model": model, "api_base": base, "api_key": "os.environ/OUTER_TESTS_UPSTREAM_KEY"}
    return {"model_name": name, "litellm_params": known | params}


def model_list(upstream_url: str, closed_url: str) -> list[dict]:
    entries = []
    for provider in PROVIDERS:
        for name, model in ((provider.deployment, provider.model), (provider.thinking, provider.thinker)):
            entries.append(entry(name, model, f"{upstream_url}/{name}{provider.base}"))
        for fault in FAULTS:
            name = provider.failing(fault)
            root = closed_url if fault == "refused" else upstream_url
            patience = {"timeout": PATIENCE, "stream_timeout": PATIENCE} if "hang" in fault else {}
            entries.append(entry(name, provider.model, f"{root}/{name}/fault-{fault}{provider.base}", **patience))
    for name, model, base, params in (
        ("thinking-gemini-3", "gemini/gemini-3-pro-preview", "/v1beta", {}),
        ("to-completions", "text-completion-openai/gpt-3.5-turbo-instruct", "/v1", {}),
        ("wrong-key", OPENAI.model, "/v1", {"api_key": "sk-not-the-one"}),
        ("missing-key", OPENAI.model, "/v1", {"api_key": "os.environ/OUTER_TESTS_NOT_SET"}),
    ):
        entries.append(entry(name, model, f"{upstream_url}/{name}{base}", **params))
    return entries


def configuration(upstream_url: str, closed_url: str, **sections: dict) -> str:
    """A config.yaml; JSON is YAML."""
    settings = {
        "model_list": model_list(upstream_url, closed_url),
        "litellm_settings": {"num_retries": 0, "request_timeout": 20, "drop_params": True},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "general_settings": {"master_key": MASTER_KEY},
    }
    return json.dumps(settings | sections, indent=1)
