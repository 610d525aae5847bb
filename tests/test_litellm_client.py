"""LiteLLM's own client (`litellm.proxy.client`) manages keys, users, teams, models and spend.

It lives in an environment of its own, which `make test` makes: see requirements-litellm.txt.
"""

import os
import subprocess
from pathlib import Path

import pytest

from subject import ROOT, Gateway, environment

PYTHON = Path(os.environ.get("LITELLM_PYTHON", str(ROOT / ".venv-litellm/bin/python")))


@pytest.mark.skipif(not PYTHON.exists(), reason=f"{PYTHON} is not there: `make .venv-litellm/.complete` makes it")
@pytest.mark.timeout(180)
def test_litellm_s_own_client_works_against_it(start, config):
    with start(config) as own:
        done = subprocess.run(
            [str(PYTHON), str(ROOT / "tests/litellm_client.py"), own.url, own.key],
            capture_output=True,
            text=True,
            # The price list that comes with the package: nothing is fetched.
            env=environment(LITELLM_LOCAL_MODEL_COST_MAP="True"),
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split("\n")[:-1] == [f"{part}: ok" for part in ("keys", "users", "teams", "models", "spend")]
