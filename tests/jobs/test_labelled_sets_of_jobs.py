"""Drawn sets as an artifact, and the judge that goes to where an encoder is."""

from pathlib import Path

from ray import cloudpickle
from tiny import publish_tiny_encoder

from figclip.embedding.encoder import Encoder
from figclip.evaluation.datasets.drawn import KIND_SET
from figclip.evaluation.zero_shot import zero_shot
from figclip.store import Store
from jobs.labelled_sets import NUM_PER_CLASS, drawn_sets, judge_of


def test_the_judge_travels_and_tells_what_the_sets_say(tmp_path: Path):
    store = Store(tmp_path)
    publish_tiny_encoder(store, "tiny")
    encoder = Encoder.open(store.open("encoder", "tiny"))
    judge = cloudpickle.loads(cloudpickle.dumps(judge_of(store, None, (KIND_SET,))))
    told = judge(encoder)
    folder = drawn_sets(store)
    expected = zero_shot(encoder, KIND_SET, folder.path)
    assert told == {
        "zero_shot_drawn_kinds": expected.values["accuracy"],
        "num_drawn_kinds_images": NUM_PER_CLASS * len(KIND_SET.classes),
    }
    assert store.manifest("labelled", "miniature").counts["num_images"] == expected.num_images
    assert judge_of(store, None, ()) is None
