"""Our CLIP, tokenizer and pixels against open_clip's, on random weights and odd texts."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.model import CustomTextCLIP
from PIL import Image
from transformers import AutoTokenizer, BertConfig, BertTokenizerFast

from figclip.inputs.pixels import PixelConfig, eval_pixels
from figclip.inputs.tokens import open_tokenizer, train_wordpiece
from figclip.models.open_clip import by_open_clips_names, write_open_clip
from figclip.models.opening import open_model
from figclip.store import Store

pytestmark = pytest.mark.reference

CAPTIONS = [
    "Figure 1. (A) Axial CT of the chest; arrow: nodule, 12 mm.",
    "Haematoxylin &amp;amp; eosin stain, scale bar 50 µm (p &lt; 0.05).",
    "naïve café — Kaplan–Meier curves of β-catenin+ patients",
    "Western blot of GAPDH in HEK293T cells [n = 3]",
    "MRI",
]
ODD = [
    "",
    " ",
    "\t a \n\n b \u00a0 c \u2028 d",
    "&amp;lt;b&amp;gt;",
    "schÃ¶n mojibake â€œquotedâ€\x9d",
    "naïve CAFÉ ﬁgure Ⅳ ½ x²",
    "中文 字符 MRI の 脳",
    "emoji 🧠 and \u200d joiners \ufeff \x00 \x07",
    "unbroken" * 40,
    "p<0.05, n=3; (A)-(C) [arrow] *** 10⁻³ µm °C ± é e\u0301",
    "long " * 400,
    "[SEP] [MASK] literally [CLS] [UNK]",
    "İstanbul ǅ ß ẞ",
]
SMALL_BERT = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 80,
}


@pytest.fixture(autouse=True)
def _one_thread_and_one_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def bert_folder(path, **sizes):
    """A BERT's folder as a hub would hand it out: config and vocabulary, no weights."""
    path.mkdir()
    train_wordpiece(CAPTIONS * 2, vocab_size=200).save(Store(path.parent).root / path.name)
    vocab = json.loads((path / "tokenizer.json").read_text())["model"]["vocab"]
    (path / "vocab.txt").write_text("\n".join(sorted(vocab, key=vocab.get)) + "\n")
    BertTokenizerFast(vocab=str(path / "vocab.txt")).save_pretrained(path)
    BertConfig(**{"vocab_size": len(vocab), **sizes}).save_pretrained(path)
    return path


def custom_text_clip(bert, *, timm_model, embed_dim, context_length):
    """A model of BiomedCLIP's architecture, and the `model_cfg` that describes it."""
    model = {
        "embed_dim": embed_dim,
        "vision_cfg": {
            "timm_model_name": timm_model,
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": 224,
        },
        "text_cfg": {
            "hf_model_name": str(bert),
            "hf_tokenizer_name": str(bert),
            "hf_model_pretrained": False,
            "hf_proj_type": "mlp",
            "hf_pooler_type": "cls_last_hidden_state_pooler",
            "context_length": context_length,
        },
    }
    return CustomTextCLIP(**model).eval(), model


def write_checkpoint(folder, peer, model):
    """As the released BiomedCLIP was saved: with the position ids of older transformers."""
    positions = peer.text.transformer.config.max_position_embeddings
    state = peer.state_dict()
    state["text.transformer.embeddings.position_ids"] = torch.arange(positions)[None]
    torch.save(state, folder / "open_clip_pytorch_model.bin")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
    return len(state)


@torch.no_grad()
def assert_same_embeddings(peer, clip, *, vocab_size, lengths, context_length):
    pixels = torch.randn(2, 3, 224, 224)
    ids = torch.randint(5, vocab_size, (len(lengths), context_length))
    for row, length in zip(ids, lengths, strict=True):
        row[length:] = 0
    images = peer.encode_image(pixels, normalize=True)
    texts = peer.encode_text(ids, normalize=True)
    assert (clip.encode_image(pixels) - images).abs().max() <= 1e-6
    assert (clip.encode_text(ids, ids != 0) - texts).abs().max() <= 1e-6
    assert clip.logit_scale == peer.logit_scale


def test_a_small_open_clip_model_embeds_the_same_in_ours(tmp_path):
    bert = bert_folder(tmp_path / "bert", **SMALL_BERT)
    peer, model = custom_text_clip(
        bert, timm_model="vit_tiny_patch16_224", embed_dim=32, context_length=40
    )
    write_checkpoint(tmp_path, peer, model)
    opened = open_model(tmp_path)
    clip, config = opened.clip, opened.config
    assert (config.text.heads, config.text.context_length) == (4, 40)
    assert_same_embeddings(
        peer,
        clip,
        vocab_size=config.text.vocab_size,
        lengths=[40, 39, 17, 3, 2],
        context_length=40,
    )


def test_the_released_biomedclip_shape_embeds_the_same_in_ours(tmp_path):
    bert = bert_folder(tmp_path / "bert", vocab_size=30_522)
    peer, model = custom_text_clip(
        bert, timm_model="vit_base_patch16_224", embed_dim=512, context_length=256
    )
    model["text_cfg"]["hf_model_name"] = "nobody/a-bert-that-is-not-in-the-cache"
    assert write_checkpoint(tmp_path, peer, model) == 351 + 1
    opened = open_model(tmp_path)
    clip, config = opened.clip, opened.config
    assert config.text.heads == 12
    theirs, back = peer.state_dict(), by_open_clips_names(clip, config)
    assert back.keys() == theirs.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in theirs.items())
    assert_same_embeddings(peer, clip, vocab_size=30_522, lengths=[256, 100, 3], context_length=256)


@pytest.mark.parametrize("weights", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_the_file_of_a_model_in_biomedclips_form_is_read_and_written_key_for_key(tmp_path, weights):
    """With all layers of the released one, and so all of its keys, but the stray one."""
    bert = bert_folder(tmp_path / "bert", **SMALL_BERT | {"num_hidden_layers": 12})
    peer, model = custom_text_clip(
        bert, timm_model="vit_tiny_patch16_224", embed_dim=32, context_length=40
    )
    write_checkpoint(tmp_path, peer, model)
    opened, folder = open_model(tmp_path), Store(tmp_path).folder("again", "one")
    pickled = weights.endswith(".bin")
    write_open_clip(
        folder, opened.clip, opened.config, mean=opened.mean, std=opened.std, pickled=pickled
    )
    theirs = peer.state_dict()
    found = open_clip.factory.load_state_dict(f"{folder.path}/{weights}", weights_only=True)
    assert len(theirs) == 351
    assert found.keys() == theirs.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in theirs.items())


def test_odd_texts_become_the_tokens_of_open_clip(tmp_path):
    bert = bert_folder(tmp_path / "bert", **SMALL_BERT)
    peer = open_clip.tokenizer.HFTokenizer(str(bert), clean="whitespace")
    for source in (bert / "vocab.txt", bert / "tokenizer.json", bert, str(bert)):
        ours = open_tokenizer(source)
        for length in (8, 64):
            batch = ours(ODD + CAPTIONS, length)
            assert torch.equal(batch.ids, peer(ODD + CAPTIONS, context_length=length))
            assert torch.equal(batch.mask, batch.ids != ours.pad_id)


BYTE_PAIRS = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"


def test_odd_texts_become_the_byte_pairs_of_open_clip(tmp_path):
    peer = open_clip.SimpleTokenizer()
    ours = open_tokenizer(BYTE_PAIRS)
    folder = Store(tmp_path).folder("tokenizer", "one")
    ours.save(folder)
    odd = [*ODD, *CAPTIONS, "ΑΣ", "ΔΣ-modulator!!", "n=3!", "don't 'S I'LL", "!", "a\u0301É1234"]
    for made in (ours, open_tokenizer(folder.path)):
        assert made.vocab_size == peer.vocab_size == 49_408
        for length in (6, 77):
            batch = made(odd, length)
            assert torch.equal(batch.ids, peer(odd, context_length=length))
            counts = torch.tensor([len(peer.encode(text)) + 2 for text in odd])
            assert torch.equal(batch.num_tokens, counts)
            assert torch.equal(batch.mask.sum(dim=1), counts.clamp(max=length))


def test_transformers_and_open_clip_read_the_tokens_that_are_written_for_them(tmp_path):
    wordpiece = open_tokenizer(bert_folder(tmp_path / "bert", **SMALL_BERT))
    for name, ours in (("words", wordpiece), ("pairs", open_tokenizer(BYTE_PAIRS))):
        folder = Store(tmp_path).folder("written", name)
        ours.save_for_transformers(folder)
        texts = [text for text in CAPTIONS if "&" not in text]
        peer = AutoTokenizer.from_pretrained(folder.path)
        assert [row[:40] for row in peer(texts)["input_ids"]] == [
            ids[mask].tolist()
            for ids, mask in zip(*(vars(ours(texts, 40))[k] for k in ("ids", "mask")), strict=True)
        ]
        assert torch.equal(open_tokenizer(folder.path)(texts, 40).ids, ours(texts, 40).ids)
        if name == "words":
            other = open_clip.tokenizer.HFTokenizer(folder.path, context_length=40)
            assert torch.equal(other(ODD + CAPTIONS), ours(ODD + CAPTIONS, 40).ids)


def test_untruncated_counts_are_those_of_transformers(tmp_path):
    bert = bert_folder(tmp_path / "bert", **SMALL_BERT)
    peer = BertTokenizerFast.from_pretrained(bert)
    clean = [" ".join(text.split()) for text in CAPTIONS if "&" not in text]
    counts = [len(ids) for ids in peer(clean)["input_ids"]]
    assert open_tokenizer(bert)(clean, 8).num_tokens.tolist() == counts


@pytest.mark.parametrize(
    "size", [(224, 224), (500, 300), (301, 517), (97, 641), (225, 224), (40, 30), (1, 9)]
)
@pytest.mark.parametrize("side", [224, 112])
def test_eval_pixels_are_those_of_open_clip_bit_for_bit(size, side):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    peer = open_clip.image_transform(side, is_train=False)
    assert torch.equal(eval_pixels(image, PixelConfig(size=side)), peer(image))
