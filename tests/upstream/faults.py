"""How a provider fails. A fault is named in the path (`/deployment/fault-NAME/v1/…`), so that an `api_base` carries it.

Whatever is not listed here but reads like a status (`fault-429`) is answered with that status and the dialect's error.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from .refusal import Refusal

#: Instead of an answer.
INSTEAD: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {}
#: How the frames of a stream, or the pieces of a body, reach the gateway.
DELIVERY: dict[str, Callable[[Delivery], Awaitable[None]]] = {}

MIB = 1024 * 1024


@dataclass
class Delivery:
    """An answer on its way."""

    request: web.Request
    response: web.StreamResponse
    frames: list[bytes]
    #: how many frames come before the first word
    opening: int
    #: how many frames say that the answer is complete
    closing: int
    error_event: bytes
    #: lets a held answer go on
    gate: asyncio.Event

    @property
    def half(self) -> list[bytes]:
        return self.frames[: max(1, len(self.frames) // 2)]

    @property
    def beginning(self) -> list[bytes]:
        """What a provider says before it has anything to say: who speaks, which part begins."""
        return self.frames[: self.opening]

    @property
    def keep_alive(self) -> bytes:
        return b": still here\n\n" if self.response.content_type == "text/event-stream" else b"\n"

    async def write(self, frames: list[bytes]) -> None:
        for frame in frames:
            await self.response.write(frame)

    async def end(self) -> None:
        await self.response.write_eof()


def instead(handler):
    INSTEAD[handler.__name__.replace("_", "-")] = handler
    return handler


def delivery(handler):
    DELIVERY[handler.__name__.replace("_", "-")] = handler
    return handler


def refusal_named(fault: str) -> Refusal | None:
    """The error that a fault stands for, if it stands for one."""
    if fault in ("context-window", "content-filter"):
        return Refusal(400, "see the dialect", about=fault.replace("-", "_"))
    if fault.isdigit():
        return Refusal(int(fault), f"upstream says {fault}")
    return None


def reset_connection(request: web.Request) -> None:
    """RST instead of FIN."""
    transport = request.transport
    if transport is not None:
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


def is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


async def forever(request: web.Request) -> None:
    """Until the other side hangs up."""
    while not is_gone(request):
        await asyncio.sleep(0.02)


@instead
async def reset(request: web.Request) -> web.StreamResponse:
    reset_connection(request)
    return web.Response()


@instead
async def close(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close()
    return web.Response()


@instead
async def hang(request: web.Request) -> web.StreamResponse:
    await forever(request)
    return web.Response()


@instead
async def empty(request: web.Request) -> web.StreamResponse:
    return web.Response(content_type="application/json")


@instead
async def garbage(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.write(b"\x00\xff this is not HTTP at all\r\n\r\n")
        request.transport.close()
    return web.Response()


@instead
async def garbage_body(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b"\xff\xfe{]", content_type="application/json")


@instead
async def wrong_type(request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html><body>Welcome to the captive portal</body></html>", content_type="text/html")


@instead
async def wrong_json(request: web.Request) -> web.StreamResponse:
    return web.json_response(["not", "an", "answer"])


@instead
async def html_502(request: web.Request) -> web.StreamResponse:
    return web.Response(status=502, text="<html>502 Bad Gateway</html>", content_type="text/html")


@instead
async def redirect(request: web.Request) -> web.StreamResponse:
    return web.Response(status=307, headers={"location": str(request.url.with_path("/stolen"))})


@instead
async def endless_body(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"id": "')
    block = b"x" * MIB
    for _ in range(2048):
        await response.write(block)
    return response


@instead
async def endless_stream(request: web.Request) -> web.StreamResponse:
    """One event that never ends."""
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b'data: {"id": "')
    block = b"x" * MIB
    for _ in range(2048):
        await response.write(block)
    return response


@functools.cache
def bomb() -> bytes:
    """512 MiB in 512 KiB: the members of a gzip file are read one after the other."""
    return gzip.compress(b'{"id": "') + gzip.compress(b"x" * (32 * MIB)) * 16


@instead
async def gzip_bomb(request: web.Request) -> web.StreamResponse:
    return web.Response(body=bomb(), headers={"content-encoding": "gzip", "content-type": "application/json"})


@delivery
async def cut(answer: Delivery) -> None:
    """FIN in the middle."""
    await answer.write(answer.half)
    answer.request.transport.close()


@delivery
async def reset_body(answer: Delivery) -> None:
    """RST in the middle."""
    await answer.write(answer.half)
    await asyncio.sleep(0.05)  # so that what was written arrives: RST throws away what is under way
    reset_connection(answer.request)


@delivery
async def unfinished(answer: Delivery) -> None:
    """Ends in good order for HTTP, but without the dialect's own end."""
    await answer.write(answer.frames[: -answer.closing])
    await answer.end()


@delivery
async def hang_body(answer: Delivery) -> None:
    await answer.write(answer.half)
    await forever(answer.request)


@delivery
async def slow(answer: Delivery) -> None:
    """Takes its time, but never long."""
    for frame in answer.frames:
        await asyncio.sleep(0.05)
        await answer.write([frame])
    await answer.end()


@delivery
async def early_cut(answer: Delivery) -> None:
    """FIN before the first word."""
    await answer.write(answer.beginning)
    answer.request.transport.close()


@delivery
async def early_reset(answer: Delivery) -> None:
    """RST before the first word."""
    await answer.write(answer.beginning)
    await asyncio.sleep(0.02)  # as above
    reset_connection(answer.request)


@delivery
async def early_end(answer: Delivery) -> None:
    """Ends in good order for HTTP before the first word."""
    await answer.write(answer.beginning)
    await answer.end()


@delivery
async def early_error(answer: Delivery) -> None:
    """Breaks down before the first word, and says so."""
    await answer.write([*answer.beginning, answer.error_event])
    await answer.end()


@delivery
async def early_hang(answer: Delivery) -> None:
    await answer.write(answer.beginning)
    await forever(answer.request)


@delivery
async def keep_alive(answer: Delivery) -> None:
    """Shows for ever that it is there, and never says a word."""
    await answer.write(answer.beginning)
    await hum(answer)


@delivery
async def lull(answer: Delivery) -> None:
    """The same after some words."""
    await answer.write(answer.half)
    await hum(answer)


async def hum(answer: Delivery) -> None:
    while not is_gone(answer.request):
        await answer.write([answer.keep_alive])
        await asyncio.sleep(0.02)


@delivery
async def hold(answer: Delivery) -> None:
    """Waits in the middle until the test lets it go on, or the gateway hangs up."""
    await answer.write(answer.half)
    while not answer.gate.is_set() and not is_gone(answer.request):
        await asyncio.sleep(0.01)
    await answer.write(answer.frames[len(answer.half) :])
    await answer.end()


@delivery
async def error_event(answer: Delivery) -> None:
    await answer.write(answer.half)
    await answer.write([answer.error_event])
    await answer.end()


@delivery
async def garbage_event(answer: Delivery) -> None:
    await answer.write(answer.half)
    await answer.write([b"data: {]\xff\n\n", b"data: \n\n"])
    await answer.end()


@delivery
async def splinters(answer: Delivery) -> None:
    """Cuts the bytes where no one expects it."""
    whole = b"".join(answer.frames)
    for start in range(0, len(whole), 7):
        await answer.response.write(whole[start : start + 7])
    await answer.end()
