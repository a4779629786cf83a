"""How clients say what is to be embedded: OpenAI's list, and the four ways to put images there.

1. NVIDIA's NIM: `input: ["a text", "data:image/png;base64,..."]`; openai-python sends it as it is.
2. infinity: the same, and `modality: "image"` (or `"text"`) for every item.
3. Jina: `input: [{"text": "..."}, {"image": "data:..., base64 or a URL"}]`.
4. vLLM: `messages: [{"content": [{"type": "image_url", "image_url": {"url": "data:..."}}]}]`;
   every part of a content is an item of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from figclip.serving.protocol import Body, Modality

TEXT = {"type": "string", "format": "text", "description": "Words; not empty, not blanks alone."}
IMAGE = {
    "type": "string",
    "format": "image",
    "description": "data:image/...;base64,..., or base64, or a URL where the server fetches it.",
}
EITHER = {
    "type": "string",
    "format": "text-or-image",
    "description": "A text; or an image, which begins with data:image/.",
}
"""How the API's document tells what a string holds."""

Text = Annotated[str, WithJsonSchema(TEXT)]
Image = Annotated[str, WithJsonSchema(IMAGE)]


def _one_of(**names: Sequence[str]) -> ConfigDict:
    """Of these fields exactly one is set, each with others that make no sense without it: JSON
    Schema has to spell out each case."""
    absent = {
        name: {"type": "null"} for first, others in names.items() for name in (first, *others)
    }

    def spell_out(schema: dict[str, Any]) -> None:
        fields = schema["properties"]
        cases = []
        for name, others in names.items():
            present = {other: fields[other] for other in others}
            kinds = [kind for kind in fields[name]["anyOf"] if kind != {"type": "null"}]
            cases.append(
                {
                    **schema,
                    "properties": {**fields, **absent, **present, name: {"anyOf": kinds}},
                    "required": [*schema.get("required", []), name],
                }
            )
        schema.clear()
        schema["oneOf"] = cases

    return ConfigDict(json_schema_extra=spell_out)


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

    text: Text


class ImageItem(Body):
    """Jina's image."""

    image: Image


class TextPart(Body):
    """A text of a message."""

    type: Literal["text"]
    text: Text


class ImageUrl(Body):
    """Where a message's image is; mostly a data: URI."""

    url: Image
    detail: Literal["auto", "low", "high"] | None = None
    """Without meaning here: every image is seen as the model sees it."""


def _as_url(value: Any) -> Any:
    return {"url": value} if _is_text(value) else value


class ImagePart(Body):
    """An image of a message."""

    type: Literal["image_url"]
    image_url: Annotated[
        ImageUrl, BeforeValidator(_as_url, json_schema_input_type=ImageUrl | Image)
    ]


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _as_parts(value: Any) -> Any:
    return [{"type": "text", "text": value}] if _is_text(value) else value


class Message(Body):
    """A message as chat models take them; its parts are embedded each by itself."""

    role: Literal["user", "system", "assistant", "developer"] = "user"
    content: Annotated[
        list[Part],
        Field(min_length=1),
        BeforeValidator(
            _as_parts, json_schema_input_type=Text | Annotated[list[Part], Field(min_length=1)]
        ),
    ]


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


One = Annotated[str, WithJsonSchema(EITHER)] | TextItem | ImageItem
Input = Annotated[
    list[str | TextItem | ImageItem],
    BeforeValidator(
        _as_items, json_schema_input_type=One | Annotated[list[One], Field(min_length=1)]
    ),
]
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

    model_config = _one_of(input=["modality"], messages=[])

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
        if self.messages is not None and self.modality is not None:
            raise PydanticCustomError(
                "modality", "has no meaning beside `messages`", {"param": "modality"}
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

    name: Text
    templates: Annotated[list[Text], Field(min_length=1)]
    """Instead of the request's; {} stands for the name."""


class ZeroShotRequest(Body):
    """The body of `POST /v1/zero-shot`: which class is each image of?"""

    model: str
    images: Annotated[list[Image | ImageItem], Field(min_length=1)]
    classes: Annotated[list[Text | LabelledClass], Field(min_length=1)]
    """Names, or names with templates of their own."""
    templates: Annotated[list[Text], Field(min_length=1, default_factory=lambda: ["{}"])]
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


Two = Field(min_length=2, max_length=2)
Pair = Annotated[
    list[str | TextItem | ImageItem],
    Two,
    BeforeValidator(_as_items, json_schema_input_type=Annotated[list[One], Two]),
]


class SimilarityRequest(Body):
    """The body of `POST /v1/similarity`: cosines of each of `left` with each of `right`, or of
    `pairs`."""

    model_config = _one_of(left=["right"], pairs=[])

    model: str
    left: Input | None = None
    right: Input | None = None
    """Without it each of `left` is compared with all of `left`."""
    pairs: Annotated[list[Pair], Field(min_length=1)] | None = None
    modality: Modality | None = None
    """What every string is, as in `/v1/embeddings`."""
    user: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.left is None) == (self.pairs is None):
            raise PydanticCustomError(
                "left", "needs exactly one of `left` and `pairs`", {"param": "left"}
            )
        if self.pairs is not None and self.right is not None:
            raise PydanticCustomError("right", "has no meaning beside `pairs`", {"param": "right"})
        return self

    def items(self) -> list[Item]:
        """Those of the left, then those of the right; or pair by pair."""
        sides = {"left": self.left, "right": self.right}
        sides |= {f"pairs[{n}]": pair for n, pair in enumerate(self.pairs or [])}
        return [
            item
            for param, values in sides.items()
            for item in items_of_input(values or [], modality=self.modality, param=param)
        ]
