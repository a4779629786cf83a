"""An encoder on this machine, for what must not leave it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from figclip.client.faults import ServiceError
from figclip.client.rows import Row

if TYPE_CHECKING:
    from torch import Tensor


class LocalEncoder:
    """Embeds in this process; torch is loaded here, and nowhere else in the client."""

    def __init__(self, source: str | Path) -> None:
        """`UsageError` where the source is no encoder."""
        from figclip.embedding.encoder import Encoder

        self._encoder = Encoder.open(source)
        self.name = self._encoder.name
        self.scale = self._encoder.scale

    def rows(self, items: Sequence[str | bytes]) -> list[Row]:
        """Of items of one kind; `ServiceError` names the first picture that cannot be read."""
        import torch

        texts = [item for item in items if isinstance(item, str)]
        if texts:
            found = self._encoder.encode_texts(texts)
            cut = map(bool, found.truncated)
            return [Row(vector, is_cut) for vector, is_cut in zip(found.vectors, cut, strict=True)]
        views = [self._view(item, n) for n, item in enumerate(items) if isinstance(item, bytes)]
        return [Row(vector) for vector in self._encoder.encode_pixels(torch.cat(views))]

    def _view(self, data: bytes, place: int) -> "Tensor":
        from figclip.inputs.pixels import UnreadableImage

        try:
            return self._encoder.pixels_of([data])
        except UnreadableImage as error:
            raise ServiceError(
                "bad_image",
                f"input[{place}]: the picture cannot be read ({error})",
                remedy="save it anew as JPEG or PNG",
                status=400,
                param=f"input[{place}]",
            ) from error
