"""Prints the configuration for a gateway that is started by hand, e.g. LiteLLM, and tested with `TOLLWAY_URL`.

python tests/configure.py > config.yaml
OUTER_TESTS_UPSTREAM_KEY=sk-upstream-secret litellm --config config.yaml --port 4000
TOLLWAY_URL=http://127.0.0.1:4000 pytest tests
"""

import os

import deployments

port = os.environ.get("TOLLWAY_UPSTREAM_PORT", "9912")
# Nobody listens on the discard port.
print(deployments.configuration(f"http://127.0.0.1:{port}", "http://127.0.0.1:9"))
