"""Models of other libraries, built, saved and asked by those libraries themselves."""

import io
import json
import shutil
from pathlib import Path

import open_clip
import torch
from open_clip.model import CLIP
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel

BYTE_PAIRS = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
SIDE, LENGTH, VOCABULARY = 32, 24, 49_408


class OfOpenClip:
    def __init__(self, folder: Path) -> None:
        """A small CLIP of random weights, saved as open_clip saves it."""
        model = {
            "embed_dim": 16,
            "quick_gelu": True,
            "vision_cfg": {
                "image_size": SIDE,
                "layers": 2,
                "width": 64,
                "head_width": 32,
                "patch_size": 8,
            },
            "text_cfg": {
                "context_length": LENGTH,
                "vocab_size": VOCABULARY,
                "width": 32,
                "heads": 4,
                "layers": 2,
            },
        }
        torch.manual_seed(1)
        self._peer = CLIP(**model).eval()
        folder.mkdir(parents=True)
        save_file(self._peer.state_dict(), folder / "open_clip_model.safetensors")
        (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
        shutil.copy(BYTE_PAIRS, folder)

    @torch.no_grad()
    def embed(self, text: str, picture: bytes) -> list[Tensor]:
        """Unit vectors of both."""
        ids, pixels = fed(text, picture)
        return [self._peer.encode_text(ids, True)[0], self._peer.encode_image(pixels, True)[0]]


class OfTransformers:
    def __init__(self, folder: Path) -> None:
        """A small CLIPModel of random weights, saved as transformers saves it."""
        towers = {"num_hidden_layers": 2, "hidden_act": "quick_gelu", "projection_dim": 16}
        vision = {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 256}
        text = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 128}
        sizes = {"vocab_size": VOCABULARY, "max_position_embeddings": LENGTH}
        marks = {"bos_token_id": VOCABULARY - 2, "eos_token_id": VOCABULARY - 1}
        config = CLIPConfig(
            projection_dim=16,
            vision_config=towers | vision | {"image_size": SIDE, "patch_size": 8},
            text_config=towers | text | sizes | marks,
        )
        torch.manual_seed(2)
        self._peer = CLIPModel(config).eval()
        self._peer.save_pretrained(folder)
        shutil.copy(BYTE_PAIRS, folder)

    @torch.no_grad()
    def embed(self, text: str, picture: bytes) -> list[Tensor]:
        """Unit vectors of both."""
        ids, pixels = fed(text, picture)
        found = self._peer(input_ids=ids, pixel_values=pixels)
        return [F.normalize(found.text_embeds[0], dim=0), F.normalize(found.image_embeds[0], dim=0)]


def fed(text: str, picture: bytes) -> tuple[Tensor, Tensor]:
    """Ids [1, length] and pixels [1, 3, side, side], by open_clip's own tokenizer and recipe."""
    ids = open_clip.SimpleTokenizer()([text], context_length=LENGTH)
    recipe = open_clip.image_transform(SIDE, is_train=False)
    return ids, recipe(Image.open(io.BytesIO(picture)).convert("RGB"))[None]
