"""Encoders of others, each rebuilt from its authors' parts, saved in their layout, and asked."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import transforms
from torchvision.models.resnet import Bottleneck, ResNet
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
    SwinConfig,
    SwinModel,
)

from figclip.config import UsageError
from figclip.embedding.encoder import Encoder
from figclip.models.opening import open_model

SAID = "a scan of the lung with effusion and one nodule in chest x ray showing"
WORDS = SAID.split()
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
TEXTS = ["a scan of the lung", "chest x ray showing effusion and one nodule in the lung"]
BERT = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 1,
    "intermediate_size": 96,
    "max_position_embeddings": 90,
}


@pytest.fixture(autouse=True)
def _one_seed():
    torch.manual_seed(0)


def picture(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Smooth, in all colours, between levels 30 and 180."""
    coarse = np.random.default_rng(seed).integers(30, 181, (6, 6, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BILINEAR)


PICTURES = [picture((300, 200)), picture((150, 420), seed=1)]


def write_words(folder: Path) -> None:
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")


def ids_of(text: str) -> Tensor:
    return torch.tensor([[2, *(VOCABULARY.index(word) for word in text.split()), 3]])


def assert_same(encoder: Encoder, texts: list[Tensor], images: list[Tensor]) -> None:
    """Both asked for in one batch, which pads the shorter text."""
    found = encoder.encode_texts(TEXTS).vectors
    expected = F.normalize(torch.cat(texts), dim=1).numpy()
    assert np.abs(found - expected).max() <= 1e-5
    assert np.abs(expected[0] - expected[1]).max() > 1e-3
    seen = encoder.encode_images(PICTURES)
    expected = F.normalize(torch.cat(images), dim=1).numpy()
    assert np.abs(seen - expected).max() <= 1e-5
    assert np.abs(expected[0] - expected[1]).max() > 1e-4


def dropping(state: Mapping[str, Tensor], *strays: str) -> dict[str, Tensor]:
    """With buffers that older libraries saved."""
    return dict(state) | {name: torch.zeros(1, 4, dtype=torch.int64) for name in strays}


class MedClipText(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = BertModel(BertConfig(**BERT))
        self.projection_head = nn.Linear(64, 16, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        told = self.model(input_ids=ids, output_hidden_states=True).hidden_states
        layers = torch.stack([told[1], told[2], told[-1]]).permute(1, 0, 2, 3)
        return self.projection_head(layers.mean(2).mean(1))


class MedClipSwin(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        sizes = {"embed_dim": 16, "depths": [1, 2], "num_heads": [1, 2], "window_size": 7}
        self.model = SwinModel(SwinConfig(image_size=224, patch_size=4, **sizes))
        self.projection_head = nn.Linear(32, 16, bias=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.projection_head(self.model(pixels).pooler_output)


class MedClipResnet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = ResNet(Bottleneck, [1, 2, 1, 1])
        self.model.fc = nn.Linear(2048, 16, bias=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.model(pixels)


class MedClip(nn.Module):
    def __init__(self, vision_model: nn.Module) -> None:
        super().__init__()
        self.vision_model = vision_model
        self.text_model = MedClipText()
        self.logit_scale = nn.Parameter(torch.tensor(2.5))


SWIN_AS_RELEASED = {
    ".attention.q_proj.": ".attention.self.query.",
    ".attention.k_proj.": ".attention.self.key.",
    ".attention.v_proj.": ".attention.self.value.",
    ".attention.o_proj.": ".attention.output.dense.",
    ".attention.relative_position_bias.rel": ".attention.self.rel",
    ".mlp.fc1.": ".intermediate.dense.",
    ".mlp.fc2.": ".output.dense.",
}
"""Today's names in transformers → those of the release that MedCLIP was saved with."""


def medclips_pixels(image: Image.Image) -> Tensor:
    """Grey, on a black square, 224 px, as MedCLIP's feature extractor makes them."""
    side = max(224, *image.size)
    square = Image.new("L", (side, side), 0)
    square.paste(image, (int((side - image.width) / 2), int((side - image.height) / 2)))
    recipe = transforms.Compose(
        [
            transforms.Resize(224, transforms.InterpolationMode.BICUBIC),
            transforms.ToTensor(),
            transforms.Normalize([0.5862785803043838], [0.27950088968644304]),
        ]
    )
    return recipe(square).repeat(3, 1, 1)[None]


@pytest.mark.parametrize("tower", [MedClipSwin, MedClipResnet])
@torch.no_grad()
def test_medclip_embeds_as_its_authors_do_and_padding_has_no_say(
    tower: type[nn.Module], tmp_path: Path
):
    peer = MedClip(tower()).eval()
    state = dropping(peer.state_dict(), "text_model.model.embeddings.position_ids")
    if tower is MedClipSwin:
        index = "vision_model.model.encoder.layers.0.blocks.0.attention.self"
        state = dropping(state, f"{index}.relative_position_index")
        for today, then in SWIN_AS_RELEASED.items():
            state = {
                name.replace(today, then) if name.startswith("vision_model.") else name: tensor
                for name, tensor in state.items()
            }
    torch.save(state, tmp_path / "pytorch_model.bin")
    write_words(tmp_path)
    encoder = Encoder.open(tmp_path)
    assert (encoder.context_length, encoder.dim) == (77, 16)
    assert encoder.scale == pytest.approx(float(peer.logit_scale.exp()))
    texts = [peer.text_model(ids_of(text)) for text in TEXTS]
    assert_same(encoder, texts, [peer.vision_model(medclips_pixels(one)) for one in PICTURES])
    long = encoder.encode_texts(["lung " * 80, "lung"])
    assert long.truncated.tolist() == [True, False]


class BioVilImages(nn.Module):
    """hi-ml's image model; with time, its case without an earlier radiograph."""

    def __init__(self, *, has_time: bool) -> None:
        super().__init__()
        self.encoder = nn.Module()
        self.encoder.encoder = ResNet(Bottleneck, [1, 1, 1, 1])
        if has_time:
            self.encoder.backbone_to_vit = nn.Conv2d(2048, 24, 1, bias=False)
            self.encoder.missing_previous_emb = nn.Parameter(torch.randn(1, 24, 1, 1))
            self.encoder.vit_pooler = nn.Linear(3, 3)
        self.projector = nn.Module()
        self.projector.model = nn.Sequential(
            nn.Conv2d(48 if has_time else 2048, 16, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 1),
        )
        self.has_time = has_time

    def forward(self, pixels: Tensor) -> Tensor:
        resnet = self.encoder.encoder
        x = resnet.maxpool(resnet.relu(resnet.bn1(resnet.conv1(pixels))))
        for layer in (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4):
            x = layer(x)
        if self.has_time:
            now = self.encoder.backbone_to_vit(x)
            missing = self.encoder.missing_previous_emb.repeat(len(x), 1, *now.shape[2:])
            x = torch.cat([now, missing], dim=1)
        return torch.mean(self.projector.model(x), dim=(2, 3))


class CxrBert(BertForMaskedLM):
    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.cls_projection_head = nn.Module()
        self.cls_projection_head.dense_to_hidden = nn.Linear(64, 16)
        self.cls_projection_head.LayerNorm = nn.LayerNorm(16, eps=1e-12)
        self.cls_projection_head.dense_to_output = nn.Linear(16, 16)

    def embed(self, ids: Tensor) -> Tensor:
        head = self.cls_projection_head
        state = self.bert(input_ids=ids).last_hidden_state[:, 0]
        return head.dense_to_output(head.LayerNorm(F.gelu(head.dense_to_hidden(state))))


def biovils_pixels(image: Image.Image, side: int) -> Tensor:
    """hi-ml's: levels stretched to 0 … 255, grey, 512 px, the middle; no mean is taken off."""
    levels = np.asarray(image).astype(float)
    levels -= levels.min()
    levels /= levels.max()
    grey = Image.fromarray((255 * levels).astype(np.uint8)).convert("L")
    steps = [transforms.Resize(512), transforms.CenterCrop(side), transforms.ToTensor()]
    return transforms.Compose(steps)(grey).repeat(3, 1, 1)[None]


@pytest.mark.parametrize(
    ("file", "side"),
    [
        ("biovil_image_resnet50_proj_size_128.pt", 480),
        ("biovil_t_image_model_proj_size_128.pt", 448),
    ],
)
@torch.no_grad()
def test_biovil_embeds_as_its_authors_do(file: str, side: int, tmp_path: Path):
    images = BioVilImages(has_time=side == 448)
    for module in images.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
    texts = CxrBert(BertConfig(**BERT))
    images.eval(), texts.eval()
    torch.save(images.state_dict(), tmp_path / file)
    torch.save(
        dropping(texts.state_dict(), "bert.embeddings.position_ids"),
        tmp_path / "pytorch_model.bin",
    )
    told = {**BertConfig(**BERT).to_dict(), "model_type": "cxr-bert", "projection_size": 16}
    (tmp_path / "config.json").write_text(json.dumps(told))
    write_words(tmp_path)
    encoder = Encoder.open(tmp_path)
    assert (encoder.context_length, encoder.dim, encoder.scale) == (90, 16, 1.0)
    expected = [texts.embed(ids_of(text)) for text in TEXTS]
    assert_same(encoder, expected, [images(biovils_pixels(one, side)) for one in PICTURES])


def pieces_folder(folder: Path) -> PreTrainedTokenizerFast:
    """A SentencePiece-like vocabulary with an end of text that pads as well, as SigLIP has it."""
    scores = [("<unk>", 0.0), ("</s>", 0.0), *((f"▁{word}", -1.0) for word in WORDS)]
    pieces = Tokenizer(models.Unigram([*scores, ("▁", -9.0)], unk_id=0))
    pieces.pre_tokenizer = pre_tokenizers.Metaspace()
    pieces.decoder = decoders.Metaspace()
    pieces.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    found = PreTrainedTokenizerFast(
        tokenizer_object=pieces, pad_token="</s>", eos_token="</s>", unk_token="<unk>"
    )
    found.save_pretrained(folder)
    return found


@torch.no_grad()
def test_siglip_embeds_as_transformers_does(tmp_path: Path):
    tower = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    tower["intermediate_size"] = 48
    config = SiglipConfig(
        vision_config={**tower, "image_size": 56, "patch_size": 14},
        text_config={
            **tower,
            "vocab_size": len(WORDS) + 3,
            "max_position_embeddings": 16,
            "pad_token_id": 1,
            "bos_token_id": 1,
            "eos_token_id": 1,
        },
    )
    peer = SiglipModel(config).eval()
    nn.init.constant_(peer.logit_scale, 2.0)
    peer.save_pretrained(tmp_path)
    pieces = pieces_folder(tmp_path)
    half = [0.5, 0.5, 0.5]
    told = {"resample": 2, "image_mean": half, "image_std": half}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(told))
    encoder = Encoder.open(tmp_path)
    assert encoder.scale == pytest.approx(np.exp(2.0))
    padding = {"padding": "max_length", "max_length": 16, "truncation": True}
    texts = [
        peer.text_model(input_ids=pieces([text], return_tensors="pt", **padding)["input_ids"])
        for text in TEXTS
    ]
    recipe = transforms.Compose([transforms.ToTensor(), transforms.Normalize(half, half)])
    views = [one.resize((56, 56), Image.Resampling.BILINEAR) for one in PICTURES]
    images = [peer.vision_model(pixel_values=recipe(view)[None]).pooler_output for view in views]
    assert_same(encoder, [one.pooler_output for one in texts], images)
    assert encoder.encode_texts(["lung " * 30]).truncated.all()
    assert encoder.encode_texts([]).vectors.shape == (0, 32)


def test_a_peer_can_be_asked_but_not_trained_on_and_one_that_is_broken_is_refused(tmp_path: Path):
    peer = MedClip(MedClipResnet())
    torch.save(peer.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(UsageError, match="neither trained on nor converted"):
        open_model(tmp_path)
    state = peer.state_dict()
    del state["vision_model.model.layer2.1.conv1.weight"]
    torch.save(state, tmp_path / "pytorch_model.bin")
    with pytest.raises(UsageError, match=r"1 missing: vision_model\.model\.layer2\.1\.conv1"):
        Encoder.open(tmp_path)
    torch.save({"a": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UsageError, match=r"not MedCLIP's: lay the model's config\.json"):
        Encoder.open(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "cxr-bert"}')
    with pytest.raises(UsageError, match="no weights of the image tower: lay biovil_image"):
        Encoder.open(tmp_path)
