from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from tiny import publish_tiny_embeddings, publish_tiny_encoder, publish_tiny_pairs, unit_vectors

import serve_apps
from figclip.config import UsageError
from figclip.store import Store
from serve_apps import embeddings, search
from serve_apps.service import newest_version

HERE = Path(serve_apps.__file__).parent


def publish_nothing_much(store: Store, name: str, version: str, *inputs: str) -> None:
    with store.publishing(name, version, config={}, inputs=inputs) as publication:
        publication.counts.update(num_figures=0)


def test_a_relative_store_counts_from_where_the_command_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert embeddings.EmbeddingsArgs().opened_store().url == str(tmp_path / "artifacts")


def test_words_of_the_command_line_become_numbers_and_unknown_ones_are_errors():
    args = embeddings.EmbeddingsArgs.model_validate({"replicas": "2", "cpus": "0.5"})
    assert (args.replicas, args.cpus) == (2, 0.5)
    with pytest.raises(ValidationError, match="replica"):
        embeddings.EmbeddingsArgs.model_validate({"replica": "2"})


def test_an_empty_store_names_the_job_that_fills_it(tmp_path: Path):
    for args, app, job in (
        (embeddings.EmbeddingsArgs(store=str(tmp_path)), embeddings.app, "jobs.pretrain"),
        (search.SearchArgs(store=str(tmp_path)), search.app, "jobs.build_index"),
    ):
        with pytest.raises(UsageError, match=job):
            app(args)


def test_a_version_that_is_not_there_names_those_that_are(tmp_path: Path):
    publish_tiny_encoder(Store(tmp_path), "one")
    with pytest.raises(UsageError, match="published versions of encoder: one"):
        embeddings.app(embeddings.EmbeddingsArgs(store=str(tmp_path), encoder="two"))


def test_the_newest_version_is_the_one_published_last(tmp_path: Path, monkeypatch):
    store = Store(tmp_path)
    for second, version in enumerate(("b", "c", "a")):
        monkeypatch.setattr(
            "time.gmtime", lambda second=second: (2026, 1, 1, 0, 0, second, 3, 1, 0)
        )
        publish_nothing_much(store, "encoder", version)
    assert newest_version(store, "encoder", job="pretrain") == "a"


def test_the_search_takes_the_encoder_that_made_the_index_and_no_other(tmp_path: Path):
    store = Store(tmp_path)
    publish_tiny_pairs(store, "p", 10)
    vectors = unit_vectors(10, 16)
    publish_tiny_embeddings(store, "e", "p", vectors, vectors)  # they name encoder@none
    publish_nothing_much(store, "index", "i", "embeddings@e", "pairs@p")
    assert search.encoder_of(store, "i") == "none"
    publish_tiny_encoder(store, "other")
    with pytest.raises(UsageError, match="of encoder@none, not of encoder@other"):
        search.app(search.SearchArgs(store=str(tmp_path), encoder="other"))


@pytest.mark.parametrize("name", ["embeddings", "search"])
def test_the_serve_configs_fit_ray_and_the_services_own_words(name: str):
    from ray.serve.schema import ServeDeploySchema

    config = yaml.safe_load((HERE / f"{name}.yaml").read_text())
    ServeDeploySchema.model_validate(config)
    [application] = config["applications"]
    assert application["import_path"] == f"serve_apps.{name}:app"
    kind = embeddings.EmbeddingsArgs if name == "embeddings" else search.SearchArgs
    kind.model_validate(application["args"])
