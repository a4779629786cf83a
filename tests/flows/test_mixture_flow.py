"""Figures and panels, some of them damaged, trained on together, embedded and judged."""

import io
import json
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tiny import ROWS_PER_FILE, TINY_CLIP, publish_tiny_pairs, tiny_pairs

from figclip.embedding.bulk import embed
from figclip.evaluation.report import DETAILS, EvaluationConfig, evaluate
from figclip.evaluation.retrieval import validate
from figclip.inputs.corpora import CorpusShare
from figclip.inputs.pixels import PixelConfig
from figclip.schema import PANEL_PAIR_SCHEMA, SPLITS
from figclip.store import Store
from figclip.training.optim import OptimConfig
from figclip.training.pretrain import pretrain
from figclip.training.recipe import PretrainConfig

NUM_PAIRS, BROKEN, SILENT = 60, 3, 17
CONFIG = PretrainConfig(
    model=TINY_CLIP,
    pixels=PixelConfig(size=32),
    optim=OptimConfig(lr=1e-3, warmup_steps=1),
    batch_size=8,
    epochs=2,
    groups_per_window=2,
)
SHARES = (
    CorpusShare(pairs="figures"),
    CorpusShare(pairs="panels", weight=0.5, text="caption_and_mentions"),
    CorpusShare(pairs="figures", weight=0.25, text="mentions"),
)


def panels_of(pair: dict) -> list[dict]:
    """The left and the right half of a figure, as the splitter writes panels."""
    picture = Image.open(io.BytesIO(pair["image"]))
    found = []
    for number, label in enumerate("AB"):
        left = number * picture.width // 2
        box = (left, 0, left + picture.width // 2, picture.height)
        buffer = io.BytesIO()
        picture.crop(box).save(buffer, "PNG")
        words = {"panel_caption": [f"({label}) A half."], "shared_caption": [pair["caption"]]}
        found.append(
            pair
            | words
            | {
                "pair_id": f"{pair['pair_id']}/{number + 1}",
                "figure_pair_id": pair["pair_id"],
                "caption": f"({label}) A half. {pair['caption']}",
                "image": buffer.getvalue(),
                "panel_label": label,
                "panel_box": box,
                "panel_label_box": None,
                "panel_confidence": 1.0,
                "panel_notes": [],
            }
        )
    return found


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Pairs, and their panels, of which one has a broken picture and another no word."""
    store = Store(tmp_path)
    publish_tiny_pairs(store, "figures", NUM_PAIRS)
    panels = [panel for pair in tiny_pairs(NUM_PAIRS) for panel in panels_of(asdict(pair))]
    of_split = {split: [row for row in panels if row["split"] == split] for split in SPLITS}
    of_split["train"][BROKEN]["image"] = b"\xff\xd8 no picture"
    of_split["train"][SILENT] |= {"caption": "", "mentions": []}
    with store.publishing("pairs", "panels", config={}, inputs=("pairs@figures",)) as publication:
        for split, rows in of_split.items():
            for start in range(0, len(rows), ROWS_PER_FILE):
                buffer = io.BytesIO()
                table = pa.Table.from_pylist(rows[start : start + ROWS_PER_FILE], PANEL_PAIR_SCHEMA)
                pq.write_table(table, buffer, row_group_size=4)
                name = f"{split}/{start // ROWS_PER_FILE:05d}.parquet"
                publication.folder.write(name, buffer.getvalue())
    return store


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(240)
def test_an_encoder_of_figures_and_panels_is_trained_past_damage_and_judged_on_both(
    store: Store, ray_cluster: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    manifest = pretrain(
        store,
        corpora=SHARES,
        version="mixed",
        config=CONFIG,
        num_workers=2,
        cpus_per_worker=0.5,
        cpus_per_read=0.5,
        use_gpu=False,
        validate=validate,
    )
    num_train = 36  # three articles in five, two figures each
    assert manifest.inputs == ("pairs@figures", "pairs@panels")
    assert manifest.config["corpora"] == [share.model_dump() for share in SHARES]
    epoch = num_train + num_train + num_train // 4  # half of twice as many panels
    assert manifest.counts["samples_seen"] == CONFIG.epochs * (epoch // 8 * 8)
    # Both halves of the panels have come round after two epochs, in whole batches or nearly so.
    left_out = json.loads(store.open("encoder", "mixed").read("left_out.json"))
    train = [pair.pair_id for pair in tiny_pairs(NUM_PAIRS) if pair.split == "train"]
    damaged = {f"{train[n // 2]}/{n % 2 + 1}": n for n in (BROKEN, SILENT)}
    assert left_out
    assert left_out.keys() <= damaged.keys()
    for pair_id, why in left_out.items():
        assert why.startswith("broken_image:" if damaged[pair_id] == BROKEN else "no_text:")
    assert sum(manifest.counts["left_out"].values()) == len(left_out)

    for pairs in ("figures", "panels"):
        embed(
            store,
            pairs_version=pairs,
            encoder_version="mixed",
            version=pairs,
            splits=("test",),
            num_actors=1,
            cpus_per_actor=0.5,
        )
    for pairs, beside in (("figures", ("panels",)), ("panels", ())):
        evaluate(
            store,
            embeddings_version=pairs,
            pairs_version=pairs,
            version=pairs,
            config=EvaluationConfig(num_queries=2),
            command="c",
            beside=beside,
        )
    of_panels = store.open("evaluation", "panels").read("recall.md").decode()
    assert of_panels.startswith("24 pairs of the test split")
    folder = store.open("evaluation", "figures")
    lines = folder.read("recall.md").decode().partition(DETAILS)[0].splitlines()
    lines = [line for line in lines if " of " in line]
    assert ["12 of figures" in lines[-2], "24 of panels" in lines[-1]] == [True, True]
    assert all("figures + panels" in line for line in lines[-2:])
