"""How clients say what is to be embedded: OpenAI's list, and the four ways to put images there.

1. NVIDIA's NIM: `input: ["a text", "data:image/png;base64,..."]`; openai-python sends it as it is.
2. infinity: the same, and `modality: "image"` (or `"text"`) for every item.
3. Jina: `input: [{"text": "..."}, {"image": "data:..., base64 or a URL"}]`.
4. vLLM: `messages: [{"content": [{"type": "image_url", "image_url": {"url": "data:..."}}]}]`;
   every part of a content is an item of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PositiveInt, model_validator
from pydantic_core import PydanticCustomError

from figclip.serving.protocol import Body, Modality


@dataclass(frozen=True)
class Item:
    """Something to embed, as it was sent."""

    value: str
    modality: Modality | None
    """None where the value itself has to tell: an image begins with `data:image/`."""
    param: str
    """Where it stands in the request: `input[3].image`."""


class TextItem(Body):
    """Jina's text."""

    text: str


class ImageItem(Body):
    """Jina's image."""

    image: str
    """A data: URI, or base64, or a URL where this server fetches from its host."""


class TextPart(Body):
    """A text of a message."""

    type: Literal["text"]
    text: str


class ImageUrl(Body):
    """Where a message's image is; mostly a data: URI."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None
    """Without meaning here: every image is seen as the model sees it."""


class ImagePart(Body):
    """An image of a message."""

    type: Literal["image_url"]
    image_url: Annotated[ImageUrl, BeforeValidator(lambda v: {"url": v} if _is_text(v) else v)]


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _as_parts(value: Any) -> Any:
    return [{"type": "text", "text": value}] if _is_text(value) else value


class Message(Body):
    """A message as chat models take them; its parts are embedded each by itself."""

    role: Literal["user", "system", "assistant", "developer"] = "user"
    content: Annotated[list[Part], Field(min_length=1), BeforeValidator(_as_parts)]


def _as_items(value: Any) -> Any:
    """Pydantic's complaint about a union names its members; these name what is wrong."""
    if _is_text(value) or isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise _not_items()
    if not value:
        raise PydanticCustomError("empty", "must hold at least one text or image")
    if all(isinstance(item, int | list) for item in value):
        raise PydanticCustomError(
            "token_arrays", "token arrays are not supported: send the text itself, as a string"
        )
    if not all(map(_is_item, value)):
        raise _not_items()
    return value


def _is_item(value: Any) -> bool:
    if isinstance(value, dict):
        [name, *others] = value or [""]
        return name in ("text", "image") and not others and _is_text(value[name])
    return _is_text(value) or isinstance(value, TextItem | ImageItem)


def _not_items() -> PydanticCustomError:
    return PydanticCustomError(
        "not_items",
        'must be a string, or a list of strings, {{"text": ...}} and {{"image": ...}}',
    )


Input = Annotated[list[str | TextItem | ImageItem], Field(min_length=1), BeforeValidator(_as_items)]
"""A text, or a list of texts and images; a single one is a list of one."""


def items_of_input(values: list[Any], *, modality: Modality | None, param: str) -> list[Item]:
    """Each with the place where it stands, `param[n]`."""
    return [_item(value, modality, f"{param}[{n}]") for n, value in enumerate(values)]


def _item(value: str | TextItem | ImageItem, modality: Modality | None, param: str) -> Item:
    match value:
        case TextItem():
            return Item(value.text, "text", f"{param}.text")
        case ImageItem():
            return Item(value.image, "image", f"{param}.image")
        case _:
            return Item(value, modality, param)


class EmbeddingsRequest(Body):
    """The body of `POST /v1/embeddings`: `input`, or `messages`."""

    model: str
    input: Input | None = None
    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: PositiveInt | None = None
    """Refused where it is not the number that the model was trained to give."""
    modality: Modality | None = None
    """What every string of `input` is; without it one that begins with `data:image/` is an
    image."""
    user: str | None = None
    """OpenAI's word for whom the request is made; not used, not kept."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.input is None) == (self.messages is None):
            raise PydanticCustomError(
                "input", "needs exactly one of `input` and `messages`", {"param": "input"}
            )
        return self

    def items(self) -> list[Item]:
        """All that is to be embedded, in its order."""
        if self.input is not None:
            return items_of_input(self.input, modality=self.modality, param="input")
        return list(_items_of_messages(self.messages or []))


def _items_of_messages(messages: list[Message]) -> Iterator[Item]:
    for number, message in enumerate(messages):
        for place, part in enumerate(message.content):
            param = f"messages[{number}].content[{place}]"
            if isinstance(part, TextPart):
                yield Item(part.text, "text", f"{param}.text")
            else:
                yield Item(part.image_url.url, "image", f"{param}.image_url.url")


class LabelledClass(Body):
    """A class of a zero-shot request whose prompts are its own."""

    name: str
    templates: Annotated[list[str], Field(min_length=1)]
    """Instead of the request's; {} stands for the name."""


class ZeroShotRequest(Body):
    """The body of `POST /v1/zero-shot`: which class is each image of?"""

    model: str
    images: Annotated[list[str | ImageItem], Field(min_length=1)]
    """data: URIs, or base64, or URLs where this server fetches from their hosts."""
    classes: Annotated[list[str | LabelledClass], Field(min_length=1)]
    """Names, or names with templates of their own."""
    templates: Annotated[list[str], Field(min_length=1, default_factory=lambda: ["{}"])]
    """What is said of each class: `"a photo of {}."`, where {} stands for its name. A class is the
    mean of its prompts' unit vectors."""
    user: str | None = None

    def items(self) -> list[Item]:
        """The images alone."""
        return items_of_input(self.images, modality="image", param="images")

    def names(self) -> list[str]:
        return [one if isinstance(one, str) else one.name for one in self.classes]

    def prompts(self) -> list[list[str]]:
        """Of each class, in the order of the classes."""
        return [
            [template.replace("{}", name) for template in self._templates(one)]
            for name, one in zip(self.names(), self.classes, strict=True)
        ]

    def _templates(self, one: str | LabelledClass) -> list[str]:
        return self.templates if isinstance(one, str) else one.templates


class SimilarityRequest(Body):
    """The body of `POST /v1/similarity`: cosines of texts and images."""

    model: str
    left: Input
    right: Input | None = None
    """Without it each of `left` is compared with all of `left`."""
    pairs: bool = False
    """Compare the first with the first, the second with the second, and so on; else each of `left`
    with each of `right`."""
    modality: Modality | None = None
    """What every string is, as in `/v1/embeddings`."""
    user: str | None = None

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        if self.pairs and (self.right is None or len(self.right) != len(self.left)):
            raise PydanticCustomError(
                "pairs", "needs as many on the right as on the left", {"param": "pairs"}
            )
        return self

    def items(self) -> list[Item]:
        """Those of the left, then those of the right."""
        left = items_of_input(self.left, modality=self.modality, param="left")
        right = items_of_input(self.right or [], modality=self.modality, param="right")
        return left + right
