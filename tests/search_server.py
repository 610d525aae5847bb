"""A Redis with search, or a Valkey, of the tests' own: it keeps strings and hashes until they expire, and finds the nearest of
vectors by looking at all of them. It takes the commands that a cache sends, in the forms that both servers' documentation has
(redis.io/docs/latest/commands, valkey.io/commands), and words its errors as the one or the other does."""

from __future__ import annotations

import fnmatch
import math
import re
import socketserver
import struct
import threading
import time
from collections.abc import Callable

#: What both servers take as a filter by tag with a search for neighbours behind it.
QUERY = re.compile(r"\(@(?P<tag>\w+):\{(?P<value>\w+)\}\)=>\[KNN (?P<count>\d+) @(?P<field>\w+) \$(?P<param>\w+) AS (?P<score>\w+)\]")


class Refused(Exception):
    """An error as the server words it."""


class Status(str):
    """An answer that is no data, such as OK."""


class SearchServer:
    """`kind` is `redis` or `valkey`."""

    def __init__(self, kind: str = "redis") -> None:
        self.kind = kind
        #: by name: the value, and when it ends
        self.keys: dict[str, tuple[bytes | dict[str, bytes], float]] = {}
        #: by name: prefix, tag fields, vector fields with their dimensions
        self.indexes: dict[str, dict] = {}
        #: every command, its name in capitals
        self.asked: list[list[bytes]] = []
        #: commands that are not permitted
        self.denied: set[str] = set()
        #: how long searches take
        self.pause = 0.0
        #: nothing is answered before this is set
        self.gate = threading.Event()
        self.gate.set()
        self.lock = threading.Lock()
        owner = self

        class Connection(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                session = Session(owner)
                while words := read(self.rfile):
                    owner.gate.wait(60)
                    self.wfile.write(written(session.do(words)))

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A connection that is given up is what some tests are about."""

        self.server = Server(("127.0.0.1", 0), Connection)
        self.port: int = self.server.server_address[1]

    def __enter__(self) -> SearchServer:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()

    def freeze(self) -> None:
        self.gate.clear()

    def thaw(self) -> None:
        self.gate.set()

    def hashes(self) -> dict[str, dict[str, bytes]]:
        """Those that have not expired."""
        now = time.monotonic()
        with self.lock:
            kept = list(self.keys.items())
        return {name: value for name, (value, end) in kept if isinstance(value, dict) and end > now}

    def flush(self) -> None:
        """Forgets keys and indexes, as FLUSHALL does."""
        with self.lock:
            self.keys.clear()
            self.indexes.clear()

    def value(self, name: str) -> bytes | dict[str, bytes] | None:
        value, end = self.keys.get(name, (None, 0.0))
        return value if end > time.monotonic() else None

    # Commands

    def get(self, name: bytes) -> bytes | None:
        return self.value(name.decode())

    def set(self, name: bytes, value: bytes, unit: bytes, ttl: bytes) -> Status:
        assert unit == b"PX"
        self.keys[name.decode()] = (value, time.monotonic() + int(ttl) / 1000)
        return Status("OK")

    def exists(self, name: bytes) -> int:
        return int(self.value(name.decode()) is not None)

    def unlink(self, *names: bytes) -> int:
        return sum(self.keys.pop(name.decode(), None) is not None for name in names)

    def scan(self, cursor: bytes, _match: bytes, pattern: bytes, _count: bytes, _number: bytes) -> list:
        assert cursor == b"0"
        return [b"0", [name.encode() for name in self.keys if fnmatch.fnmatchcase(name, pattern.decode())]]

    def hset(self, name: bytes, *pairs: bytes) -> int:
        fields = {key.decode(): value for key, value in zip(pairs[::2], pairs[1::2], strict=True)}
        known = self.value(name.decode())
        self.keys[name.decode()] = ((known or {}) | fields, math.inf)
        return len(fields)

    def pexpire(self, name: bytes, ttl: bytes) -> int:
        value = self.value(name.decode())
        self.keys[name.decode()] = (value, time.monotonic() + int(ttl) / 1000)
        return 1

    def command_info(self, name: bytes) -> list:
        return [[name.lower(), -3, [], 0, 0, 0]] if name.decode() in COMMANDS else [None]

    def ft_create(self, index: bytes, *words: bytes) -> Status:
        name = index.decode()
        if name in self.indexes:
            valkey = self.kind == "valkey"
            raise Refused(f"Index {name} in database 0 already exists." if valkey else "Index already exists")
        on, hashes, prefix, one, start, schema, *fields = [word.decode() for word in words]
        assert (on, hashes, prefix, one, schema) == ("ON", "HASH", "PREFIX", "1", "SCHEMA"), words
        made = {"prefix": start, "tags": set(), "vectors": {}}
        while fields:
            field, kind, *fields = fields
            match kind:
                case "TAG":
                    made["tags"].add(field)
                case "VECTOR":
                    algorithm, count, *rest = fields
                    options, fields = rest[: int(count)], rest[int(count) :]
                    options = dict(zip(options[::2], options[1::2], strict=True))
                    assert algorithm in ("HNSW", "FLAT")
                    assert (options["TYPE"], options["DISTANCE_METRIC"]) == ("FLOAT32", "COSINE")
                    made["vectors"][field] = int(options["DIM"])
                case _:
                    raise Refused(f"Invalid field type for field `{field}`")
        self.indexes[name] = made
        return Status("OK")

    def ft_search(self, index: bytes, query: bytes, *words: bytes) -> list:
        name = index.decode()
        if name not in self.indexes:
            valkey = self.kind == "valkey"
            raise Refused(f"Index with name '{name}' not found in database 0" if valkey else f"{name}: no such index")
        made = self.indexes[name]
        options = search_options(list(words))
        assert options["DIALECT"] == [b"2"], "vectors are searched in dialect 2"
        asked = QUERY.fullmatch(query.decode())
        if not asked or asked["tag"] not in made["tags"]:
            raise Refused("Syntax error at offset 0")
        params = options["PARAMS"]
        params = {key.decode(): value for key, value in zip(params[::2], params[1::2], strict=True)}
        wanted, dimensions = params[asked["param"]], made["vectors"][asked["field"]]
        if len(wanted) != 4 * dimensions:
            raise Refused(f"query vector blob size ({len(wanted)}) does not match index's expected size ({4 * dimensions}).")
        found = []
        for key, fields in [*self.keys.items()]:
            fields = self.value(key)
            if not key.startswith(made["prefix"]) or not isinstance(fields, dict):
                continue
            vector = fields.get(asked["field"], b"")
            # What does not fit is not in the index.
            if len(vector) == len(wanted) and asked["value"] in fields[asked["tag"]].decode().lower().split(","):
                found.append((distance(vector, wanted), key, fields))
        found = sorted(found, key=lambda row: row[0])[: int(asked["count"])]
        offset, count = (int(number) for number in options["LIMIT"])
        answer: list = [len(found)]
        for apart, key, fields in found[offset : offset + count]:
            told = {asked["score"]: f"{apart:.12g}".encode()} | fields
            returned = [field.decode() for field in options["RETURN"]]
            pairs = [part for field in returned if field in told for part in (field.encode(), told[field])]
            answer += [key.encode(), pairs]
        return answer


class Session:
    """One connection: what is queued between MULTI and EXEC."""

    def __init__(self, owner: SearchServer) -> None:
        self.owner = owner
        self.queue: list[list[bytes]] | None = None

    def do(self, words: list[bytes]) -> object:
        name = words[0].decode().upper()
        self.owner.asked.append([name.encode(), *words[1:]])
        if name == "FT.SEARCH":
            time.sleep(self.owner.pause)
        if name == "MULTI":
            self.queue = []
            return Status("OK")
        if name == "EXEC":
            queue, self.queue = self.queue or [], None
            with self.owner.lock:
                return [self.run(*queued) for queued in queue]
        if self.queue is not None:
            self.queue.append([name.encode(), *words[1:]])
            return Status("QUEUED")
        with self.owner.lock:
            return self.run(name.encode(), *words[1:])

    def run(self, name: bytes, *words: bytes) -> object:
        command = name.decode()
        if command == "COMMAND":
            command, words = "COMMAND INFO", words[1:]
        if command in self.owner.denied:
            return Refused(f"NOPERM User default has no permissions to run the '{command.lower()}' command")
        if command not in COMMANDS:
            return Refused(f"ERR unknown command '{command}', with args beginning with: ")
        try:
            return COMMANDS[command](self.owner, *words)
        except Refused as refused:
            return refused


COMMANDS: dict[str, Callable] = {
    "PING": lambda _: Status("PONG"),
    "CLIENT": lambda _, *__: Status("OK"),
    "INFO": lambda _, *__: b"redis_version:8.0.0\r\n",
    "GET": SearchServer.get,
    "SET": SearchServer.set,
    "EXISTS": SearchServer.exists,
    "UNLINK": SearchServer.unlink,
    "SCAN": SearchServer.scan,
    "HSET": SearchServer.hset,
    "PEXPIRE": SearchServer.pexpire,
    "COMMAND INFO": SearchServer.command_info,
    "FT.CREATE": SearchServer.ft_create,
    "FT.SEARCH": SearchServer.ft_search,
}


def search_options(words: list[bytes]) -> dict[str, list[bytes]]:
    """What follows the query: each option with its words."""
    options = {}
    while words:
        option = words.pop(0).decode()
        match option:
            case "PARAMS" | "RETURN":
                count = int(words.pop(0))
            case "LIMIT":
                count = 2
            case "TIMEOUT" | "DIALECT":
                count = 1
            case _:
                raise Refused(f"Unknown argument `{option}`")
        options[option], words = words[:count], words[count:]
    return options


def distance(left: bytes, right: bytes) -> float:
    """1 for what has nothing in common, 0 for the same direction."""
    a, b = (struct.unpack(f"<{len(raw) // 4}f", raw) for raw in (left, right))
    return 1 - sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


def read(stream) -> list[bytes] | None:
    """The next command of a connection (redis.io/docs/latest/develop/reference/protocol-spec)."""
    head = stream.readline()
    if not head.startswith(b"*"):
        return None
    words = []
    for _ in range(int(head[1:])):
        length = int(stream.readline()[1:])
        words.append(stream.read(length))
        stream.read(2)
    return words


def written(answer: object) -> bytes:
    match answer:
        case Refused():
            return f"-{answer}\r\n".encode()
        case Status():
            return f"+{answer}\r\n".encode()
        case int():
            return f":{answer}\r\n".encode()
        case None:
            return b"$-1\r\n"
        case bytes():
            return b"$%d\r\n%s\r\n" % (len(answer), answer)
        case list():
            return b"*%d\r\n" % len(answer) + b"".join(map(written, answer))
    raise TypeError(answer)
