"""A bucket of the tests' own: speaks as much of S3 as a cache needs, and takes only what is signed (AWS Signature Version 4)."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY_ID, SECRET, REGION, BUCKET = "AKIATESTS", "secret/of+tests", "eu-central-1", "answers"


def digest(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class S3Server:
    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.refused: list[str] = []
        #: how long it takes to answer anything
        self.pause = 0.0
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                time.sleep(owner.pause)
                if wrong := owner.wrong(self.command, self.path, self.headers, body):
                    owner.refused.append(wrong)
                    return self.tell(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
                path, _, query = self.path.partition("?")
                name = urllib.parse.unquote(path).removeprefix(f"/{BUCKET}/")
                match self.command:
                    case "PUT":
                        owner.objects[name] = body
                        self.tell(200)
                    case "DELETE":
                        owner.objects.pop(name, None)
                        self.tell(204)
                    case "GET" if query:
                        prefix = dict(urllib.parse.parse_qsl(query)).get("prefix", "")
                        names = [name for name in sorted(owner.objects) if name.startswith(prefix)][:3]
                        keys = "".join(f"<Contents><Key>{name}</Key></Contents>" for name in names)
                        self.tell(200, f"<ListBucketResult>{keys}</ListBucketResult>".encode())
                    case "GET" if name in owner.objects:
                        self.tell(200, owner.objects[name])
                    case _:
                        self.tell(404, b"<Error><Code>NoSuchKey</Code></Error>")

            def tell(self, status: int, body: bytes = b"") -> None:
                self.send_response(status)
                if status != 204:
                    self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_DELETE = answer

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    def __enter__(self) -> S3Server:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

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
