"""An encoder at work: pictures and texts in, unit vectors out."""

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from figclip.config import UsageError
from figclip.inputs.peer_pixels import PeerPixels
from figclip.inputs.pixels import PixelConfig, UnreadableImage, decode, eval_crop, normalise, planes
from figclip.inputs.sentence_pieces import SentencePieces, open_sentence_pieces
from figclip.inputs.tokens import TokenBatch, Tokenizer, open_tokenizer, told_tokenizer
from figclip.models.clip import TwoTowers
from figclip.models.opening import Opened, open_encoder
from figclip.models.peers.peer import Peer
from figclip.resources import require_device
from figclip.store import Folder

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class TextEmbeddings:
    """n texts as vectors, and what the tokenizer made of them."""

    vectors: np.ndarray
    """float32 unit vectors, [n, dim]."""
    num_tokens: np.ndarray
    """int64 [n]: tokens of each whole text, [CLS] and [SEP] among them."""
    truncated: np.ndarray
    """bool [n]: the text was longer than the context, and its end was not read."""


class Encoder:
    """A loaded encoder. Any number of threads may use it at once."""

    def __init__(
        self,
        clip: TwoTowers,
        tokenizer: Tokenizer | SentencePieces,
        pixels: PixelConfig,
        *,
        name: str,
        context_length: int,
        dim: int,
        device: str | torch.device = "cpu",
        precision: Precision = "fp32",
    ) -> None:
        self.name = name
        self.dim = dim
        self.context_length = context_length
        self.pixels = pixels
        self.device = torch.device(device)
        self._clip = clip.eval().requires_grad_(False).to(self.device)
        self._tokenizer = tokenizer
        self._precision = precision

    @classmethod
    def open(
        cls,
        source: Folder | str | Path,
        *,
        device: str | torch.device = "cpu",
        precision: Precision = "fp32",
    ) -> "Encoder":
        """The encoder of a published folder, or any model that `open_encoder` opens.

        It is named by the last two parts of the source, a published one `{name}@{version}`.
        `UsageError` where a file is missing, the files do not belong together, or the device is
        not there.
        """
        require_device(str(device))
        opened = open_encoder(source)
        tokenizer, pixels = peer_feeding(opened) if isinstance(opened, Peer) else feeding(opened)
        sizes = sizes_of(opened)
        if tokenizer.vocab_size > sizes.vocab_size:
            raise UsageError(
                f"{opened.origin}: the tokenizer has {tokenizer.vocab_size} tokens, the model "
                f"{sizes.vocab_size}; they are not of one training run"
            )
        if pixels.size != sizes.image_size:
            raise UsageError(
                f"{opened.origin}: pixels.json makes pictures of {pixels.size} px, the model takes "
                f"{sizes.image_size} px; they are not of one training run"
            )
        return cls(
            opened.clip,
            tokenizer,
            pixels,
            name=name_of(opened, source),
            context_length=sizes.context_length,
            dim=sizes.embed_dim,
            device=device,
            precision=precision,
        )

    def only(
        self,
        tower: Literal["text", "image"],
        *,
        run_by: Callable[[nn.Module], nn.Module] | None = None,
    ) -> "Encoder":
        """An encoder without the other tower, and this one as `run_by` makes it."""
        text, visual = self._clip.text, self._clip.visual
        kept = text if tower == "text" else visual
        made = kept if run_by is None else run_by(kept)
        absent = nn.Identity()
        found = copy.copy(self)
        found._clip = TwoTowers(
            absent if tower == "text" else made,
            made if tower == "text" else absent,
            self._clip.logit_scale.detach(),
        ).requires_grad_(False)
        return found

    def image_tower(self) -> "ImageTower":
        """A copy of the part that sees pictures, to be trained; the encoder stays as it is."""
        return ImageTower(self._clip.visual, self.pixels).to(self.device)

    @property
    def scale(self) -> float:
        """Inverse temperature: by what cosines are multiplied before a softmax."""
        return float(self._clip.logit_scale.exp())

    def encode_images(
        self, images: Sequence[Image.Image | bytes], *, batch_size: int = 64
    ) -> np.ndarray:
        """Unit vectors, float32 [n, dim], in the order of the images.

        `UnreadableImage` names the place of the first that cannot be decoded.
        """
        parts = [
            self.encode_pixels(self.pixels_of(images[start : start + batch_size], first=start))
            for start in range(0, len(images), batch_size)
        ]
        return self._joined(parts)

    def pixels_of(self, images: Sequence[Image.Image | bytes], *, first: int = 0) -> Tensor:
        """The model's view of the images, uint8 [n, 3, side, side]; no use of the device.

        `first` is the number of the first image, for the message of `UnreadableImage`.
        """
        views = [self._view(image, number) for number, image in enumerate(images, start=first)]
        side = self.pixels.size
        return torch.stack(views) if views else torch.empty((0, 3, side, side), dtype=torch.uint8)

    def encode_levels(self, levels: np.ndarray) -> np.ndarray:
        """Unit vectors, float32 [n, dim], of squares of levels, uint8 [n, side, side, 3]."""
        return self.encode_pixels(planes(levels))

    @torch.inference_mode()
    def encode_pixels(self, pixels: Tensor) -> np.ndarray:
        """Unit vectors, float32 [n, dim], of what `pixels_of` made."""
        if not len(pixels):
            return self._joined([])
        with self._autocast():
            found = self._clip.encode_image(normalise(pixels.to(self.device), self.pixels))
        return found.float().cpu().numpy()

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 64) -> TextEmbeddings:
        """Embed texts, in their order; a text beyond the context is cut, and said to be."""
        tokens = self.tokenize(texts)
        vectors = self.encode_tokens(tokens, batch_size=batch_size)
        num_tokens = tokens.num_tokens.numpy()
        return TextEmbeddings(vectors, num_tokens, num_tokens > self.context_length)

    def tokenize(self, texts: Sequence[str]) -> TokenBatch:
        """The texts cut to the context; no use of the device."""
        return self._tokenizer(texts, self.context_length)

    @torch.inference_mode()
    def encode_tokens(self, tokens: TokenBatch, *, batch_size: int = 64) -> np.ndarray:
        """Unit vectors, float32 [n, dim], of what `tokenize` made.

        Texts of like length share a batch and are padded to its longest only: attention sees no
        padding, so each vector is the one that the text would get alone.
        """
        lengths = tokens.num_tokens.clamp(max=self.context_length)
        vectors = np.empty((len(lengths), self.dim), dtype=np.float32)
        for rows in torch.argsort(lengths, stable=True).split(batch_size):
            if not len(rows):
                continue
            longest = int(lengths[rows].max())
            ids, mask = (part[rows, :longest].to(self.device) for part in (tokens.ids, tokens.mask))
            with self._autocast():
                found = self._clip.encode_text(ids, mask)
            vectors[rows.numpy()] = found.float().cpu().numpy()
        return vectors

    def _view(self, image: Image.Image | bytes, number: int) -> Tensor:
        try:
            decoded = decode(image) if isinstance(image, bytes) else image
            return eval_crop(decoded, self.pixels)
        except UnreadableImage as error:
            raise UnreadableImage(f"image {number}: {error}") from error

    def _autocast(self) -> AbstractContextManager[object]:
        if self._precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _joined(self, parts: list[np.ndarray]) -> np.ndarray:
        return np.concatenate([np.empty((0, self.dim), dtype=np.float32), *parts])


class ImageTower(nn.Module):
    """The bytes of pictures to unit vectors, with gradients.

    It stays in eval mode while it learns: no patch is left out, and a BatchNorm keeps the
    statistics that few pictures would spoil.
    """

    def __init__(self, visual: nn.Module, pixels: PixelConfig) -> None:
        super().__init__()
        self._visual = copy.deepcopy(visual).eval().requires_grad_(True)
        self._pixels = pixels

    def forward(self, pixels: UInt8[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch dim"]:
        return F.normalize(self._visual(normalise(pixels, self._pixels)), dim=-1)


@dataclass(frozen=True)
class Sizes:
    """What a model takes and gives."""

    image_size: int
    vocab_size: int
    context_length: int
    embed_dim: int


def sizes_of(opened: Opened | Peer) -> Sizes:
    if isinstance(opened, Peer):
        size = int(opened.pixels["size"])
        return Sizes(size, opened.vocab_size, opened.context_length, opened.embed_dim)
    config, text = opened.config, opened.config.text
    size = config.vision.image_size
    return Sizes(size, text.vocab_size, text.context_length, config.embed_dim)


def peer_feeding(peer: Peer) -> tuple[Tokenizer | SentencePieces, PixelConfig]:
    """How texts and pictures are made ready for a peer."""
    cut = open_sentence_pieces if peer.is_sentence_pieces else open_tokenizer
    return cut(peer.vocabulary), PeerPixels(**peer.pixels)


def feeding(opened: Opened) -> tuple[Tokenizer, PixelConfig]:
    """How texts and pictures are made ready for this model: as its source says."""
    tokenizer = told_tokenizer(opened.folder, opened.vocabulary, origin=opened.origin)
    if opened.folder is not None:
        return tokenizer, PixelConfig.load(opened.folder)
    size = opened.config.vision.image_size
    return tokenizer, PixelConfig(size=size, mean=opened.mean, std=opened.std)


def name_of(opened: Opened | Peer, source: Folder | str | Path) -> str:
    """The last two parts of the source; of one of our own encoders `{name}@{version}`."""
    place = source.path if isinstance(source, Folder) else str(source)
    is_ours = isinstance(opened, Opened) and opened.folder is not None
    return ("@" if is_ours else "/").join(place.rstrip("/").split("/")[-2:])
