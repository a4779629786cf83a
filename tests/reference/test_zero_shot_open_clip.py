"""Zero-shot predictions against a plain open_clip script, on the same random weights."""

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from test_open_clip import SMALL_BERT, bert_folder, custom_text_clip, write_checkpoint
from transformers import AutoTokenizer

from figclip.embedding.classes import logits
from figclip.embedding.encoder import Encoder
from figclip.evaluation.datasets.drawn import KIND_SET, write_kinds
from figclip.evaluation.embedded import embed_set
from figclip.evaluation.zero_shot import class_vectors, zero_shot

pytestmark = pytest.mark.reference


@torch.no_grad()
def test_predictions_are_those_of_an_open_clip_script(tmp_path: Path):
    torch.manual_seed(0)
    bert = bert_folder(tmp_path / "bert", **SMALL_BERT)
    peer, model = custom_text_clip(
        bert, timm_model="vit_tiny_patch16_224", embed_dim=32, context_length=40
    )
    write_checkpoint(bert, peer, model)
    write_kinds(tmp_path / "data", num_per_class=4)

    preprocess = open_clip.image_transform(224, is_train=False)
    tokenize = AutoTokenizer.from_pretrained(bert)
    classifier = []
    for one in KIND_SET.classes:
        prompts = [template.format(one.words) for template in KIND_SET.templates]
        told = tokenize(
            prompts, padding="max_length", truncation=True, max_length=40, return_tensors="pt"
        )
        mean = peer.encode_text(told["input_ids"], normalize=True).mean(0)
        classifier.append(mean / mean.norm())
    paths = [
        path
        for one in KIND_SET.classes
        for path in sorted((tmp_path / "data" / "drawn_kinds" / "test" / one.label).iterdir())
    ]
    pixels = torch.stack([preprocess(Image.open(path)) for path in paths])
    features = peer.encode_image(pixels, normalize=True)
    scores = peer.logit_scale.exp() * features @ torch.stack(classifier).T
    answers = scores.argmax(1).numpy()
    labels = np.repeat(np.arange(len(KIND_SET.classes)), 4)

    found = zero_shot(Encoder.open(bert), KIND_SET, str(tmp_path / "data"))
    expected = np.zeros_like(found.confusion)
    np.add.at(expected, (labels, answers), 1)
    assert np.array_equal(found.confusion, expected)
    encoder, data = Encoder.open(bert), str(tmp_path / "data")
    classes, _ = class_vectors(encoder, KIND_SET)
    ours = embed_set(encoder, KIND_SET, data, batch_size=8)
    found_scores = logits(ours.vectors, classes, encoder.scale)
    assert found_scores.argmax(1).tolist() == answers.tolist(), "picture by picture"
    np.testing.assert_allclose(found_scores, scores, atol=1e-4)
    assert len(set(answers.tolist())) > 1, "a case that could go wrong"
