"""What an operator does with configurations: check them, start with them, change them while the gateway runs."""

import json
import os
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

import deployments
import subject
from subject import Process, eventually, run
from upstream import Upstream
from upstream.server import KEY as UPSTREAM_KEY

pytestmark = pytest.mark.cli

BROKEN = """\
model_list:
  - model_name: gpt
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/SOME_KEY
      timeout: soon
litellm_settings:
  drop_parms: true
general_settings:
  master_key: sk-a-key-of-my-own-1234
"""

GOOD = """\
model_list:
  - model_name: hello
    litellm_params:
      model: openai/gpt-4o
      api_key: none
      mock_response: Hello from {name}
general_settings:
  master_key: sk-a-key-of-my-own-1234
"""
KEY = "sk-a-key-of-my-own-1234"


def write(folder: Path, text: str) -> Path:
    file = folder / "config.yaml"
    file.write_text(text)
    return file


class TestCheck:
    def test_a_good_configuration_passes(self, tmp_path: Path):
        result = run("check", str(write(tmp_path, GOOD)))
        assert result.returncode == 0, result.stdout + result.stderr

    def test_every_problem_is_shown_with_its_place(self, tmp_path: Path):
        file = write(tmp_path, BROKEN)
        result = run("check", str(file))
        text = result.stdout + result.stderr
        assert result.returncode == 2
        assert f"{file}:6:16" in text
        assert "timeout" in text
        assert f"{file}:8:3" in text
        assert "drop_params" in text, "the nearest known key"
        assert "1 error" in text

    def test_problems_can_be_read_by_programs(self, tmp_path: Path):
        file = write(tmp_path, BROKEN)
        found = [json.loads(line) for line in run("check", "--json", str(file)).stdout.splitlines()]
        problems = [problem for line in found for problem in line.get("problems", [line])]
        assert {problem["line"] for problem in problems} >= {6, 8}
        assert {problem["severity"] for problem in problems} >= {"error", "warning"}

    def test_warnings_fail_only_if_that_is_wished(self, tmp_path: Path):
        file = write(tmp_path, GOOD + "litellm_settings:\n  drop_parms: true\n")
        assert run("check", str(file)).returncode == 0
        assert run("check", "--strict", str(file)).returncode != 0

    @pytest.mark.parametrize("text", ["model_list: [", "\t- a", "- just\n- a list\n", "a: b: c", "\x00", "&a [*a]"])
    def test_broken_yaml_is_an_error_with_a_place(self, tmp_path: Path, text: str):
        file = write(tmp_path, text)
        result = run("check", str(file))
        assert result.returncode == 2
        assert f"{file}:" in result.stdout + result.stderr

    def test_a_missing_file_is_named(self, tmp_path: Path):
        result = run("check", str(tmp_path / "nowhere.yaml"))
        assert result.returncode != 0
        assert "nowhere.yaml" in result.stdout + result.stderr

    def test_a_secret_is_never_shown(self, tmp_path: Path):
        file = write(tmp_path, GOOD.replace("api_key: none", "api_key: sk-very-secret-value-99\n      timeout: never"))
        result = run("check", str(file))
        assert result.returncode == 2
        assert "very-secret" not in result.stdout + result.stderr


class TestStart:
    def test_a_broken_configuration_is_not_started_with(self, tmp_path: Path):
        file = write(tmp_path, BROKEN)
        result = run("--config", str(file), "--port", str(subject.free_port()))
        assert result.returncode == 2
        assert f"{file}:6:16" in result.stdout + result.stderr

    def test_a_port_that_is_taken_is_named(self, process: Process, tmp_path: Path):
        result = run("--config", str(write(tmp_path, GOOD)), "--port", str(process.port))
        assert result.returncode != 0
        assert str(process.port) in result.stderr
        assert "--port" in result.stderr

    def test_a_well_known_master_key_is_refused(self, tmp_path: Path):
        file = write(tmp_path, GOOD.replace(KEY, "sk-1234"))
        result = run("--config", str(file), "--port", str(subject.free_port()))
        assert result.returncode == 2
        assert "master_key" in result.stderr

    def test_one_model_needs_no_file(self, start, provider_side: Upstream):
        provider_side.forget()
        arguments = ["--model", "openai/gpt-4o", "--api-base", f"{provider_side.url}/bare/v1"]
        with start(None, *arguments, key=None, OPENAI_API_KEY=UPSTREAM_KEY) as gateway:
            for name in ("gpt-4o", "openai/gpt-4o"):
                status, _, answer = ask(gateway, name)
                assert (status, answer["choices"][0]["message"]["content"]) == (200, 'You said: "hi".')


def ask(gateway: subject.Gateway, model: str):
    return gateway.post("/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": "hi"}]})


def says(gateway: subject.Gateway, model: str = "hello") -> str:
    status, _, answer = ask(gateway, model)
    return answer["choices"][0]["message"]["content"] if status == 200 else f"status {status}"


class TestReload:
    @staticmethod
    def change(gateway: Process, text: str) -> None:
        """Replaces the file as careful editors do."""
        file = gateway.log_file.parent / "config.yaml"
        new = file.with_suffix(".new")
        new.write_text(text)
        os.replace(new, file)

    def test_sighup_loads_the_file_again(self, start):
        with start(GOOD.format(name="before"), key=KEY) as gateway:
            assert says(gateway) == "Hello from before"
            self.change(gateway, GOOD.format(name="after"))
            gateway.signal(signal.SIGHUP)
            eventually(lambda: says(gateway) == "Hello from after", "the reload")

    def test_a_broken_file_is_refused_and_the_old_one_stays(self, start):
        with start(GOOD.format(name="before"), key=KEY) as gateway:
            self.change(gateway, BROKEN)
            gateway.signal(signal.SIGHUP)
            eventually(lambda: "config.yaml:6:16" in gateway.log, "the complaint in the log")
            assert says(gateway) == "Hello from before"
            self.change(gateway, GOOD.format(name="after"))
            gateway.signal(signal.SIGHUP)
            eventually(lambda: says(gateway) == "Hello from after", "the reload")

    def test_a_running_stream_keeps_the_configuration_it_began_with(self, start, config: str, upstream: Upstream):
        model = deployments.OPENAI.failing("hold")
        with start(config) as gateway:
            stream = open_stream(gateway, model)
            self.change(
                gateway,
                json.dumps(
                    json.loads(config) | {"model_list": [deployments.entry("only", "openai/gpt-4o", upstream.url)]}
                ),
            )
            gateway.signal(signal.SIGHUP)
            eventually(
                lambda: [entry["id"] for entry in gateway.get("/v1/models")[2]["data"]] == ["only"], "the reload"
            )
            upstream.release(model)
            assert stream.read().rstrip().endswith(b"data: [DONE]")

    @pytest.mark.parametrize("how", ["replaced", "rewritten"])
    def test_a_watched_file_is_loaded_when_it_changes(self, start, how: str):
        with start(GOOD.format(name="before"), "--watch", key=KEY) as gateway:
            if how == "replaced":
                self.change(gateway, GOOD.format(name="after the change"))
            else:
                (gateway.log_file.parent / "config.yaml").write_text(GOOD.format(name="after the change"))
            eventually(lambda: says(gateway) == "Hello from after the change", "the reload")


def open_stream(gateway: subject.Gateway, model: str):
    """A stream of which the first bytes have come."""
    body = {"model": model, "messages": [{"role": "user", "content": "a b c d e f"}], "stream": True}
    headers = {"authorization": f"Bearer {gateway.key}", "content-type": "application/json"}
    request = urllib.request.Request(f"{gateway.url}/v1/chat/completions", json.dumps(body).encode(), headers)
    stream = urllib.request.urlopen(request, timeout=30)
    assert stream.readline().startswith(b"data: ")
    return stream


class TestStop:
    def test_sigterm_lets_a_running_stream_finish(self, start, config: str, upstream: Upstream):
        model = deployments.ANTHROPIC.failing("hold")
        with start(config) as gateway:
            stream = open_stream(gateway, model)
            gateway.signal(signal.SIGTERM)
            eventually(lambda: not gateway.is_alive(), "the end of new connections")
            assert gateway.process.poll() is None
            upstream.release(model)
            text = stream.read()
            assert text.rstrip().endswith(b"data: [DONE]")
            assert gateway.process.wait(10) == 0

    def test_a_stream_that_does_not_end_is_cut_after_the_grace(self, start, config: str, upstream: Upstream):
        hasty = json.dumps(json.loads(config) | {"tollway": {"shutdown_grace_s": 1}})
        with start(hasty) as gateway:
            stream = open_stream(gateway, deployments.OPENAI.failing("hold"))
            gateway.signal(signal.SIGTERM)
            assert gateway.process.wait(10) == 0
            stream.close()

    def test_sigint_stops_it_too(self, start):
        with start(GOOD.format(name="x"), key=KEY) as gateway:
            gateway.signal(signal.SIGINT)
            assert gateway.process.wait(10) == 0


def test_help_and_version_are_printed():
    for argument, word in (("--help", "Usage"), ("--version", "tollway"), ("help", "check")):
        result = run(argument)
        assert (result.returncode, word in result.stdout) == (0, True)


def test_an_unknown_argument_is_refused_with_a_hint():
    result = run("--confg", "x.yaml")
    assert result.returncode == 2
    assert "--config" in result.stderr


def test_output_may_be_cut_off_by_a_pipe(tmp_path: Path):
    file = write(tmp_path, GOOD)
    command = f"{subject.BINARY} models --config {file} | head -0"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, env=subject.environment()
    )
    assert "panicked" not in result.stderr
