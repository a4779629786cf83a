"""Whatever the bytes: a picture that opens again, or one reason; quickly, in bounded memory."""

import io
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hostile_images import bombs, claiming, largest, mutated, sound_pictures
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from figclip.pictures.images import store_image
from figclip.pictures.opening import MAGIC, ImageError

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow warns of what it mends

REASONS = {"not_an_image", "huge_image", "broken_image"}
SOUND = sound_pictures()
HERE = Path(__file__).parent


def outcome(data: bytes, longest_side: int | None = 40) -> str:
    """A reason, or empty for a picture, which then must be one of the size that is said."""
    start = time.process_time()
    try:
        stored = store_image(data, longest_side=longest_side)
    except ImageError as error:
        return error.reason
    finally:
        assert time.process_time() - start < 5
    with Image.open(io.BytesIO(stored.data), formats=["JPEG", "PNG"]) as image:
        image.load()
        assert (image.size, image.mode) == ((stored.width, stored.height), "RGB")
    assert longest_side is None or max(image.size) <= longest_side
    assert len(stored.fingerprint) == 32
    return ""


@pytest.mark.parametrize("name", SOUND)
def test_the_sound_ones_are_stored(name):
    assert outcome(SOUND[name]) == outcome(SOUND[name], None) == ""


@pytest.mark.parametrize("name", SOUND)
def test_cut_anywhere_it_is_a_picture_or_broken(name):
    data = SOUND[name]
    for twentieth in range(20):
        found = outcome(data[: len(data) * twentieth // 20])
        assert found in ({"", "broken_image"} if twentieth else {"not_an_image"})


@pytest.mark.parametrize("longest_side", [None, 40])
@pytest.mark.parametrize("name", ["jpeg", "jpeg progressive", "png", "gif", "webp", "tiff lzw"])
def test_a_picture_of_which_half_is_missing_is_never_taken(name, longest_side):
    share = 4 if name == "gif" else 2  # which holds two frames
    assert outcome(SOUND[name][: len(SOUND[name]) // share], longest_side) == "broken_image"


def survives(name: str, seed: int, longest_side: int | None) -> None:
    assert outcome(mutated(SOUND[name], random.Random(seed)), longest_side) in {"", *REASONS}


MUTATIONS = (st.sampled_from(list(SOUND)), st.integers(0, 2**32), st.sampled_from([None, 40]))


@settings(max_examples=300, deadline=None)
@given(*MUTATIONS)
def test_mutated_pictures_give_a_picture_or_a_reason(name, seed, longest_side):
    survives(name, seed, longest_side)


@pytest.mark.slow
@settings(max_examples=5_000, deadline=None)
@given(*MUTATIONS)
def test_five_thousand_mutated_pictures_give_a_picture_or_a_reason(name, seed, longest_side):
    survives(name, seed, longest_side)


def test_mutations_leave_some_whole_and_break_some():
    found = {outcome(mutated(SOUND["png"], random.Random(seed))) for seed in range(60)}
    assert found == {"", "broken_image", "not_an_image"} | (found & {"huge_image"})


@pytest.mark.parametrize("form", claiming(9))
@pytest.mark.parametrize("side", [50_000, 65_535])
def test_a_header_that_claims_too_much_is_refused_before_anything_is_decoded(form, side):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert outcome(claiming(side)[form]) in {"huge_image", "broken_image"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


@pytest.mark.parametrize("magic", sorted(MAGIC))
@pytest.mark.parametrize("rest", [bytes(100), b"\xff" * 100, b""])
def test_nothing_behind_the_first_bytes_is_no_picture(magic, rest):
    assert outcome(magic + rest) in {"not_an_image", "broken_image"}


@pytest.mark.parametrize("name", SOUND)
def test_the_first_bytes_of_another_format_are_refused(name):
    for magic in MAGIC:
        if not SOUND[name].startswith(magic[:2]):
            wrong = magic + SOUND[name][len(magic) :]
            assert outcome(wrong) in {"not_an_image", "broken_image", "huge_image"}


CHILD = """
import sys, time
from pathlib import Path
from figclip.pictures.images import store_image
from figclip.pictures.opening import ImageError
data = Path(sys.argv[1]).read_bytes()
def most():  # `getrusage` would count the memory of the parent at the fork
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) // 1024
base = most()
start = time.process_time()
try:
    store_image(data, longest_side=int(sys.argv[2]) or None)
    found = "stored"
except ImageError as error:
    found = error.reason
peak = most()
print(found, time.process_time() - start, peak, base)
"""


def alone(path: Path, longest_side: int) -> tuple[str, float, int, int]:
    """What became of the file in a process of its own, CPU seconds, peak MiB and MiB before."""
    command = [sys.executable, "-W", "ignore", "-c", CHILD, str(path), str(longest_side)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    found, seconds, peak, base = done.stdout.split()
    return found, float(seconds), int(peak), int(base)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_bombs_take_neither_minutes_nor_gigabytes(tmp_path):
    for name, data in bombs():
        path = tmp_path / name
        path.write_bytes(data)
        for longest_side in (0, 512):
            found, seconds, peak, _ = alone(path, longest_side)
            assert found in {"stored", *REASONS}
            assert seconds < 5, name
            assert peak < 1_000, name
        path.unlink()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_largest_pictures_take_two_copies_at_most(tmp_path):
    for name, data in largest():
        path = tmp_path / name
        path.write_bytes(data)
        for longest_side in (0, 512):
            found, _, peak, base = alone(path, longest_side)
            assert found == "stored", name
            assert peak - base < 720, name
        path.unlink()
