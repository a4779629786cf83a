import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.pictures import duplicates
from figclip.pictures.duplicates import clusters, duplicates_of, fingerprint_array
from figclip.pictures.fingerprint import PLAIN


@pytest.fixture(scope="module", autouse=True)
def small_buckets():
    """So few rows share a bucket that dozens of rows walk every path of millions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "LARGEST_BUCKET", 4)
        patch.setattr(duplicates, "ROWS_AT_ONCE", 8)
        patch.setattr(duplicates, "EDGES_AT_ONCE", 5)
        yield


def apart(one: bytes, other: bytes) -> int:
    return sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True))


def in_plain_loops(files: list[str], prints: list[bytes], max_bits: int) -> list[int]:
    """Every row takes the least label of all that it is linked with, until nothing changes."""
    labels = list(range(len(files)))
    changed = True
    while changed:
        changed = False
        for i in range(len(files)):
            for j in range(len(files)):
                near = PLAIN not in (prints[i], prints[j]) and apart(prints[i], prints[j])
                linked = files[i] == files[j] or (near is not False and near <= max_bits)
                if linked and labels[j] < labels[i]:
                    labels[i] = labels[j]
                    changed = True
    return labels


def as_array(prints: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(prints), np.uint8).reshape(-1, 32)


def flipped(one: bytes, bits: set[int]) -> bytes:
    value = int.from_bytes(one, "little")
    for bit in bits:
        value ^= 1 << bit
    return value.to_bytes(32, "little")


@st.composite
def pictures(draw: st.DrawFn) -> tuple[list[str], list[bytes]]:
    """Files and fingerprints: some plain, some close to a few middles, some in few bytes only."""
    middles = draw(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=3))
    flips = st.sets(st.integers(0, 255), max_size=6)
    sparse = st.binary(max_size=2).map(lambda some: some.ljust(32, b"\0"))
    some = st.one_of(st.just(PLAIN), sparse, st.builds(flipped, st.sampled_from(middles), flips))
    prints = draw(st.lists(some, min_size=0, max_size=40))
    files = draw(st.lists(st.integers(0, 60).map(str), min_size=len(prints), max_size=len(prints)))
    return files, prints


@settings(deadline=None)
@given(pictures(), st.integers(0, 9))
def test_clusters_are_those_of_plain_loops(some, max_bits):
    files, prints = some
    found = clusters(files, as_array(prints), max_bits=max_bits)
    assert found.dtype == np.int64
    assert found.tolist() == in_plain_loops(files, prints, max_bits)


def test_a_chain_of_near_ones_is_one_cluster_and_the_plain_are_none():
    steps = [flipped(b"\x0f" * 32, set(range(n))) for n in range(0, 60, 3)]
    prints = [*steps, PLAIN, PLAIN]
    files = [f"file {n}" for n in range(len(prints))]
    far = clusters(files, as_array(prints), max_bits=3)
    assert far.tolist() == [0] * 20 + [20, 21]
    assert clusters(files, as_array(prints), max_bits=2).tolist() == list(range(22))
    files[21] = files[20]
    assert clusters(files, as_array(prints), max_bits=3)[21] == 20


def test_no_planted_duplicate_is_lost_among_thousands(monkeypatch):
    monkeypatch.setattr(duplicates, "LARGEST_BUCKET", 64)
    monkeypatch.setattr(duplicates, "ROWS_AT_ONCE", 1 << 12)
    random = np.random.default_rng(0)
    originals = random.integers(0, 256, (4_000, 32), dtype=np.uint8)
    originals[:, :6] = 7  # as of pictures that are alike
    copies = originals[:400].copy()
    for row in copies:
        for bit in random.choice(256, random.integers(0, 15), replace=False):
            row[bit // 8] ^= 1 << (bit % 8)
    prints = np.concatenate([originals, copies])
    found = clusters(np.arange(4_400), prints, max_bits=14)
    assert found.tolist() == [*range(4_000), *range(400)]


def test_a_crowd_is_one_cluster_and_takes_in_what_is_near_its_edge(monkeypatch):
    monkeypatch.setattr(duplicates, "LARGEST_BUCKET", 32)
    monkeypatch.setattr(duplicates, "ROWS_AT_ONCE", 1 << 12)
    middle = b"\x3c" * 32
    crowd = [flipped(middle, {bit}) for bit in range(256)]
    random = np.random.default_rng(0)
    others = random.bytes(32 * 1_000)  # or bands would not divide anything
    crowd += [others[start : start + 32] for start in range(0, len(others), 32)]
    for _ in range(60):  # in some, no band but those of large buckets has both
        bits = random.choice(256, 6, replace=False).tolist()
        near_some, far = flipped(middle, set(bits[:5])), flipped(middle, set(bits))
        found = clusters(np.arange(1_257), as_array([*crowd, near_some]), max_bits=4)
        assert found.tolist() == [0] * 256 + [*range(256, 1_256), 0]
    assert clusters(np.arange(1_257), as_array([*crowd, far]), max_bits=4)[1_256] == 1_256


def table(files: list[str], prints: list[bytes]) -> pa.Table:
    return pa.table(
        {
            "pair_id": [f"PMC{n:03}.1/f/g.jpg" for n in range(len(files))],
            "image_sha256": files,
            "image_fingerprint": pa.array(prints, pa.binary(32)),
        }
    )


@settings(deadline=None)
@given(pictures(), st.randoms())
def test_the_order_of_the_rows_changes_nothing(some, random):
    rows = table(*some)
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = rows.take(pa.array(order, pa.int64()))
    assert duplicates_of(shuffled, max_bits=5).equals(duplicates_of(rows, max_bits=5))


def test_duplicates_are_named_by_their_smallest_pair_id_and_kind():
    one, other = b"\x55" * 32, b"\xaa" * 32
    rows = table(["b", "a", "b", "c", "d"], [one, flipped(one, {1, 2}), one, other, PLAIN])
    found = duplicates_of(rows.take(pa.array([4, 2, 3, 0, 1])), max_bits=2)
    assert found.to_pylist() == [
        {"pair_id": f"PMC00{n}.1/f/g.jpg", "cluster_id": "PMC000.1/f/g.jpg", "kind": kind}
        for n, kind in [(0, "exact"), (1, "near"), (2, "exact")]
    ]


def test_a_column_of_fingerprints_is_read_in_place_a_null_as_plain():
    column = pa.array([b"a" * 32, b"b" * 32, None, b"c" * 32], pa.binary(32))
    rows = fingerprint_array(column[1:])
    assert [row.tobytes() for row in rows] == [b"b" * 32, PLAIN, b"c" * 32]
