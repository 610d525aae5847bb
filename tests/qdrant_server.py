"""A Qdrant of the tests' own: as much of its interface as a cache needs, with an exact search."""

from __future__ import annotations

import json
import math
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "key-of-qdrant"


class QdrantServer:
    def __init__(self) -> None:
        #: by name: the size of vectors, the indexed fields and the points by id
        self.collections: dict[str, dict] = {}
        #: how long it takes to answer anything
        self.pause = 0.0
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def answer(self) -> None:
                raw = self.rfile.read(int(self.headers.get("content-length", 0)))
                time.sleep(owner.pause)
                status, result = owner.do(self.command, self.path, self.headers, json.loads(raw or b"null"))
                body = json.dumps({"result": result, "status": "ok" if status == 200 else {"error": result}}).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_POST = answer

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    def __enter__(self) -> QdrantServer:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def points(self) -> list[dict]:
        return [point for collection in self.collections.values() for point in collection["points"].values()]

    def do(self, method: str, target: str, headers, body) -> tuple[int, object]:
        if headers.get("api-key") != KEY:
            return 401, "Must provide an API key"
        path = urllib.parse.unquote(target.partition("?")[0]).removeprefix("/collections/")
        name, _, rest = path.partition("/")
        if (method, rest) == ("PUT", ""):
            fresh = {"size": body["vectors"]["size"], "fields": {}, "points": {}}
            assert body["vectors"]["distance"] == "Cosine"
            self.collections[name] = fresh
            return 200, True
        if name not in self.collections:
            return 404, f"Collection `{name}` doesn't exist!"
        collection = self.collections[name]
        match method, rest:
            case "GET", "":
                return 200, {"status": "green"}
            case "PUT", "index":
                collection["fields"][body["field_name"]] = body["field_schema"]
                return 200, {}
            case "PUT", "points":
                for point in body["points"]:
                    if len(point["vector"]) != collection["size"]:
                        return 400, "Wrong input: Vector dimension error"
                    collection["points"][point["id"]] = point
                return 200, {"status": "acknowledged"}
            case "POST", "points/search":
                found = [point for point in collection["points"].values() if fits(point["payload"], body["filter"])]
                scored = [{"id": p["id"], "score": cosine(p["vector"], body["vector"]), "payload": p["payload"]} for p in found]
                return 200, sorted(scored, key=lambda point: -point["score"])[: body["limit"]]
            case "POST", "points/delete":
                kept = {key: p for key, p in collection["points"].items() if not fits(p["payload"], body["filter"])}
                collection["points"] = kept
                return 200, {}
        return 404, "no such path"


def fits(payload: dict, conditions: dict) -> bool:
    def holds(condition: dict) -> bool:
        value = payload.get(condition["key"])
        if "match" in condition:
            return value == condition["match"]["value"]
        return value is not None and value > condition["range"]["gt"]

    return all(holds(condition) for condition in conditions["must"])


def cosine(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True)) / (math.hypot(*left) * math.hypot(*right))
