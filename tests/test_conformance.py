"""The recorded exchanges of the conformance suite, replayed through the gateway."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import subject

HERE = Path(__file__).parent
SUITE = Path(os.environ.get("CONFORMANCE_SUITE", subject.ROOT.parent / "shared" / "conformance"))
RULES = tomllib.loads((HERE / "conformance.toml").read_text())

pytestmark = [
    pytest.mark.cli,
    pytest.mark.skipif(not SUITE.is_dir(), reason=f"the suite is not at {SUITE}"),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("provider", "floor"), RULES["floors"].items())
def test_recorded_exchanges_are_reproduced(provider: str, floor: float, tmp_path: Path):
    only = ",".join(f"{provider}.*+{endpoint}" for endpoint in RULES["endpoints"])
    scores = tmp_path / "scores.json"
    command = [
        sys.executable,
        str(SUITE / "run.py"),
        "--gateway-cmd",
        f"{subject.BINARY} --config {{config}} --port {{port}}",
    ]
    run = subprocess.run(
        [*command, "--only", only, "--json", str(scores)], capture_output=True, text=True, env=subject.environment()
    )
    assert run.returncode == 0, run.stdout + run.stderr
    reached = json.loads(scores.read_text())["summary"]
    assert reached["cases"] > 50
    print(run.stdout)
    assert reached["both_pct"] >= floor
