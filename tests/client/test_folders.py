"""Folders of pictures → a file of vectors: resumed, kept up to date, and told apart by model."""

import itertools
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from serving_fakes import MODEL, FakeEncoder, image_bytes, unit

from figclip.client import Client, Patience, ServiceError
from figclip.client.__main__ import main
from figclip.client.folders import embed_folder
from figclip.serving.routes.api import Intake, Model, Models, embeddings_router, json_app
from figclip.serving.routes.limits import Limits, decode_image
from jobs.served_here import served_here


class Service(FakeEncoder):
    """Fails for good after `most` pictures."""

    most: float = float("inf")

    async def embed_images(self, images: list[bytes]) -> list[Any]:
        self.most -= len(images)
        if self.most < 0:
            raise RuntimeError("the model is gone")
        return await super().embed_images(images)


@pytest.fixture(scope="module")
def service() -> Service:
    return Service()


@pytest.fixture(scope="module")
def url(service: Service) -> Iterator[str]:
    models = Models([Model(MODEL, service.embed_texts, service.embed_images)])
    router = embeddings_router(models, intake=Intake())
    with served_here(json_app(router, title="test")) as address:
        yield address


@pytest.fixture
def folder(tmp_path: Path, service: Service) -> Path:
    """Thirty pictures at two depths, and a file that is none."""
    service.most = float("inf")
    service.calls.clear()
    folder = tmp_path / "pictures"
    for n in range(30):
        path = folder / f"{n % 3}" / f"{n:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image_bytes(color=(8 * n, 40, 90)))
    (folder / "notes.txt").write_text("no picture")
    return folder


def embedded(url: str, folder: Path, out: Path, **options: Any) -> Any:
    patience = Patience(deadline_s=30)
    with Client(url, batch_items=4, concurrency=1, patience=patience, **options) as client:
        return embed_folder(client, folder, out, shows_progress=False)


def read(out: Path) -> dict[str, np.ndarray]:
    rows = pq.read_table(out).to_pylist()
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    return {row["id"]: np.float32(row["vector"]) for row in rows}


def expected(folder: Path) -> dict[str, np.ndarray]:
    paths = folder.rglob("*.png")
    decoded = {path: decode_image(path.read_bytes(), limits=Limits()) for path in paths}
    return {
        path.relative_to(folder).as_posix(): unit(image.tobytes())
        for path, image in decoded.items()
    }


def assert_same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert found.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name], name)


def test_every_picture_of_a_folder_gets_its_vector(url: str, folder: Path, tmp_path: Path):
    out = tmp_path / "vectors.parquet"
    outcome = embedded(url, folder, out)
    assert outcome.num_embedded == 30
    assert_same(read(out), expected(folder))
    assert [path.name for path in tmp_path.iterdir() if path != folder] == [out.name]


def test_what_was_cut_off_goes_on_where_it_was(
    url: str, folder: Path, tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("figclip.client.folders.PART", 4)
    out = tmp_path / "vectors.parquet"
    for at_once in itertools.count(1):
        service.most = 9
        with suppress(ServiceError):
            embedded(url, folder, out)
            break
        assert not out.exists()
        assert at_once < 8
    assert at_once > 2
    assert_same(read(out), expected(folder))
    assert sum(service.calls) < 30 + 8 * at_once
    assert not list(tmp_path.glob("*.parts"))


def test_a_second_call_asks_for_what_is_new_or_changed_and_forgets_what_is_gone(
    url: str, folder: Path, tmp_path: Path, service: Service
):
    out = tmp_path / "vectors.parquet"
    embedded(url, folder, out)
    service.calls.clear()
    (folder / "new.png").write_bytes(image_bytes(color=(1, 1, 1)))
    (folder / "0" / "03.png").write_bytes(image_bytes("PNG", (50, 50)))
    (folder / "1" / "01.png").unlink()
    embedded(url, folder, out)
    assert sum(service.calls) == 2
    assert_same(read(out), expected(folder))


def test_a_broken_picture_is_named_and_costs_no_other(url: str, folder: Path, tmp_path: Path):
    (folder / "0" / "broken.png").write_bytes(image_bytes()[:60])
    (folder / "empty.jpg").touch()
    outcome = embedded(url, folder, tmp_path / "v.parquet")
    assert outcome.num_embedded == 30
    assert outcome.refused.keys() == {"0/broken.png", "empty.jpg"}
    assert all(error.remedy for error in outcome.refused.values())


def test_vectors_of_two_models_are_not_mixed(url: str, folder: Path, tmp_path: Path):
    out = tmp_path / "v.parquet"
    embedded(url, folder, out)
    with pytest.raises(ServiceError, match="of encoder@tiny, not of other") as caught:
        embedded(url, folder, out, model="other")
    assert "another file" in caught.value.remedy


def test_the_command_embeds_a_folder_and_says_what_was_refused(
    url: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "v.parquet"
    words = ["embed", str(folder), "--url", url, "--out", str(out)]
    assert main(words) == 0
    assert "30 vectors, 0 refused" in capsys.readouterr().out
    (folder / "broken.png").write_bytes(b"x")
    assert main(words) == 1
    told = capsys.readouterr()
    assert "broken.png: " in told.err
    assert "30 vectors, 1 refused" in told.out


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["embed"], "name a folder"),
        (["embed", "/no/such/folder"], "is no folder"),
        (["embed", ".", "--url", "nowhere"], "looks like http://"),
        (["improve"], "unknown preset"),
    ],
)
def test_the_command_ends_with_a_sentence_and_code_2(
    words: list[str], remedy: str, capsys: pytest.CaptureFixture[str], url: str
):
    assert main([*words, *(["--url", url] if "--url" not in words else [])]) == 2
    assert remedy in capsys.readouterr().err
