from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from tiny import publish_tiny_embeddings, publish_tiny_encoder, publish_tiny_pairs, unit_vectors

import serve_apps
from figclip.config import UsageError
from figclip.store import Store
from serve_apps import embeddings, search
from serve_apps.service import ServiceArgs, newest_version

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


@pytest.mark.parametrize("name", ["embeddings", "search", "both", "production"])
def test_the_serve_configs_fit_ray_and_the_services_own_words(name: str):
    from ray.serve.schema import ServeDeploySchema

    config = yaml.safe_load((HERE / f"{name}.yaml").read_text())
    ServeDeploySchema.model_validate(config)
    kinds = {"embeddings": embeddings.EmbeddingsArgs, "search": search.SearchArgs}
    for application in config["applications"]:
        assert application["import_path"] == f"serve_apps.{application['name']}:app"
        args = kinds[application["name"]].model_validate(application["args"])
        if config["http_options"]["host"] != "127.0.0.1":
            assert args.keys, "beyond this machine only with keys"


def test_what_runs_on_a_laptop_fits_two_cores():
    for name in ("embeddings", "search", "both"):
        config = yaml.safe_load((HERE / f"{name}.yaml").read_text())
        args = [ServiceArgs.model_validate(one["args"]) for one in config["applications"]]
        machines = [one.machines() for one in args]
        taken = sum(
            (one.text_replicas + one.image_replicas) * one.cpus
            + one.gateway_replicas * one.gateway_cpus
            for one in machines
        )
        assert taken <= 2


def test_several_models_have_replicas_of_their_own_and_one_is_named_once(tmp_path: Path):
    from figclip.serving.batches.served import several

    models = several(str(tmp_path), ("one", "a/b"), backend="fp32")
    assert [model.suffix for model in models] == ["-0-one", "-1-a-b"]
    assert [model.suffix for model in several(str(tmp_path), ("one",), backend="fp32")] == [""]
    with pytest.raises(UsageError, match="named twice"):
        several(str(tmp_path), ("one", "one"), backend="fp32")
    with pytest.raises(UsageError, match="use one of them"):
        embeddings.EmbeddingsArgs(encoder="one", models=("two",)).encoders()


def test_replicas_are_as_many_as_said_or_as_the_work_asks_for():
    from figclip.serving.deployments import scale

    assert scale(2, None, target=2) == {"num_replicas": 2}
    config = scale(2, 5, target=3)["autoscaling_config"]
    assert config == {"min_replicas": 2, "max_replicas": 5, "target_ongoing_requests": 3}


def test_a_gpu_takes_the_plain_model_unless_told_otherwise():
    assert ServiceArgs().usual_backend() == "fp32"
    assert ServiceArgs(gpus=1).usual_backend() == "plain"
    assert ServiceArgs(gpus=1, backend="bf16").usual_backend() == "bf16"
