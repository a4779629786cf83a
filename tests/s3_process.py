"""A real S3 API server as a process of its own, and folders as buckets of it."""

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
from botocore.config import Config

NUM_THREADS = 4
DATE = "20260101T000000Z"
SIGNATURE = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=0"
)


@contextmanager
def running_s3() -> Iterator[str]:
    """URL of an S3 server that forgets everything when it is left."""
    port = free_port()
    code = "from moto.server import main; main()"
    server = subprocess.Popen(
        [sys.executable, "-c", code, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=20)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen, *, timeout_s: float = 60) -> None:
    """Until somebody listens there; `RuntimeError` if the process ends or takes too long."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with code {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nobody listens on port {port}")


def writer(url: str) -> Any:
    """A client with the rights to make buckets and to write."""
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(
            max_pool_connections=NUM_THREADS,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def upload(url: str, folder: Path, bucket: str, *, prefix: str = "") -> int:
    """Put the files of a folder into a new bucket, readable by everyone; returns their number."""
    writer(url).create_bucket(Bucket=bucket, ACL="public-read")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    shares = [files[start::NUM_THREADS] for start in range(NUM_THREADS)]
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        list(pool.map(lambda share: _put(url, folder, f"/{bucket}/{prefix}", share), shares))
    return len(files)


def _put(url: str, folder: Path, above: str, files: list[Path]) -> None:
    """Over one connection, without boto: this server takes any signature for a good one."""
    headers = {"x-amz-acl": "public-read", "Authorization": SIGNATURE, "x-amz-date": DATE}
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    for path in files:
        target = quote(above + path.relative_to(folder).as_posix(), safe="/~")
        connection.request("PUT", target, path.read_bytes(), headers)
        answer = connection.getresponse()
        if answer.status != 200 or not answer.headers["ETag"]:
            raise RuntimeError(f"{target}: {answer.status} {answer.read()!r}")
        answer.read()
    connection.close()
