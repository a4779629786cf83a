"""One Ray cluster a session, the path of the real articles, and shape checks while tests run."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# Shape annotations of these rooms are checked as their code runs.
install_import_hook(
    ["figclip.training.loss", "figclip.models", "figclip.evaluation"], "beartype.beartype"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shared", default=str(Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest) -> Path:
    """The folder of real articles and figures; tests that ask for it skip without it."""
    folder = Path(request.config.getoption("--shared"))
    if not (folder / "pmc-oa-opendata").is_dir():
        pytest.skip(f"no real articles at {folder}: name their folder with --shared")
    return folder.resolve()


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A local Ray of four logical CPUs, the only one of this test session."""
    import ray

    ray.init(
        num_cpus=4,
        object_store_memory=400 * 2**20,
        include_dashboard=False,
        log_to_driver=True,
        configure_logging=False,
    )
    yield
    ray.shutdown()
