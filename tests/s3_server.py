"""A bucket of the tests' own: speaks as much of S3 as a cache needs, and takes only what is signed (AWS Signature Version 4)."""

from __future__ import annotations

import hashlib
import hmac
import time
import urllib.parse

from http_server import Answer, HttpServer

KEY_ID, SECRET, REGION, BUCKET = "AKIATESTS", "secret/of+tests", "eu-central-1", "answers"


def digest(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class S3Server(HttpServer):
    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, bytes] = {}
        self.refused: list[str] = []
        #: how long it takes to answer anything
        self.pause = 0.0

    def answer(self, method: str, target: str, headers, body: bytes) -> Answer:
        time.sleep(self.pause)
        status, answer = self.do(method, target, headers, body)
        return status, answer, "application/xml"

    def do(self, method: str, target: str, headers, body: bytes) -> tuple[int, bytes]:
        if wrong := self.wrong(method, target, headers, body):
            self.refused.append(wrong)
            return 403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>"
        path, _, query = target.partition("?")
        name = urllib.parse.unquote(path).removeprefix(f"/{BUCKET}/")
        match method:
            case "PUT":
                self.objects[name] = body
                return 200, b""
            case "DELETE":
                self.objects.pop(name, None)
                return 204, b""
            case "GET" if query:
                prefix = dict(urllib.parse.parse_qsl(query)).get("prefix", "")
                names = [name for name in sorted(self.objects) if name.startswith(prefix)][:3]
                keys = "".join(f"<Contents><Key>{name}</Key></Contents>" for name in names)
                return 200, f"<ListBucketResult>{keys}</ListBucketResult>".encode()
            case "GET" if name in self.objects:
                return 200, self.objects[name]
        return 404, b"<Error><Code>NoSuchKey</Code></Error>"

    def wrong(self, method: str, target: str, headers, body: bytes) -> str | None:
        """What is wrong with the signature, worked out from AWS's documentation."""
        algorithm, _, rest = headers.get("authorization", "").partition(" ")
        fields = dict(field.strip().split("=", 1) for field in rest.split(",") if "=" in field)
        if algorithm != "AWS4-HMAC-SHA256" or set(fields) != {"Credential", "SignedHeaders", "Signature"}:
            return "no signature"
        day = headers["x-amz-date"][:8]
        if fields["Credential"] != f"{KEY_ID}/{day}/{REGION}/s3/aws4_request":
            return f"credential {fields['Credential']}"
        if headers["x-amz-content-sha256"] != hashlib.sha256(body).hexdigest():
            return "another body"
        names = fields["SignedHeaders"].split(";")
        if names != sorted(names) or not {"host", "x-amz-date", "x-amz-content-sha256"} <= set(names):
            return f"signed headers {names}"
        path, _, query = target.partition("?")
        path = urllib.parse.quote(urllib.parse.unquote(path), safe="/-._~")
        pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
        quoted = "&".join(f"{urllib.parse.quote(a, safe='')}={urllib.parse.quote(b, safe='')}" for a, b in pairs)
        signed = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
        canonical = "\n".join([method, path, quoted, signed, ";".join(names), headers["x-amz-content-sha256"]])
        scope = f"{day}/{REGION}/s3/aws4_request"
        told = ["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()]
        key = f"AWS4{SECRET}".encode()
        for part in (day, REGION, "s3", "aws4_request"):
            key = digest(key, part)
        expected = digest(key, "\n".join(told)).hex()
        return None if hmac.compare_digest(expected, fields["Signature"]) else f"signature of {method} {target}"
