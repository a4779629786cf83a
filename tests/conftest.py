"""One Ray cluster a session, the path of the real articles, and shape checks while tests run."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from fault_proxy import FaultPlan, FaultProxy
from jaxtyping import install_import_hook
from s3_process import running_s3

hypothesis.settings.register_profile("full", max_examples=1_000, deadline=None)

# Shape annotations of these rooms are checked as their code runs.
install_import_hook(
    [
        "figclip.training.loss",
        "figclip.training.tiled",
        "figclip.models",
        "figclip.evaluation",
        "figclip.embedding.classes",
    ],
    "beartype.beartype",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shared", default=str(Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared_folder(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """`shared_folder("pmc-xml")`: the real articles of that name; their test skips without."""
    root = Path(request.config.getoption("--shared")).resolve()

    def find(name: str) -> Path:
        if not (root / name).exists():
            pytest.skip(f"no {name} at {root}: name the folder of real articles with --shared")
        return root / name

    return find


@pytest.fixture(scope="session")
def shared(shared_folder: Callable[[str], Path]) -> Path:
    """The folder that holds the bucket of real articles, `pmc-oa-opendata`."""
    return shared_folder("pmc-oa-opendata").parent


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A local Ray of four logical CPUs, the only one of this test session."""
    import ray

    ray.init(
        address="local",  # whatever else runs on this machine
        num_cpus=4,
        object_store_memory=400 * 2**20,
        include_dashboard=False,
        log_to_driver=True,
        configure_logging=False,
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """URL of an S3 server that runs in this process and forgets everything afterwards."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for every request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def s3_client(s3_server: str) -> Any:
    """A client with the rights to make buckets and to write."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=s3_server,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@pytest.fixture(scope="session")
def upload_public(s3_client: Any) -> Callable[..., None]:
    """`upload_public(folder, bucket, prefix="")`: the files of a folder, readable by everyone."""

    def upload(folder: Path, bucket: str, prefix: str = "") -> None:
        s3_client.create_bucket(Bucket=bucket, ACL="public-read")
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            key = prefix + path.relative_to(folder).as_posix()
            s3_client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes(), ACL="public-read")

    return upload


@pytest.fixture(scope="session")
def moto_process() -> Iterator[str]:
    """URL of an S3 server that is a process of its own (`s3_process.upload` fills it)."""
    with running_s3() as url:
        yield url


@pytest.fixture(scope="session")
def fault_proxy() -> Iterator[Callable[[str, FaultPlan], FaultProxy]]:
    """`fault_proxy(url, plan)`: a proxy in front of a server; all of them end with the session."""
    with ExitStack() as stack:
        yield lambda url, plan: stack.enter_context(FaultProxy(url, plan))
