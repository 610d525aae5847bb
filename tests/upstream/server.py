"""Listens, remembers what it was asked, and answers in the dialect that the path names."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from dataclasses import dataclass, field
from types import ModuleType

from aiohttp import web

from . import anthropic_messages, completions, faults, gemini, mind, openai_chat, openai_responses, services
from .refusal import Refusal

DIALECTS: list[ModuleType] = [openai_chat, openai_responses, anthropic_messages, gemini, completions]

#: The key that the gateway must present.
KEY = "sk-upstream-secret"

PATH = re.compile(r"/(?P<deployment>[^/]+)(?:/fault-(?P<fault>[^/]+))?(?P<native>/.*)")


@dataclass
class Seen:
    """A request that reached the provider."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: dict
    #: set when the answer is over, however it ended
    over: threading.Event = field(default_factory=threading.Event)
    #: set when the gateway hung up before that
    abandoned: threading.Event = field(default_factory=threading.Event)


class Upstream:
    """The simulated provider, on a thread of its own."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._seen: dict[str, list[Seen]] = {}
        self._gates: dict[str, asyncio.Event] = {}
        self._broken: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="upstream", daemon=True)

    def __enter__(self) -> Upstream:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _listen(self) -> None:
        app = web.Application(client_max_size=256 * faults.MIB)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def seen(self, deployment: str) -> list[Seen]:
        """What reached the deployment since the last `forget`."""
        return self._seen.setdefault(deployment, [])

    def forget(self) -> None:
        self._seen.clear()
        self._gates.clear()
        self._broken.clear()

    def release(self, deployment: str) -> None:
        """Lets answers go on that the fault `hold` has stopped."""
        self._loop.call_soon_threadsafe(self._gate(deployment).set)

    def breaks(self, deployment: str, fault: str) -> None:
        """From now on the deployment has the fault, whatever its path says."""
        self._broken[deployment] = fault

    def heals(self, deployment: str) -> None:
        self._broken.pop(deployment, None)

    def _gate(self, deployment: str) -> asyncio.Event:
        return self._gates.setdefault(deployment, asyncio.Event())

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        found = PATH.fullmatch(request.path)
        raw = await request.read()
        try:
            is_form = request.content_type == "multipart/form-data"
            body = json.loads(raw or b"{}") if not is_form else {"form": raw}
        except ValueError:
            return web.json_response(
                {"error": {"message": "We could not parse the JSON body of your request."}}, status=400
            )
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen = Seen(request.method, request.path, dict(request.query), headers, body)
        self.seen(found["deployment"] if found else "").append(seen)
        try:
            return await self._answer(request, seen, found)
        except (ConnectionResetError, asyncio.CancelledError):
            seen.abandoned.set()
            raise
        finally:
            if faults.is_gone(request):
                seen.abandoned.set()
            seen.over.set()

    async def _answer(self, request: web.Request, seen: Seen, found: re.Match | None) -> web.StreamResponse:
        routes = ((dialect, dialect.PATH.fullmatch(found["native"])) for dialect in DIALECTS if found)
        dialect, path = next(((dialect, path) for dialect, path in routes if path), (None, None))
        service = services.PATH.fullmatch(found["native"]) if found else None
        if service and not found["fault"] and found["deployment"] not in self._broken:
            return services.answer(service["service"], seen.body)
        fault = self._broken.get(found["deployment"], found["fault"] or "") if found else ""
        if fault in faults.INSTEAD:
            return await faults.INSTEAD[fault](request)
        if dialect is None:
            return web.json_response({"error": {"message": f"no such path: {request.path}"}}, status=404)
        try:
            if refusal := faults.refusal_named(fault):
                raise refusal
            if dialect.sign_in(seen.headers, seen.query) != KEY:
                raise Refusal(401, "Incorrect API key provided.")
            question = dialect.read(seen.body, path)
        except Refusal as refusal:
            headers = {"retry-after": "7"} if refusal.status == 429 else {}
            return web.json_response(dialect.error(refusal), status=refusal.status, headers=headers)
        return await self._deliver(request, seen, dialect, fault, question, found["deployment"])

    async def _deliver(self, request, seen, dialect, fault, question, deployment) -> web.StreamResponse:
        answer = mind.answer(question)
        headers = {"x-request-id": "req-upstream1", "x-ratelimit-remaining-requests": "99"}
        if question.stream:
            frames = dialect.events(seen.body, question, answer)
            first_word = json.dumps(next(iter(mind.pieces(answer.text)), ""), ensure_ascii=False).encode()
            opening = next((number for number, frame in enumerate(frames) if first_word in frame), 0)
            headers["content-type"] = "text/event-stream"
            closing = dialect.CLOSING_FRAMES
        else:
            whole = json.dumps(dialect.whole(seen.body, question, answer), ensure_ascii=False).encode()
            frames = [whole[: len(whole) // 2], whole[len(whole) // 2 :]]
            headers["content-type"] = "application/json"
            opening, closing = 0, 1
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        event = dialect.error_event(Refusal(500, "the model broke down"))
        sent = faults.Delivery(request, response, frames, opening, closing, event, self._gate(deployment))
        if fault in faults.DELIVERY:
            await faults.DELIVERY[fault](sent)
        else:
            await sent.write(frames)
            await sent.end()
        return response


def closed_port() -> tuple[socket.socket, int]:
    """A port where connections are refused, for as long as the socket lives."""
    reserved = socket.socket()
    reserved.bind(("127.0.0.1", 0))
    return reserved, reserved.getsockname()[1]
