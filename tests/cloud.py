"""A cloud of the tests' own: it gives tokens as Google's and Microsoft's token servers do, and behind them it answers as Vertex
AI, Azure OpenAI, Cloud Storage and Blob Storage do, to whoever has a token that it gave."""

from __future__ import annotations

import base64
import json
import time
import urllib.parse
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from http_server import Answer, HttpServer

ANSWER = "Danube"
JSON = "application/json"
EMAIL = "gate@our-project.iam.gserviceaccount.com"
TENANT, CLIENT, SECRET = "our-tenant", "our-app", "hush/of+tests"
VERTEX = "/v1/projects/{project}/locations/{location}/publishers/{publisher}/models/{model}"


def unpadded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def gemini(text: str = ANSWER) -> dict:
    return {
        "candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 1, "totalTokenCount": 6},
        "modelVersion": "gemini-2.5-pro",
    }


def message(text: str = ANSWER) -> dict:
    usage = {"input_tokens": 5, "output_tokens": 1}
    content = [{"type": "text", "text": text}]
    told = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": content}
    return told | {"stop_reason": "end_turn", "stop_sequence": None, "usage": usage}


def completion(text: str = ANSWER) -> dict:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
    return {"id": "c-1", "object": "chat.completion", "created": 1, "model": "gpt", "choices": [choice], "usage": usage}


class Cloud(HttpServer):
    def __init__(self) -> None:
        super().__init__()
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        #: questions to token servers: path, fields
        self.asked: list[tuple[str, dict[str, str]]] = []
        #: requests with a token: method, path with query, headers, body
        self.served: list[tuple[str, str, dict[str, str], bytes]] = []
        self.tokens: set[str] = set()
        #: objects in buckets and containers, by path
        self.objects: dict[str, bytes] = {}
        #: a status and an OAuth error that token servers answer with
        self.refusal: tuple[int, str] | None = None
        #: how long token servers and storage take
        self.pause = 0.0
        self.lifetime = 3600

    def answer(self, method: str, target: str, headers, body: bytes) -> Answer:
        path, _, query = target.partition("?")
        if wanted := self.question(path, query, headers, body):
            time.sleep(self.pause)
            self.asked.append((path, wanted))
            return *self.granted(wanted), JSON
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.tokens:
            error = {"code": 401, "message": "no such token", "status": "UNAUTHENTICATED"}
            return 401, json.dumps({"error": error}).encode(), JSON
        lower = {name.lower(): value for name, value in headers.items()}
        self.served.append((method, target, lower, body))
        return self.serve(method, path, query, lower, body)

    def forget(self) -> None:
        """What it was asked; the tokens stay good."""
        self.asked.clear()
        self.served.clear()

    def revoke(self) -> None:
        """No token that it gave is good any more."""
        self.tokens.clear()

    def service_account(self) -> dict:
        private = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account",
            "project_id": "our-project",
            "private_key_id": "key-1",
            "private_key": private.decode(),
            "client_email": EMAIL,
            "token_uri": f"{self.url}/google/token",
        }

    def service_account_file(self, folder: Path) -> str:
        file = folder / "service-account.json"
        file.write_text(json.dumps(self.service_account()))
        return str(file)

    # Token servers

    def question(self, path: str, query: str, headers, body: bytes) -> dict[str, str] | None:
        """What a token server is asked, if that is one."""
        form = dict(urllib.parse.parse_qsl(body.decode(errors="replace")))
        asked = dict(urllib.parse.parse_qsl(query))
        match path:
            case "/google/token" | "/our-tenant/oauth2/v2.0/token":
                return form
            case "/computeMetadata/v1/instance/service-accounts/default/token":
                return asked | {"flavor": headers.get("metadata-flavor", "")}
            case "/metadata/identity/oauth2/token":
                return asked | {"metadata": headers.get("metadata", "")}
        return None

    def granted(self, asked: dict[str, str]) -> tuple[int, bytes]:
        wrong = self.refusal or self.wrong(asked)
        if wrong:
            status, error = wrong
            return status, json.dumps({"error": error, "error_description": f"it is {error}"}).encode()
        token = f"token-{len(self.asked)}"
        self.tokens.add(token)
        return 200, json.dumps({"access_token": token, "expires_in": self.lifetime, "token_type": "Bearer"}).encode()

    def wrong(self, asked: dict[str, str]) -> tuple[int, str] | None:
        """What is wrong with a question, as the vendors' pages say what is right."""
        match asked.get("grant_type"):
            case "urn:ietf:params:oauth:grant-type:jwt-bearer":
                head, claims, signature = asked["assertion"].split(".")
                try:
                    signed = f"{head}.{claims}".encode()
                    self.key.public_key().verify(unpadded(signature), signed, padding.PKCS1v15(), hashes.SHA256())
                except InvalidSignature:
                    return 400, "invalid_grant"
                told = json.loads(unpadded(claims))
                now = time.time()
                right = told["iss"] == EMAIL and told["aud"] == f"{self.url}/google/token"
                return None if right and told["iat"] <= now + 1 and now < told["exp"] <= now + 3601 else (400, "invalid_grant")
            case "refresh_token":
                return None if asked["refresh_token"] == "1//again" else (400, "invalid_grant")
            case "client_credentials" if "client_assertion" in asked:
                return None if asked["client_assertion"] == "a subject" else (401, "invalid_client")
            case "client_credentials":
                right = (asked["client_id"], asked["client_secret"]) == (CLIENT, SECRET)
                return None if right else (401, "invalid_client")
            case "password":
                return None if asked["password"] == "pass" else (400, "invalid_grant")
            case None:
                return None if asked.get("flavor") == "Google" or asked.get("metadata") == "true" else (403, "no_header")
        return 400, "unsupported_grant_type"

    # What tokens are for

    def serve(self, method: str, path: str, query: str, headers: dict, body: bytes) -> Answer:
        if path.endswith(":generateContent"):
            return 200, json.dumps(gemini()).encode(), JSON
        if path.endswith(":streamGenerateContent"):
            return 200, f"data: {json.dumps(gemini())}\r\n\r\n".encode(), "text/event-stream"
        if path.endswith(":rawPredict"):
            return 200, json.dumps(message()).encode(), JSON
        if "/chat/completions" in path:
            return 200, json.dumps(completion()).encode(), JSON
        return self.storage(method, path, query, headers, body)

    def storage(self, method: str, path: str, query: str, headers: dict, body: bytes) -> Answer:
        time.sleep(self.pause)
        asked = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        xml = "application/xml"
        if "prefix" in asked:
            is_azure = asked.get("comp") == "list" and asked.get("restype") == "container"
            if not is_azure and asked.get("list-type") != "2":
                return 400, b"<Error><Code>InvalidQuery</Code></Error>", xml
            tag = "Name" if is_azure else "Key"
            bucket = path.rstrip("/") + "/"
            names = [name.removeprefix(bucket) for name in sorted(self.objects) if name.startswith(bucket)]
            listed = [name for name in names if name.startswith(asked["prefix"])][:3]
            return 200, "".join(f"<Item><{tag}>{name}</{tag}></Item>" for name in listed).encode(), xml
        if path.startswith("/azure/") and not {"x-ms-version", "x-ms-date"} <= set(headers):
            return 400, b"<Error><Code>MissingRequiredHeader</Code></Error>", xml
        name = urllib.parse.unquote(path)
        match method:
            case "PUT" if path.startswith("/azure/") and headers.get("x-ms-blob-type") != "BlockBlob":
                return 400, b"<Error><Code>MissingRequiredHeader</Code></Error>", xml
            case "PUT":
                self.objects[name] = body
                return (201 if path.startswith("/azure/") else 200), b"", xml
            case "DELETE" if name in self.objects:
                del self.objects[name]
                return 202, b"", xml
            case "GET" if name in self.objects:
                return 200, self.objects[name], "application/octet-stream"
        return 404, b"<Error><Code>NotFound</Code></Error>", xml
