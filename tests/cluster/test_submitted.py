"""What was walked to behind `ray job submit` answers behind `serve run`."""

import json
import os
import subprocess
from pathlib import Path

import httpx
import openai
import pytest
from cluster_head import Head, wait_for
from walking import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(800)]


def test_the_openai_client_is_answered_by_serve_run(head: Head, submitted: tuple[Path, str]):
    store, _ = submitted
    with serving(head, "serve_apps.embeddings:app", f"store={store}") as url:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
        (model,) = [model.id for model in client.models.list()]
        answer = client.embeddings.create(model=model, input=["chest CT", "a bar chart"])
        assert len(answer.data) == 2
        norms = [sum(x * x for x in item.embedding) for item in answer.data]
        assert norms == pytest.approx([1, 1], abs=1e-4)


def test_curl_is_answered_by_the_search_page(head: Head, submitted: tuple[Path, str]):
    store, _ = submitted
    with serving(head, "serve_apps.search:app", f"store={store}") as url:
        page = subprocess.run(
            ["curl", "-sS", "--fail", f"{url}/?q=chest+CT"], capture_output=True, text=True
        )
        assert page.returncode == 0, page.stderr
        assert "<figure" in page.stdout or "<article" in page.stdout
        assert "pmc.ncbi.nlm.nih.gov" in page.stdout


class serving:
    """`serve run TARGET ...` on the head, until the block ends."""

    def __init__(self, head: Head, target: str, *arguments: str) -> None:
        self.head, self.target, self.arguments = head, target, arguments

    def __enter__(self) -> str:
        self.environment = {
            **self.head.environment,
            "RAY_ADDRESS": self.head.address,
            "PYTHONPATH": str(ROOT / "platform"),
        }
        self.log = Path(f"/tmp/fc{os.getpid()}-serve.log")
        self.process = subprocess.Popen(
            [
                *[self.head.python, "-m", "ray.serve.scripts", "run", "--working-dir", "."],
                *["--runtime-env-json", json.dumps({"env_vars": {"PYTHONPATH": "platform"}})],
                *[self.target, *self.arguments],
            ],
            cwd=ROOT,
            env=self.environment,
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
        )
        url = "http://127.0.0.1:8000"
        wait_for(lambda: httpx.get(f"{url}/healthz").status_code == 200, log=self.log)
        return url

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)
        subprocess.run(
            [
                *[self.head.python, "-m", "ray.serve.scripts", "shutdown", "-y"],
                *["--address", self.head.dashboard],
            ],
            env=self.environment,
            capture_output=True,
            timeout=60,
        )
