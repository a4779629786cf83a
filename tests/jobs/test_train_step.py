"""The benchmark of training steps: the same work on both sides, on any device."""

import pytest
import torch
from open_clip.model import CustomTextCLIP
from transformers import BertConfig

from figclip.config import UsageError
from figclip.models.clip import ClipConfig
from figclip.models.text import TextConfig
from figclip.models.vision import VisionConfig
from jobs.benchmark import BenchmarkJob, main
from jobs.benchmarks.train_step import train_step
from jobs.benchmarks.train_step_gpu import batch_of, train_step_on
from jobs.benchmarks.train_step_side import clip_of, joined

TINY = ClipConfig(
    vision=VisionConfig(timm_model="vit_tiny_patch16_224"),
    text=TextConfig(vocab_size=99, hidden_size=64, layers=1, heads=1, intermediate_size=64),
    embed_dim=8,
)


@pytest.mark.timeout(120)
def test_the_code_for_gpus_runs_both_sides():
    torch.set_num_threads(1)
    figures = train_step_on(
        torch.device("cpu"), batch_size=2, precision="bf16", config=TINY, steps=1
    )
    for name in ("padded", "natural"):
        assert figures[f"ratio_{name}"] > 0
        assert figures[f"ours_peak_memory_gb_{name}"] is None
        assert 0 < figures[f"mfu_{name}"] < 1
    # A ViT-Ti/16 has 1.1 GMAC: twice that, three times; a text of 256 tokens adds its layer's.
    assert 6.5 < figures["gflops_per_sample_natural"] < figures["gflops_per_sample_padded"] < 9
    assert figures["largest_batch"] is None


def test_without_a_gpu_the_benchmark_of_gpus_says_so():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UsageError, match="no GPU"):
        main(BenchmarkJob(benchmark="train_step", device="cuda"))


def test_without_the_peer_the_benchmark_says_what_to_name(tmp_path):
    with pytest.raises(UsageError, match="--shared"):
        train_step(tmp_path, tmp_path)


def test_texts_are_as_long_as_the_file_says(tmp_path):
    (tmp_path / "lengths.txt").write_text("7\n300\n")
    batch = batch_of(TINY, 64, tmp_path / "lengths.txt", torch.device("cpu"))
    assert set(batch.mask.sum(dim=1).tolist()) == {7, 256}


@pytest.mark.reference
def test_our_side_takes_open_clips_weights_and_embeds_its_tensors_alike(tmp_path):
    torch.manual_seed(0)
    sizes = {"hidden_size": 192, "num_hidden_layers": 2, "num_attention_heads": 3}
    BertConfig(intermediate_size=64, **sizes).save_pretrained(tmp_path)
    peer = CustomTextCLIP(
        16,
        {"timm_model_name": "vit_tiny_patch16_224", "timm_pool": "", "timm_proj": "linear"},
        {
            "hf_model_name": str(tmp_path),
            "hf_tokenizer_name": str(tmp_path),
            "hf_model_pretrained": False,
            "hf_proj_type": "mlp",
            "hf_pooler_type": "cls_last_hidden_state_pooler",
        },
    ).eval()
    arguments = {"patch_dropout": 0.0, "grad_checkpointing": False, "no_dropout": False}
    clip = clip_of(peer.state_dict(), arguments).eval()
    ids = torch.randint(5, 30_522, (4, 20))
    ids[1, 5:], ids[3, 9:] = 0, 0
    pixels = torch.randn(4, 3, 224, 224)
    batch, num_parts = joined([(pixels[:2], ids[:2]), (pixels[2:], ids[2:])])
    assert num_parts == 2
    with torch.no_grad():
        image, text, _ = clip(batch.pixels, batch.ids, batch.mask)
        images, texts, _ = peer(pixels, ids)
    torch.testing.assert_close(image, images)
    torch.testing.assert_close(text, texts)
