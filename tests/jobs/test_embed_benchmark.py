"""What the benchmark of embedding counts, and that both of its sides are given the same work."""

import pytest

from figclip.embedding.vectors import read_table, split_files
from figclip.inputs.tokens import train_wordpiece
from figclip.store import Store
from jobs.benchmarks import embed
from jobs.benchmarks.bare import text_batches
from jobs.benchmarks.embed import Bare, caption, publish, ratio, reckoned


def test_only_what_the_job_used_between_the_two_moments_is_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(embed, "NUM_FILES", 3)
    monkeypatch.setattr(embed, "PAIRS_PER_FILE", 5)
    before = {
        1: ("python -m jobs.embed cpu 1", 20.0),
        2: ("/x/core/src/ray/raylet/raylet --store 2", 2.0),
        3: ("python dashboard.py 3", 4.0),
        4: ("ray::IDLE 4", 3.0),
    }
    after = {
        1: ("python -m jobs.embed cpu 1", 21.0),
        2: ("/x/core/src/ray/raylet/raylet --store 2", 2.5),
        3: ("python dashboard.py 3", 6.0),
        4: ("ray::FileEmbedder.write 4", 11.5),  # its title has changed since
        5: ("/x/core/src/ray/gcs/gcs_server --a 5", 0.0),
    }
    found = reckoned(before, after, driver=1, seconds=20.0)
    assert found.cpu_s == pytest.approx((1 + 0.5 + 8.5) / 10)
    assert found.services_cpu_s == pytest.approx(2 / 10)
    assert found.start_cpu_s == pytest.approx(29 - 5 * 1.0), "without the first file's pictures"
    assert found.images_per_s == 0.5
    peer = Bare(forward_s=0.9, decode_s=0.1)
    assert ratio(peer, found) == pytest.approx(1)
    assert ratio(peer, found, with_services=True) == pytest.approx(0.9 / 1.1)


def test_the_bare_side_has_every_caption_once_and_no_more_padding_than_it_must():
    captions = [caption(number) for number in range(20)]
    tokenizer = train_wordpiece(captions, vocab_size=200)
    batches = text_batches(tokenizer, captions, 256, 6)
    assert [len(ids) for ids, _ in batches] == [6, 6, 6, 2]
    lengths = sorted(int(n) for n in tokenizer(captions, 256).mask.sum(dim=1))
    assert [int(n) for _, mask in batches for n in mask.sum(dim=1)] == lengths
    assert [ids.shape[1] for ids, _ in batches] == [
        lengths[5],
        lengths[11],
        lengths[17],
        lengths[19],
    ]


def test_the_pairs_lie_in_their_files_as_stored_pictures(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(embed, "NUM_FILES", 2)
    monkeypatch.setattr(embed, "PAIRS_PER_FILE", 3)
    monkeypatch.setattr(embed, "NUM_PICTURES", 1)
    monkeypatch.setattr(
        embed,
        "MODEL",
        embed.MODEL.with_overrides(
            {"vision.timm_model": "vit_tiny_patch16_224", "text.layers": 1, "text.hidden_size": 64}
        ),
    )
    publish(Store(tmp_path))
    pairs = Store(tmp_path).open("pairs", embed.VERSION)
    names = split_files(pairs, ["train"])
    tables = [read_table(pairs, name, ["pair_id", "image", "caption"]) for name in names]
    assert [table.num_rows for table in tables] == [3, 3]
    rows = [row for table in tables for row in table.to_pylist()]
    assert [row["caption"] for row in rows] == [caption(number) for number in range(6)]
    assert len({row["image"] for row in rows}) == 1
