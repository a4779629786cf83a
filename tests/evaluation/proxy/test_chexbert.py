"""CheXbert's checkpoint, in its published layout with random weights, against a plain loop."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import tiny_pairs
from torch import Tensor

from figclip.config import UsageError
from figclip.evaluation.proxy.chexbert import CheXbert
from figclip.evaluation.proxy.findings import FINDINGS
from figclip.inputs.tokens import open_tokenizer, train_wordpiece

WIDTH, LAYERS, INNER, POSITIONS, VOCABULARY = 128, 2, 96, 24, 400
TEXTS = [
    "No pneumothorax.",
    "Chest radiograph.\n Heart is   enlarged.",
    "",
    "a red disc on the left " * 20,  # beyond the positions
    "pleural effusion",
]


def checkpoint() -> dict[str, Tensor]:
    """Names and shapes as in `chexbert.pth`, in little; weights large enough to matter."""
    make = torch.Generator().manual_seed(0)

    def matrix(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=make) * 0.3

    def dense(name: str, out: int, width: int) -> dict[str, Tensor]:
        return {f"{name}.weight": matrix(out, width), f"{name}.bias": matrix(out)}

    def norm(name: str) -> dict[str, Tensor]:
        return {f"{name}.weight": 1 + matrix(WIDTH), f"{name}.bias": matrix(WIDTH)}

    words = {
        "bert.embeddings.position_ids": torch.arange(POSITIONS)[None],
        "bert.embeddings.word_embeddings.weight": matrix(VOCABULARY, WIDTH),
        "bert.embeddings.position_embeddings.weight": matrix(POSITIONS, WIDTH),
        "bert.embeddings.token_type_embeddings.weight": matrix(2, WIDTH),
        **norm("bert.embeddings.LayerNorm"),
        **dense("bert.pooler.dense", WIDTH, WIDTH),
    }
    for n in range(LAYERS):
        layer = f"bert.encoder.layer.{n}"
        for part in ("query", "key", "value"):
            words |= dense(f"{layer}.attention.self.{part}", WIDTH, WIDTH)
        words |= dense(f"{layer}.attention.output.dense", WIDTH, WIDTH)
        words |= norm(f"{layer}.attention.output.LayerNorm")
        words |= dense(f"{layer}.intermediate.dense", INNER, WIDTH)
        words |= dense(f"{layer}.output.dense", WIDTH, INNER)
        words |= norm(f"{layer}.output.LayerNorm")
    for n in range(14):
        words |= dense(f"linear_heads.{n}", 4 if n < 13 else 2, WIDTH)
    return {f"module.{name}": value for name, value in words.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = train_wordpiece([one.caption for one in tiny_pairs(40)], vocab_size=200).vocabulary
    (tmp_path / "vocab.txt").write_text("\n".join(lines) + "\n")
    saved = {"epoch": 7, "model_state_dict": checkpoint(), "optimizer_state_dict": {"state": {}}}
    torch.save(saved, tmp_path / "chexbert.pth")
    return tmp_path


def plain(weights: dict[str, Tensor], ids: list[int]) -> list[int]:
    """One text, one head and one position after another, in fp64, from BERT's paper."""
    found = {name.removeprefix("module."): one.double() for name, one in weights.items()}

    def dense(name: str, x: Tensor) -> Tensor:
        return x @ found[f"{name}.weight"].T + found[f"{name}.bias"]

    def norm(name: str, x: Tensor) -> Tensor:
        centred = x - x.mean()
        scaled = centred / torch.sqrt((centred**2).mean() + 1e-12)
        return scaled * found[f"{name}.weight"] + found[f"{name}.bias"]

    words, positions, first = (
        found[f"bert.embeddings.{name}_embeddings.weight"]
        for name in ("word", "position", "token_type")
    )
    states = [
        norm("bert.embeddings.LayerNorm", words[i] + positions[n] + first[0])
        for n, i in enumerate(ids)
    ]
    for n in range(LAYERS):
        layer = f"bert.encoder.layer.{n}"
        parts = {
            part: [dense(f"{layer}.attention.self.{part}", one) for one in states]
            for part in ("query", "key", "value")
        }
        mixed = []
        for query in parts["query"]:
            heads = []
            for start in range(0, WIDTH, 64):
                cut = slice(start, start + 64)
                scores = torch.stack([query[cut] @ key[cut] / 8 for key in parts["key"]])
                shares = torch.softmax(scores, dim=0)
                heads.append(sum(s * v[cut] for s, v in zip(shares, parts["value"], strict=True)))
            mixed.append(torch.cat(heads))
        after = [
            norm(f"{layer}.attention.output.LayerNorm",
                 old + dense(f"{layer}.attention.output.dense", new))
            for old, new in zip(states, mixed, strict=True)
        ]  # fmt: skip
        states = [
            norm(
                f"{layer}.output.LayerNorm",
                one + dense(f"{layer}.output.dense",
                            torch.nn.functional.gelu(dense(f"{layer}.intermediate.dense", one))),
            )
            for one in after
        ]  # fmt: skip
    return [int(dense(f"linear_heads.{n}", states[0]).argmax()) for n in range(13)]


def test_the_network_reads_what_a_plain_loop_over_its_weights_reads(folder: Path):
    told = CheXbert.open(folder).label(TEXTS)
    tokenizer = open_tokenizer(folder / "vocab.txt")
    weights = checkpoint()
    for text, row in zip(TEXTS, told, strict=True):
        batch = tokenizer([text], POSITIONS)
        ids = batch.ids[0][batch.mask[0]].tolist()
        assert row.tolist() == plain(weights, ids)
    assert len({tuple(row) for row in told.tolist()}) == len(TEXTS)
    assert len(np.unique(told)) == 4


def test_a_text_that_is_too_long_keeps_its_closing_mark(folder: Path):
    """As the authors cut it: 511 tokens and [SEP]."""
    batch = open_tokenizer(folder / "vocab.txt")([TEXTS[3]], POSITIONS)
    assert batch.num_tokens.item() > POSITIONS
    assert batch.mask.all()
    lines = (folder / "vocab.txt").read_text().splitlines()
    assert lines[batch.ids[0, -1]] == "[SEP]"


def test_batches_do_not_change_what_is_read(folder: Path):
    whole = CheXbert.open(folder)
    alone = np.concatenate([whole.label([text]) for text in TEXTS])
    np.testing.assert_array_equal(whole.label(TEXTS), alone)
    assert whole.label([]).shape == (0, len(FINDINGS))


def spoilt(folder: Path, weights: dict[str, Tensor]) -> None:
    torch.save({"model_state_dict": weights}, folder / "chexbert.pth")


def test_a_folder_that_is_no_checkpoint_is_refused_with_where_to_get_it(folder: Path):
    few = {name: one for name, one in checkpoint().items() if "linear_heads.12" not in name}
    spoilt(folder, few)
    with pytest.raises(UsageError, match=r"not the published checkpoint: 'linear_heads\.12"):
        CheXbert.open(folder)
    narrow = checkpoint()
    narrow["module.linear_heads.3.weight"] = narrow["module.linear_heads.3.weight"][:2]
    narrow["module.linear_heads.3.bias"] = narrow["module.linear_heads.3.bias"][:2]
    spoilt(folder, narrow)
    with pytest.raises(UsageError, match="classes, not 4 and 2"):
        CheXbert.open(folder)
    torch.save([1, 2], folder / "chexbert.pth")
    with pytest.raises(UsageError, match="no model_state_dict"):
        CheXbert.open(folder)
    (folder / "chexbert.pth").write_bytes(b"<html>")
    with pytest.raises(UsageError, match="cannot be read as weights"):
        CheXbert.open(folder)
    with pytest.raises(UsageError, match=r"lay chexbert\.pth .*stanfordmlgroup/CheXbert"):
        CheXbert.open(folder / "nowhere")
