from collections.abc import Iterator

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from tiny import publish_tiny_embeddings, publish_tiny_pairs, unit_vectors

from figclip.embedding.index.build import build_index
from figclip.embedding.index.opened import open_index
from figclip.embedding.index.tuning import IndexConfig
from figclip.store import Store


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
