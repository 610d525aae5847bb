"""Where deployments are that act as one, how they break, and what tests of routing ask and look at."""

from __future__ import annotations

import json
from collections.abc import Iterator

import deployments
import pytest
from clients import CHAT, CLIENTS, Told
from deployments import OPENAI, Provider, entry
from subject import Gateway, eventually
from upstream import Upstream
from upstream.server import closed_port

TEXT = "a b c d e f g h"
WHOLE = f'You said: "{TEXT}".'

#: How long a deployment that hangs is waited for, in seconds.
PATIENCE = 0.5

#: Before any of the answer is there.
INSTEAD = [
    *("refused", "reset", "close", "hang", "empty", "garbage", "garbage-body", "wrong-type", "wrong-json", "html-502"),
    *("redirect", "401", "403", "404", "429", "500", "503", "504", "529"),
]
#: In the midst of an answer that is not streamed.
WHOLE_ONLY = ["cut", "reset-body", "hang-body"]
#: In a stream, before the first word.
STREAM_ONLY = ["early-cut", "early-reset", "early-end", "early-error", "early-hang", "keep-alive"]
#: In a stream, after the first word.
TOO_LATE = ["cut", "reset-body", "unfinished", "error-event", "garbage-event", "hang-body", "lull"]
#: What no other deployment would make better.
HOPELESS = ["400", "413", "422", "context-window", "content-filter"]

FAULTS = list(dict.fromkeys([*INSTEAD, *WHOLE_ONLY, *STREAM_ONLY, *TOO_LATE, *HOPELESS, "slow"]))

unseen = pytest.mark.parametrize(
    ("fault", "stream"),
    [*((fault, False) for fault in INSTEAD + WHOLE_ONLY), *((fault, True) for fault in INSTEAD + STREAM_ONLY)],
    ids=lambda value: {True: "stream", False: "whole"}.get(value, value) if isinstance(value, bool) else value,
)
every_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)

#: A deployment that is slow to say anything is left for the next one after this. Slow but not silent ones must not be.
IMPATIENT = {
    "timeout": PATIENCE,
    "stream_timeout": PATIENCE,
    "first_token_timeout": PATIENCE,
    "inter_token_timeout": PATIENCE,
}
SILENT = ["hang", "hang-body", "early-hang", "keep-alive", "lull"]


def patience(fault: str) -> dict:
    """Only where it is needed: a busy machine may take its time with the others."""
    if fault == "slow":
        return {name: seconds for name, seconds in IMPATIENT.items() if name != "timeout"}
    return IMPATIENT if fault in SILENT else {}


class Site:
    """Where the deployments of a configuration are."""

    def __init__(self, upstream: Upstream, closed_url: str) -> None:
        self.upstream_url = upstream.url
        self.closed_url = closed_url

    def at(self, group: str, place: str, fault: str = "", provider: Provider = OPENAI, **params: object) -> dict:
        """A deployment with the id `place`, which is also the name under which the simulated provider knows it."""
        root = self.closed_url if fault == "refused" else self.upstream_url
        path = f"{place}/fault-{fault}" if fault else place
        return entry(group, provider.model, f"{root}/{path}{provider.base}", **params) | {"model_info": {"id": place}}


@pytest.fixture(scope="module")
def site(provider_side: Upstream) -> Iterator[Site]:
    reserved, port = closed_port()
    with reserved:
        yield Site(provider_side, f"http://127.0.0.1:{port}")


def configuration(model_list: list[dict], router: dict | None = None, **sections: dict) -> str:
    settings = {
        "model_list": model_list,
        "router_settings": router or {},
        "general_settings": {"master_key": deployments.MASTER_KEY},
    }
    return json.dumps(settings | sections, indent=1)


def ask(gateway: Gateway, model: str, stream: bool = False, **headers: str) -> Told:
    return CHAT.ask(gateway, model, TEXT, stream, **headers)


def state(gateway: Gateway, place: str) -> dict:
    """What `/router/state` says about a deployment."""
    entries = gateway.get("/router/state")[2]["deployments"]
    [found] = [entry for entry in entries if entry["model_id"] == place]
    return found


def trace(gateway: Gateway, told: Told) -> dict:
    path = f"/trace/{told.headers['x-litellm-call-id']}"
    eventually(lambda: gateway.get(path)[0] == 200, "the trace")
    return gateway.get(path)[2]


def verdicts(step: dict) -> dict[str, str]:
    return {candidate["deployment"]: candidate["verdict"] for candidate in step["candidates"]}
