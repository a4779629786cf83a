from collections.abc import Iterator

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from tiny import (
    publish_embedded_pairs,
    publish_tiny_embeddings,
    publish_tiny_pairs,
    tiny_pairs,
    unit_vectors,
)

from figclip.embedding.index.build import build_index
from figclip.embedding.index.opened import open_index
from figclip.embedding.index.place import place_of
from figclip.embedding.index.tuning import IndexConfig
from figclip.store import Folder, Store


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, "testing")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        server = ThreadedMotoServer(port=0)
        server.start()
        host, port = server.get_host_and_port()
        boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="figures")
        yield Store(f"s3://figures/store?endpoint_override={host}:{port}&scheme=http")
        server.stop()


def test_an_index_on_an_object_store_is_searched_as_a_local_one(store, tmp_path):
    hits = []
    for where in (store, Store(tmp_path)):
        publish_tiny_pairs(where, "p", 30)
        publish_tiny_embeddings(where, "e", "p", unit_vectors(30, 16), unit_vectors(30, 16, seed=1))
        build_index(
            where, embeddings_version="e", pairs_version="p", version="i", config=IndexConfig()
        )
        index = open_index(where, "i")
        hits.append(index.search(unit_vectors(1, 16, seed=2)[0], k=5))
        np.testing.assert_array_equal(index.vector(hits[-1][0].pair_id).shape, (16,))
    assert hits[0] == hits[1]


def test_an_index_on_an_object_store_goes_on_from_another_and_is_read_where_it_is(
    store, monkeypatch
):
    pairs = tiny_pairs(40)
    vectors = {p.pair_id: v for p, v in zip(pairs, unit_vectors(40, 16), strict=True)}
    publish_embedded_pairs(store, "1", pairs[:30], vectors)
    publish_embedded_pairs(store, "2", pairs[5:], vectors)
    build_index(store, embeddings_version="1", pairs_version="1", version="1", config=IndexConfig())
    manifest = build_index(
        store,
        embeddings_version="2",
        pairs_version="2",
        version="2",
        base_version="1",
        config=IndexConfig(),
    )
    assert (manifest.counts["num_kept"], manifest.counts["num_appended"]) == (25, 10)
    monkeypatch.setattr(Folder, "download", None)
    index = open_index(store, "2")
    assert index.count() == 35
    assert len(index.search(unit_vectors(1, 16, seed=2)[0], k=40)) == 35
    assert open_index(store, "1").count() == 30


def test_credentials_and_endpoint_of_the_stores_address_are_the_tables():
    store = Store.__new__(Store)
    store.url = "s3://me:my%2Fkey@bucket/store?endpoint_override=host:9000&scheme=http&region=x"
    place = place_of(store, Folder(object(), "bucket/store/index/1"))
    assert place.url == "s3://bucket/store/index/1"
    assert place.options["endpoint"] == "http://host:9000"
    assert place.options["allow_http"] == "true"
    assert place.options["region"] == "x"
    assert place.options["aws_access_key_id"] == "me"
    assert place.options["aws_secret_access_key"] == "my/key"
    assert "my/key" not in repr(place)
