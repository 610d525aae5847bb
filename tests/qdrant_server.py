"""A Qdrant of the tests' own: as much of its interface as a cache needs, with an exact search."""

from __future__ import annotations

import json
import math
import time
import urllib.parse

from http_server import Answer, HttpServer

KEY = "key-of-qdrant"


class QdrantServer(HttpServer):
    def __init__(self) -> None:
        super().__init__()
        #: by name: the size of vectors, how they are made smaller, the indexed fields and the points by id
        self.collections: dict[str, dict] = {}
        #: how long it takes to answer anything
        self.pause = 0.0

    def answer(self, method: str, target: str, headers, body: bytes) -> Answer:
        time.sleep(self.pause)
        status, result = self.do(method, target, headers, json.loads(body or b"null"))
        told = {"result": result, "status": "ok" if status == 200 else {"error": result}}
        return status, json.dumps(told).encode(), "application/json"

    def points(self) -> list[dict]:
        return [point for collection in self.collections.values() for point in collection["points"].values()]

    def do(self, method: str, target: str, headers, body) -> tuple[int, object]:
        if headers.get("api-key") != KEY:
            return 401, "Must provide an API key"
        path = urllib.parse.unquote(target.partition("?")[0]).removeprefix("/collections/")
        name, _, rest = path.partition("/")
        if (method, rest) == ("PUT", ""):
            smaller = body.get("quantization_config")
            fresh = {"size": body["vectors"]["size"], "smaller": smaller, "fields": {}, "points": {}}
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
