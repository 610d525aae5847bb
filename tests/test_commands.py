"""The commands that talk to a running gateway, and the gateway that needs nothing."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

import subject
from subject import Process, run

pytestmark = pytest.mark.cli


def at(gateway: subject.Gateway) -> dict[str, str]:
    return {"TOLLWAY_URL": gateway.url, "TOLLWAY_API_KEY": gateway.key}


class TestChat:
    def test_it_asks_one_question(self, process: Process):
        result = run("chat", "--model", "to-anthropic", "How", "are you?", **at(process))
        assert (result.returncode, result.stdout) == (0, 'You said: "How are you?".\n')

    def test_it_chats_until_the_input_ends(self, process: Process, upstream):
        result = run("chat", "-m", "to-gemini", "-s", "Be brief.", text="first\nsecond\n", **at(process))
        assert result.stdout == 'You said: "first".\nYou said: "second".\n'
        assert "first" in json.dumps(upstream.seen("to-gemini")[1].body)
        assert "Be brief." in json.dumps(upstream.seen("to-gemini")[1].body)

    def test_an_error_is_shown_with_the_provider_s_words(self, process: Process):
        result = run("chat", "--model", "to-openai-fault-429", "hi", **at(process))
        assert result.returncode == 1
        assert "upstream says 429" in result.stderr

    def test_an_error_in_the_stream_is_shown(self, process: Process):
        result = run("chat", "--model", "to-openai-fault-error-event", "a b c d e f", **at(process))
        assert result.returncode == 1
        assert "the model broke down" in result.stderr

    def test_a_wrong_key_comes_with_a_hint(self, process: Process):
        result = run("chat", "hi", TOLLWAY_URL=process.url, TOLLWAY_API_KEY="sk-wrong-key-1234567890")
        assert result.returncode == 1
        assert "TOLLWAY_API_KEY" in result.stderr

    def test_no_gateway_comes_with_a_hint(self):
        result = run("chat", "hi", TOLLWAY_URL=f"http://127.0.0.1:{subject.free_port()}")
        assert result.returncode == 1
        assert "is the gateway running" in result.stderr


class TestExplain:
    def test_the_last_request_is_explained(self, process: Process):
        process.post(
            "/v1/messages", {"model": "to-gemini", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}
        )
        result = run("explain", "last", **at(process))
        assert result.returncode == 0
        for words in ("/v1/messages", "to-gemini", "generateContent", "200", "cost"):
            assert words in result.stdout, words

    def test_a_request_is_found_by_its_call_id(self, process: Process):
        body = {"model": "to-openai", "messages": [{"role": "user", "content": "hi"}]}
        _, headers, _ = process.post("/v1/chat/completions", body, headers={"x-litellm-call-id": "my-own-id-7"})
        assert headers["x-litellm-call-id"] == "my-own-id-7"
        trace = json.loads(run("explain", "my-own-id-7", "--json", **at(process)).stdout)
        assert trace["requested_model"] == "to-openai"

    def test_a_failure_is_explained(self, process: Process):
        process.post(
            "/v1/chat/completions",
            {"model": "to-openai-fault-refused", "messages": [{"role": "user", "content": "hi"}]},
        )
        result = run("explain", "last", **at(process))
        assert "refused" in result.stdout

    def test_an_unknown_id_is_an_error(self, process: Process):
        result = run("explain", "no-such-id", **at(process))
        assert result.returncode == 1
        assert "no-such-id" in result.stderr


class TestModels:
    def test_a_running_gateway_s_models_are_listed(self, process: Process):
        lines = run("models", **at(process)).stdout.splitlines()
        assert ["to-openai", "openai/gpt-4o"] in [line.split() for line in lines]

    def test_a_configuration_s_models_are_listed(self, tmp_path: Path, config: str):
        file = tmp_path / "config.yaml"
        file.write_text(config)
        rows = json.loads(run("models", "--config", str(file), "--json").stdout)
        assert {"model_name": "to-gemini", "model": "gemini/gemini-2.5-flash"} in rows


class TestInit:
    def test_it_writes_what_the_keys_allow_and_what_it_writes_is_right(self, tmp_path: Path):
        keys = {"OPENAI_API_KEY": "sk-secret-openai-1", "ANTHROPIC_API_KEY": "sk-secret-anthropic-2"}
        result = run("init", **keys)
        assert result.returncode == 0
        assert "openai/" in result.stdout
        assert "anthropic/" in result.stdout
        assert "gemini/" not in result.stdout
        assert "sk-secret" not in result.stdout
        file = tmp_path / "config.yaml"
        file.write_text(result.stdout)
        checked = run("check", str(file), **keys)
        assert checked.returncode == 0
        assert "is not set" not in checked.stdout + checked.stderr

    def test_without_keys_it_writes_something_that_runs(self, start, tmp_path: Path):
        text = run("init").stdout
        with start(text, key=None) as gateway:
            models = gateway.get("/v1/models")[2]["data"]
            body = {"model": models[0]["id"], "messages": [{"role": "user", "content": "hi"}]}
            assert gateway.post("/v1/chat/completions", body)[0] == 200

    def test_an_existing_file_is_not_touched(self, tmp_path: Path):
        file = tmp_path / "config.yaml"
        assert run("init", "--output", str(file)).returncode == 0
        before = file.read_text()
        again = run("init", "--output", str(file))
        assert again.returncode == 1
        assert str(file) in again.stderr
        assert file.read_text() == before


class TestWithoutAnything:
    """`tollway` alone: the demo model, for this machine only."""

    @pytest.fixture
    def demo(self, start) -> Iterator[Process]:
        with start(None, key=None) as gateway:
            yield gateway

    def test_the_first_command_that_it_shows_works(self, demo: Process):
        command = demo.log[demo.log.index("curl") : demo.log.index("}'") + 2].replace("\\\n", "")
        answer = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
        assert "Hello!" in json.loads(answer.stdout)["choices"][0]["message"]["content"]

    def test_other_machines_are_not_served(self, demo: Process):
        own = next((ip for ip in addresses() if not ip.startswith("127.")), None)
        if own is None:
            pytest.skip("this machine has no other address")
        with pytest.raises(OSError):
            socket.create_connection((own, demo.port), timeout=2)

    def test_every_dialect_is_spoken(self, demo: Process):
        user = [{"role": "user", "content": "hi"}]
        for path, body in (
            ("/v1/chat/completions", {"model": "demo", "messages": user}),
            ("/v1/responses", {"model": "demo", "input": "hi"}),
            ("/v1/messages", {"model": "demo", "max_tokens": 50, "messages": user}),
            ("/v1beta/models/demo:generateContent", {"contents": [{"parts": [{"text": "hi"}]}]}),
        ):
            status, _, answer = demo.post(path, body)
            assert status == 200
            assert "“hi”" in json.dumps(answer, ensure_ascii=False)

    def test_a_stream_is_seen_to_stream(self, demo: Process):
        client = openai.OpenAI(base_url=f"{demo.url}/v1", api_key="none")
        asked = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}
        times = [time.monotonic() for _ in client.chat.completions.create(**asked, stream=True)]
        assert len(times) > 10
        assert times[-1] - times[0] > 0.1

    def test_tollway_chat_needs_no_more(self, demo: Process):
        result = run("chat", "hi", TOLLWAY_URL=demo.url)
        assert "“hi”" in result.stdout

    def test_what_the_readme_shows_works(self, demo: Process):
        blocks = re.findall(r"```python\n(.*?)```", (subject.ROOT / "README.md").read_text(), re.DOTALL)
        [code] = [block for block in blocks if '"demo"' in block]
        code = code.replace("http://127.0.0.1:4000", demo.url)
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=subject.environment())
        assert answer.returncode == 0, answer.stderr

    def test_the_port_may_come_from_the_environment(self, tmp_path: Path):
        port = subject.free_port()
        gateway = Process([], port, None, tmp_path / "log", PORT=str(port))
        gateway.wait_until_alive()
        assert gateway.stop() == 0


def addresses() -> list[str]:
    """This machine's own, without asking anyone."""
    try:
        return [entry[4][0] for entry in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    except OSError:
        return []


def test_a_gateway_without_a_master_key_keeps_to_this_machine_whatever_it_is_told(start, config: str):
    open_config = json.loads(config)
    open_config["general_settings"].pop("master_key")
    with start(json.dumps(open_config), "--host", "0.0.0.0", key=None) as gateway:
        assert "master key" in gateway.log
        listening = Path("/proc/net/tcp").read_text()
        assert f"00000000:{gateway.port:04X}" not in listening
        assert f"0100007F:{gateway.port:04X}" in listening


def test_a_gateway_with_a_master_key_serves_others(start, config: str):
    with start(config, "--host", "0.0.0.0") as gateway:
        assert f"00000000:{gateway.port:04X}" in Path("/proc/net/tcp").read_text()


def test_the_terminal_is_not_needed(start):
    """As a service has it: no input, output to a pipe that nobody reads any more."""
    port = subject.free_port()
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [subject.BINARY, "--port", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=writer,
        env=subject.environment(),
    )
    os.close(writer)
    os.close(reader)
    gateway = subject.Gateway(f"http://127.0.0.1:{port}", None)
    try:
        subject.eventually(gateway.is_alive, "the start")
        body = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}
        assert gateway.post("/v1/chat/completions", body)[0] == 200
        assert gateway.is_alive()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
