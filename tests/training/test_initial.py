"""Runs that start from other models: weights fitted to the run's config, kept in its folder."""

import json

import pytest
import torch
from foreign_models import OfTransformers
from native_clip import native_clip
from tiny import TINY_CLIP, publish_tiny_encoder, tiny_pairs

from figclip.config import UsageError
from figclip.inputs.pixels import PixelConfig, decode, eval_pixels
from figclip.models.adapting import AdaptConfig
from figclip.models.clip import Clip, ClipConfig
from figclip.models.open_clip import write_open_clip
from figclip.models.resampling import resized_grid, resized_table
from figclip.models.vision import VisionConfig
from figclip.models.weights import load_clip, save_weights
from figclip.store import Store
from figclip.training.initial import (
    find_initial,
    initial_clip,
    initial_tokenizer,
    keep_initial,
    warn_of_other_colours,
)


@pytest.fixture
def store(tmp_path):
    torch.set_num_threads(1)
    store = Store(tmp_path)
    publish_tiny_encoder(store, "tiny")
    return store


def started(store: Store, model: ClipConfig, init: str | None, **adapt) -> Clip:
    run = store.root / "runs" / "one"
    keep_initial(run, find_initial(init, model, run))
    return initial_clip(run, init, model, AdaptConfig(**adapt))


def test_a_run_begins_with_the_weights_of_its_source_in_training_mode(store):
    folder = store.open("encoder", "tiny")
    clip = started(store, TINY_CLIP, folder.path)
    expected = load_clip(folder)[0].state_dict()
    assert all(torch.equal(now, expected[name]) for name, now in clip.state_dict().items())
    assert clip.training
    assert all(parameter.requires_grad for parameter in clip.parameters())


def test_the_source_is_opened_once_and_then_never_again(store):
    folder = store.open("encoder", "tiny")
    first = started(store, TINY_CLIP, folder.path).state_dict()
    for name in folder.files():
        folder.delete(name)
    again = started(store, TINY_CLIP, folder.path).state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in first.items())


def test_a_copy_that_a_kill_left_half_written_is_made_again(store):
    folder, run = store.open("encoder", "tiny"), store.root / "runs" / "one"
    keep_initial(run, find_initial(folder.path, TINY_CLIP, run))
    assert find_initial(folder.path, TINY_CLIP, run) is None
    (run / "initial").delete("model.json")  # which is written after the weights
    assert find_initial(folder.path, TINY_CLIP, run) is not None


def test_larger_pictures_and_longer_texts_resample_the_positions_and_nothing_else(store):
    folder = store.open("encoder", "tiny")
    before = load_clip(folder)[0].state_dict()
    model = TINY_CLIP.with_overrides({"vision.image_size": 48, "text.max_positions": 40})
    after = started(store, model, folder.path).state_dict()
    grid, table = "visual.trunk.pos_embed", "text.transformer.embeddings.position_embeddings.weight"
    assert torch.equal(after[grid], resized_grid(before[grid], 1 + 36))
    assert torch.equal(after[table], resized_table(before[table], 40))
    rest = before.keys() - {grid, table}
    assert all(torch.equal(after[name], before[name]) for name in rest)
    assert torch.equal(after[grid][:, 0], before[grid][:, 0]), "the class token stands nowhere"


def test_a_causal_towers_texts_may_grow_or_shrink(store):
    folder = store.folder("encoder", "gpt")
    model = TINY_CLIP.with_overrides({"text.architecture": "gpt"})
    save_weights(folder, Clip(model), model)
    table = load_clip(folder)[0].text.positional_embedding
    for length in (10, 24, 60):
        run = store.root / "runs" / str(length)
        opened = find_initial(
            folder.path, model.with_overrides({"text.context_length": length}), run
        )
        assert opened is not None
        assert torch.equal(opened.clip.text.positional_embedding, resized_table(table, length))


def test_dropout_and_recomputation_are_the_runs_own(store):
    model = TINY_CLIP.with_overrides({"vision.patch_dropout": 0.5, "text.dropout": 0.3})
    clip = started(store, model, store.open("encoder", "tiny").path)
    assert clip.visual.trunk.patch_drop.prob == 0.5
    assert clip.text.transformer.config.hidden_dropout_prob == 0.3


def test_a_softmax_model_goes_on_with_a_sigmoid_loss(store):
    model = TINY_CLIP.with_overrides({"initial_bias": -10.0})
    assert started(store, model, store.open("encoder", "tiny").path).logit_bias.item() == -10


def test_another_architecture_names_the_keys_that_differ(store):
    path = store.open("encoder", "tiny").path
    with pytest.raises(UsageError, match=r"missing: text.positional_embedding, .* unexpected: "):
        started(store, TINY_CLIP.with_overrides({"text.architecture": "gpt"}), path)
    deeper = TINY_CLIP.with_overrides({"vision.depth": 3})
    with pytest.raises(UsageError, match=r"12 missing: visual.trunk.blocks.2.norm1.weight"):
        started(store, deeper, path)
    assert not (store.root / "runs" / "one").files()


def test_the_tokenizer_comes_with_the_model(store, tmp_path):
    run = store.root / "runs" / "one"
    opened = find_initial(store.open("encoder", "tiny").path, TINY_CLIP, run)
    assert opened is not None
    words = initial_tokenizer(opened).vocabulary
    vocab = json.loads(store.open("encoder", "tiny").read("tokenizer.json"))["model"]["vocab"]
    assert words == sorted(vocab, key=vocab.get)


def test_a_source_without_a_tokenizer_asks_for_one(store):
    folder = store.folder("elsewhere", "gpt")
    model = TINY_CLIP.with_overrides(
        {"text.architecture": "gpt", "vision": {"timm_model": "vit_tiny_patch16_224"}}
    )
    write_open_clip(folder, Clip(model), model, mean=(0.5,) * 3, std=(0.5,) * 3)
    opened = find_initial(folder.path, model, store.root / "runs" / "one")
    assert opened is not None
    with pytest.raises(UsageError, match="name one with --tokenizer"):
        initial_tokenizer(opened)


def test_without_a_source_a_run_begins_at_random(store):
    torch.manual_seed(5)
    expected = Clip(TINY_CLIP).state_dict()
    torch.manual_seed(5)
    clip = started(store, TINY_CLIP, None, lock_image=True)
    assert all(torch.equal(now, expected[name]) for name, now in clip.state_dict().items())
    assert not any(parameter.requires_grad for parameter in clip.visual.trunk.parameters())


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"vision.heads": 1}, r"visual.trunk.blocks.0.attn.num_heads 2, this config 1"),
        ({"text.heads": 1}, r"text.transformer.encoder.layer.0.*heads 2, this config 1"),
    ],
)
def test_weights_that_would_mean_another_thing_are_refused(store, other, named):
    model = TINY_CLIP.with_overrides({"vision.heads": 2, "text.heads": 2})
    folder = store.folder("encoder", "two_heads")
    save_weights(folder, Clip(model), model)
    with pytest.raises(UsageError, match=named):
        find_initial(folder.path, model.with_overrides(other), store.root / "runs" / "one")


def test_another_activation_is_another_model(store):
    gpt = TINY_CLIP.with_overrides({"text.architecture": "gpt"})
    folder = store.folder("encoder", "quick")
    quick = gpt.with_overrides({"text.activation": "quick_gelu"})
    save_weights(folder, Clip(quick), quick)
    with pytest.raises(
        UsageError, match=r"act as QuickGELU, this config GELU.* quick_gelu for tex"
    ):
        find_initial(folder.path, gpt, store.root / "runs" / "one")


def test_a_run_starts_from_a_folder_of_open_clips_and_is_told_of_other_colours(
    store, tmp_path, caplog
):
    gpt = {"architecture": "gpt", "hidden_size": 64, "heads": 1, "intermediate_size": 256}
    vision = VisionConfig(timm_model="vit_tiny_patch16_224", image_size=224)
    model = ClipConfig(vision=vision, text=TINY_CLIP.text.with_overrides(gpt), embed_dim=16)
    clip = Clip(model)
    folder = Store(tmp_path).folder("theirs", "one")
    grey = PixelConfig(size=224, mean=(0.5, 0.5, 0.5))
    write_open_clip(folder, clip, model, mean=grey.mean, std=grey.std)
    opened = find_initial(folder.path, model, store.root / "runs" / "one")
    assert opened is not None
    expected = clip.state_dict()
    found = opened.clip.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    warn_of_other_colours(opened, grey)
    assert not caplog.records
    warn_of_other_colours(opened, PixelConfig(size=32))
    assert "set --pixels.mean" in caplog.text


def test_a_run_starts_from_a_folder_of_transformers_as_that_library_embeds(store, tmp_path):
    peer = OfTransformers(tmp_path / "theirs")
    model = native_clip(vocab_size=49_408, context_length=24).with_overrides(
        {"vision.heads": 2, "text.hidden_size": 32, "text.heads": 4, "text.intermediate_size": 128}
    )
    run, source = store.root / "runs" / "one", str(tmp_path / "theirs")
    opened = find_initial(source, model, run)
    assert opened is not None
    text, picture = "A red disc of 10 µm.", tiny_pairs(1)[0].image
    tokens = initial_tokenizer(opened)([text], 24)
    pixels = eval_pixels(decode(picture), PixelConfig(size=32, mean=opened.mean, std=opened.std))
    keep_initial(run, opened)
    clip = initial_clip(run, source, model, AdaptConfig()).eval()
    with torch.no_grad():
        ours = [clip.encode_text(tokens.ids, tokens.mask)[0], clip.encode_image(pixels[None])[0]]
    for found, expected in zip(ours, peer.embed(text, picture), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
