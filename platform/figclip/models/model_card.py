"""The card of an encoder: a README.md in the form that the Hugging Face hub shows."""

import json
from collections.abc import Mapping
from typing import Any

from figclip.models.clip import ClipConfig

FILE = "README.md"
TAGS = ("clip", "biomedical", "image-text", "figclip")
LIMITS = """\
Trained on figures of scientific articles and their captions, as authors published them: unevenly by
field, country and year, with the articles' errors, and in English for the most part. A research
model: no diagnosis may rest on it, and no evaluation of a clinical use was made."""


def model_card(
    name: str,
    config: ClipConfig,
    *,
    inputs: tuple[str, ...],
    run: Mapping[str, Any],
    counts: Mapping[str, Any],
) -> str:
    """The card of the encoder `name@version`.

    `inputs` are the artifacts that it was made from, `name@version`; `run` is the whole config of
    its training; `counts` are its manifest's, with the metrics of the last validation under
    `validation`.
    """
    facts = {
        "Image tower": _image_tower(config),
        "Text tower": _text_tower(config),
        "Embedding": f"{config.embed_dim} dimensions, unit length, compared by their cosine",
        "Parameters": f"{counts['num_parameters']:,}",
        "Data": ", ".join(f"`{source}`" for source in inputs),
        "Training pairs": f"{counts['num_train_pairs']:,}",
        "Samples seen": f"{counts['samples_seen']:,} in {counts['num_epochs']} epochs",
        "Started from": _start(run),
        "Training loss of the last epoch": f"{counts['final_loss']:.4f}",
    }
    parts = [
        _front_matter(name, counts.get("validation", {})),
        f"# {name}\n\nA CLIP of biomedical figures and their captions, made by figclip.",
        _table(("", ""), facts),
        _results(counts),
        f"## Use\n\n```python\n{_usage(name)}\n```",
        f"## Limits\n\n{LIMITS}",
        f"## Configuration of the run\n\n```json\n{json.dumps(run, indent=1)}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(name: str, metrics: Mapping[str, float]) -> str:
    """What the hub reads of a card: YAML, of which JSON's strings and numbers are a part."""
    lines = ["pipeline_tag: zero-shot-image-classification", "library_name: figclip", "tags:"]
    lines += [f"- {tag}" for tag in TAGS]
    if metrics:
        lines += ["model-index:", f"- name: {json.dumps(name)}", "  results:"]
        lines += ["  - task:", "      type: image-text-retrieval"]
        lines += ["    dataset:", "      name: validation split", "      type: pairs"]
        lines += ["    metrics:"]
    for metric, value in metrics.items():
        lines += [f"    - type: {json.dumps(metric)}", f"      value: {json.dumps(value)}"]
    return "\n".join(["---", *lines, "---"])


def _results(counts: Mapping[str, Any]) -> str:
    metrics = counts.get("validation", {})
    if not metrics:
        return ""
    of = f"Over {counts['num_validation_pairs']:,} pairs of the validation split:"
    return f"## Results\n\n{of}\n\n{_table(('metric', 'value'), metrics)}"


def _table(head: tuple[str, str], rows: Mapping[str, Any]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|"]
    for name, value in rows.items():
        shown = f"{value:.4f}" if isinstance(value, float) else str(value)
        lines.append(f"| {name} | {shown.replace('|', chr(92) + '|')} |")
    return "\n".join(lines)


def _image_tower(config: ClipConfig) -> str:
    vision = config.vision
    sizes = ", ".join(f"{name} {size}" for name, size in vision.sizes.items())
    besides = f" with {sizes}" if sizes else ""
    return f"timm's `{vision.timm_model}`{besides}, {vision.image_size} px"


def _text_tower(config: ClipConfig) -> str:
    text = config.text
    kind = "BERT" if text.architecture == "bert" else "CLIP's causal transformer"
    return (
        f"{kind}, {text.layers} layers of {text.hidden_size}, {text.vocab_size:,} tokens, "
        f"{text.context_length} at once"
    )


def _start(run: Mapping[str, Any]) -> str:
    if run.get("init"):
        return f"`{run['init']}`"
    model = run["model"]
    image = "timm's weights" if model["vision"]["pretrained"] else "random weights"
    text = f"`{model['text']['hf_name']}`" if model["text"]["hf_name"] else "random weights"
    return f"image tower: {image}; text tower: {text}"


def _usage(name: str) -> str:
    return f"""\
from figclip.embedding.encoder import Encoder

encoder = Encoder.open("path/to/{name.replace("@", "/")}")
images = encoder.encode_images([open("figure.jpg", "rb").read()])
texts = encoder.encode_texts(["Axial CT of the chest.", "A Western blot."])
print(images @ texts.vectors.T)"""
