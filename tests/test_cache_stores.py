"""Where answers are kept: every way to reach Redis, buckets of three clouds, and what a broken one costs."""

from __future__ import annotations

import contextlib
import datetime
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import s3_server
from caching import HIT, ask, configuration, hit, is_hit, metric
from cloud import CLIENT, SECRET, TENANT, Cloud
from redis_server import RedisServer
from s3_server import S3Server
from subject import Gateway, Process, eventually, free_port
from upstream import Upstream


class TestEveryRedis:
    """One server, one behind a sentinel, a cluster, one with TLS and a password: each keeps answers and forgets them."""

    def works(self, gateway: Gateway) -> None:
        eventually(lambda: gateway.get("/cache/ping")[0] == 200, "the connection")
        ask(gateway)
        eventually(lambda: self.is_stored(gateway), "the storing")
        status, _, answer = gateway.post("/cache/flushall", {})
        assert status == 200, answer
        assert not is_hit(ask(gateway)[0])

    def is_stored(self, gateway: Gateway) -> bool:
        headers, _ = ask(gateway)
        return gateway.get(f"/trace/{headers['x-litellm-call-id']}")[2]["cache"]["state"] == "hit"

    def test_named_by_variables(self, start, provider_side: Upstream, upstream: Upstream, redis_server: RedisServer):
        variables = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(redis_server.port)}
        with start(configuration(provider_side, type="redis"), **variables) as gateway:
            self.works(gateway)

    def test_cluster(self, start, provider_side: Upstream, upstream: Upstream):
        # By itself it takes the port 10,000 above for the cluster's own talk, which may not exist.
        options = {"enabled": "yes", "announce-ip": "127.0.0.1", "port": str(free_port())}
        options = [word for name, value in options.items() for word in (f"--cluster-{name}", value)]
        with RedisServer(*options) as server:
            server.says("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
            eventually(lambda: server.says("SET", "x", "1") == "+OK", "the cluster")
            params = {"type": "redis", "redis_startup_nodes": [{"host": "127.0.0.1", "port": server.port}]}
            with start(configuration(provider_side, **params)) as gateway:
                self.works(gateway)
                texts = {"model": "to-embeddings", "input": [str(number) for number in range(50)]}
                gateway.post("/v1/embeddings", texts)
                eventually(lambda: is_hit(gateway.post("/v1/embeddings", texts)[1]), "the storing of many keys")

    def test_sentinel(self, start, provider_side: Upstream, upstream: Upstream, tmp_path, redis_server: RedisServer):
        settings = tmp_path / "sentinel.conf"
        settings.write_text(f"sentinel monitor main 127.0.0.1 {redis_server.port} 1\n")
        with RedisServer("--sentinel", file=settings) as sentinel:
            params = {"type": "redis", "service_name": "main", "sentinel_nodes": [["127.0.0.1", sentinel.port]]}
            with start(configuration(provider_side, **params)) as gateway:
                self.works(gateway)

    def test_tls_and_a_password(self, start, provider_side: Upstream, upstream: Upstream, tmp_path):
        authority = certificate(tmp_path)
        with RedisServer(password="of-redis", tls=tmp_path) as server:
            params = {"type": "redis", "host": "localhost", "port": server.tls_port, "ssl": True}
            params |= {"password": "of-redis", "ssl_ca_certs": str(authority)}
            with start(configuration(provider_side, **params)) as gateway:
                self.works(gateway)
            params |= {"ssl_ca_certs": None}
            with start(configuration(provider_side, **params)) as gateway:
                ask(gateway)
                assert gateway.get("/cache/ping")[0] == 503, "a certificate that nobody vouches for is not taken"


def certificate(folder: Path) -> Path:
    """A key and a certificate for `localhost` that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    until = now + datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, until)
    made = (
        builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(pem, *private))
    (folder / "certificate.pem").write_bytes(made.public_bytes(pem))
    return folder / "certificate.pem"


class TestABucket:
    """S3: the simulated one takes only what is signed as AWS's documentation says."""

    @pytest.fixture
    def bucket(self) -> Iterator[S3Server]:
        with S3Server() as server:
            yield server

    def params(self, server: S3Server, secret: str = s3_server.SECRET) -> dict:
        return {
            "type": "s3",
            "s3_bucket_name": s3_server.BUCKET,
            "s3_endpoint_url": server.url,
            "s3_region_name": s3_server.REGION,
            "s3_path": "some path/of+ours",
            "s3_aws_access_key_id": s3_server.KEY_ID,
            "s3_aws_secret_access_key": secret,
        }

    def test_answers_are_objects(self, start, provider_side: Upstream, upstream: Upstream, bucket: S3Server):
        with start(configuration(provider_side, **self.params(bucket))) as gateway:
            _, first = ask(gateway)
            eventually(lambda: len(bucket.objects) == 1, "the storing")
            headers = hit(gateway)
            key = headers[HIT]
            [name] = bucket.objects
            assert name == f"some path/of+ours/tollway-cache/{key}"
            assert gateway.get("/cache/ping")[0] == 200
            assert gateway.post("/cache/delete", {"keys": [key]})[0] == 200
            assert not bucket.objects
            assert not is_hit(ask(gateway)[0])
            eventually(lambda: bucket.objects, "the storing")
        # What another process stored is found.
        with start(configuration(provider_side, **self.params(bucket))) as gateway:
            hit(gateway)
        assert not bucket.refused

    def test_flushall_leaves_others_objects(self, start, provider_side: Upstream, upstream, bucket: S3Server):
        bucket.objects = {"other": b"x", "some path/of+ours/tollway-cache/readme": b"x"}
        with start(configuration(provider_side, **self.params(bucket))) as gateway:
            for number in range(8):
                ask(gateway, text=f"question {number}")
            eventually(lambda: len(bucket.objects) == 10, "the storing")
            assert gateway.post("/cache/flushall", {})[0] == 200
            assert sorted(bucket.objects) == ["other", "some path/of+ours/tollway-cache/readme"]

    def test_a_wrong_key_is_said_and_breaks_nothing(self, start, provider_side: Upstream, upstream, bucket: S3Server):
        with start(configuration(provider_side, **self.params(bucket, secret="wrong"))) as gateway:
            assert not is_hit(ask(gateway)[0])
            status, _, answer = gateway.get("/cache/ping")
            assert status == 503 and "SignatureDoesNotMatch" in json.dumps(answer)
            assert not bucket.objects

    def test_a_slow_one_delays_nobody(self, start, provider_side: Upstream, upstream: Upstream, bucket: S3Server):
        bucket.pause = 1.0
        with start(configuration(provider_side, **self.params(bucket))) as gateway:
            took = []
            for number in range(12):
                began = time.monotonic()
                ask(gateway, text=f"question {number}")
                took.append(time.monotonic() - began)
            assert sorted(took)[len(took) // 2] < 0.1, took
            eventually(lambda: "the cache fails" in gateway.log, "the warning")


class TestBucketsWithTokens:
    """Google's and Azure's: the simulated ones take who has a token."""

    @pytest.fixture
    def cloud(self) -> Iterator[Cloud]:
        with Cloud() as running:
            yield running

    @pytest.fixture(params=["gcs", "azure-blob"])
    def kind(self, request: pytest.FixtureRequest) -> str:
        return request.param

    def folder(self, kind: str) -> str:
        """Where our answers are."""
        return "/answers/some path/tollway-cache/" if kind == "gcs" else "/azure/answers/tollway-cache/"

    @contextlib.contextmanager
    def gateway(self, start, upstream: Upstream, cloud: Cloud, kind: str, folder: Path) -> Iterator[Process]:
        if kind == "gcs":
            file = cloud.service_account_file(folder)
            params = {"gcs_bucket_name": "answers", "gcs_path": "some path/", "gcs_path_service_account": file}
            env = {"STORAGE_EMULATOR_HOST": cloud.host}
        else:
            params = {"azure_account_url": f"{cloud.url}/azure/", "azure_blob_container": "answers"}
            env = {"AZURE_AUTHORITY_HOST": cloud.url, "AZURE_TENANT_ID": TENANT}
            env |= {"AZURE_CLIENT_ID": CLIENT, "AZURE_CLIENT_SECRET": SECRET}
        with start(configuration(upstream, type=kind, **params), **env) as gateway:
            yield gateway

    def test_answers_are_objects(self, start, provider_side: Upstream, upstream, cloud: Cloud, kind: str, tmp_path: Path):
        with self.gateway(start, provider_side, cloud, kind, tmp_path) as gateway:
            # The first answers may come before there is a token.
            eventually(lambda: ask(gateway) and len(cloud.objects) == 1, "the storing", 30)
            headers = hit(gateway)
            key = headers[HIT]
            assert list(cloud.objects) == [f"{self.folder(kind)}{key}"]
            assert gateway.get("/cache/ping")[0] == 200
            assert gateway.post("/cache/delete", {"keys": [key]})[0] == 200
            assert not cloud.objects
            assert not is_hit(ask(gateway)[0])
            eventually(lambda: cloud.objects, "the storing")
        assert len(cloud.asked) == 1
        # What another process stored is found.
        with self.gateway(start, provider_side, cloud, kind, tmp_path) as gateway:
            hit(gateway)

    def test_flushall_leaves_others_objects(self, start, provider_side, upstream, cloud: Cloud, kind: str, tmp_path):
        others = {"/answers/other", "/azure/answers/other", f"{self.folder(kind)}readme"}
        cloud.objects = dict.fromkeys(others, b"x")
        with self.gateway(start, provider_side, cloud, kind, tmp_path) as gateway:
            # The first answers may come before there is a token.
            assert eventually(lambda: gateway.get("/cache/ping")[0] == 200, "the sign-in")
            for number in range(8):
                ask(gateway, text=f"question {number}")
            eventually(lambda: len(cloud.objects) == 11, "the storing")
            assert gateway.post("/cache/flushall", {})[0] == 200
            assert set(cloud.objects) == others

    def test_a_failed_sign_in_is_said_and_breaks_nothing(
        self, start, provider_side, upstream, cloud: Cloud, kind: str, tmp_path
    ):
        cloud.refusal = (401, "invalid_client")
        with self.gateway(start, provider_side, cloud, kind, tmp_path) as gateway:
            assert not is_hit(ask(gateway)[0])
            status, _, answer = gateway.get("/cache/ping")
            assert status == 503 and "invalid_client" in json.dumps(answer)
            assert not cloud.objects and SECRET not in gateway.log

    def test_a_slow_one_delays_nobody(self, start, provider_side, upstream, cloud: Cloud, kind: str, tmp_path):
        cloud.pause = 1.0
        with self.gateway(start, provider_side, cloud, kind, tmp_path) as gateway:
            took = []
            for number in range(12):
                began = time.monotonic()
                ask(gateway, text=f"question {number}")
                took.append(time.monotonic() - began)
            # Far less than the second that storage and token servers take, also on a busy machine.
            assert sorted(took)[len(took) // 2] < 0.3, took
            eventually(lambda: "the cache fails" in gateway.log, "the warning")


class TestABrokenRedis:
    @pytest.fixture
    def broken(self, start, provider_side: Upstream, upstream: Upstream) -> Iterator[tuple[Process, RedisServer]]:
        with RedisServer() as server:
            params = {"type": "redis", "host": "127.0.0.1", "port": server.port}
            with start(configuration(provider_side, **params)) as gateway:
                ask(gateway, text="warm")
                eventually(lambda: is_hit(ask(gateway, text="warm")[0]), "the storing")
                yield gateway, server

    def load(self, gateway: Gateway, seconds: float) -> list[float]:
        """Asks from several threads and tells how long each answer took; all of them must succeed."""
        deadline = time.monotonic() + seconds

        def asking(number: int) -> list[float]:
            took = []
            while time.monotonic() < deadline:
                began = time.monotonic()
                ask(gateway, text=f"load {number} {len(took)}")
                took.append(time.monotonic() - began)
            return took

        with ThreadPoolExecutor(4) as pool:
            return [duration for durations in pool.map(asking, range(4)) for duration in durations]

    def overheads(self, gateway: Gateway) -> list[float]:
        """What the gateway itself took, in ms, of the latest requests."""
        return [trace["time_ms"]["gateway"] for trace in gateway.get("/trace?limit=300")[2]["data"]]

    @pytest.mark.parametrize("how", ["freeze", "kill"])
    def test_it_neither_breaks_nor_delays_requests(self, broken, how: str):
        gateway, server = broken
        self.load(gateway, 0.5)
        getattr(server, how)()
        took = self.load(gateway, 2)
        assert len(took) > 40
        # 50 ms for the cache (a unit test measures that), not the 2 s after which Redis itself is given up; the rest is
        # for a busy machine.
        slow = [overhead for overhead in self.overheads(gateway) if overhead > 1000]
        assert not slow, slow
        # After some failures it is left alone, so that most requests do not wait at all.
        eventually(lambda: "the cache fails" in gateway.log, "the warning")
        assert gateway.log.count("the cache fails") == 1
        assert metric(gateway, "tollway_cache_store_failures_total") >= 5
        assert metric(gateway, "tollway_cache_store_skipped_total") > 0

    def test_it_is_used_again_when_it_is_back(self, broken):
        gateway, server = broken
        server.freeze()
        self.load(gateway, 1)
        server.thaw()
        eventually(lambda: is_hit(ask(gateway, text="warm")[0]), "the use of the cache", patience=30)
        eventually(lambda: "the cache works again" in gateway.log, "the note")

    def test_one_that_is_not_there_at_the_start_is_used_when_it_comes(self, start, provider_side, upstream):
        with RedisServer() as server:
            server.kill()
            params = {"type": "redis", "host": "127.0.0.1", "port": server.port}
            with start(configuration(provider_side, **params)) as gateway:
                ask(gateway, text="early")
                status, _, answer = gateway.get("/cache/ping")
                assert status == 503 and answer["error"]["type"] == "cache_ping_error"
                server.start()
                eventually(lambda: is_hit(ask(gateway, text="early")[0]), "the use of the cache", patience=30)
