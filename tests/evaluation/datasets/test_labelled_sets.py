"""Sets of labelled pictures, written here in their published layouts with their traps."""

import csv
import gzip
import io
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import train_test_split

from figclip.config import UsageError
from figclip.evaluation.datasets.declaration import Class, Dataset, Folders, Table
from figclip.evaluation.datasets.opening import opened, sets_in
from figclip.evaluation.datasets.published import (
    LC25000_COLON,
    LC25000_LUNG,
    PAPER,
    PCAM,
    RSNA,
    TCGA_TIL,
)
from figclip.evaluation.datasets.stand_ins import FORMS
from figclip.evaluation.datasets.tables import drawn_part
from figclip.inputs.pixels import UnreadableImage

TEMPLATES = ("a photo of {}",)


def png(path: Path, level: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (level, 0, 0)).save(path)


def write_pcam(root: Path, *, packed: bool, num_labels: int = 5) -> np.ndarray:
    root.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, size=(5, 96, 96, 3), dtype=np.uint8)
    labels = np.array([0, 1, 1, 0, 1], np.uint8)[:num_labels].reshape(-1, 1, 1, 1)
    for name, key, array in (("x", "x", pixels), ("y", "y", labels)):
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            file[key] = array
        path = root / f"camelyonpatch_level_2_split_test_{name}.h5"
        if packed:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(buffer.getvalue()))
        else:
            path.write_bytes(buffer.getvalue())
    return pixels


PLAIN_PCAM = PCAM.model_copy(update={"files": PCAM.files.model_copy(update={"md5": {}})})
"""Without the checksums of the published files."""


def test_a_compressed_file_of_another_checksum_is_refused_unless_it_is_unpacked(tmp_path: Path):
    write_pcam(tmp_path / "pcam", packed=True)
    with (
        pytest.raises(UsageError, match=r"test_x.h5.gz has the MD5 .*fetch it again, or unpack"),
        opened(PCAM, str(tmp_path)),
    ):
        pass
    write_pcam(tmp_path / "pcam", packed=False)
    with opened(PCAM, str(tmp_path)) as found:
        assert len(found.labels) == 5


@pytest.mark.parametrize("packed", [False, True])
def test_pcam_gives_its_patches_bit_by_bit_compressed_or_not(packed: bool, tmp_path: Path):
    pixels = write_pcam(tmp_path / "pcam", packed=packed)
    with opened(PLAIN_PCAM, str(tmp_path)) as found:
        assert found.labels.tolist() == [0, 1, 1, 0, 1]
        for number, expected in enumerate(pixels):
            assert np.array_equal(np.asarray(found.read(number)), expected)


def test_pcam_of_which_a_file_is_missing_cut_or_of_another_part_is_refused(tmp_path: Path):
    root = tmp_path / "pcam"
    write_pcam(root, packed=True)
    path = root / "camelyonpatch_level_2_split_test_x.h5.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with (
        pytest.raises(UsageError, match=r"test_x.h5.gz is damaged.*fetch it again"),
        opened(PLAIN_PCAM, str(tmp_path)),
    ):
        pass
    path.unlink()
    with (
        pytest.raises(
            UsageError,
            match=r"no camelyonpatch.*_test_x.h5.*zenodo.*Expected there: .*gz.*array 'x'",
        ),
        opened(PLAIN_PCAM, str(tmp_path)),
    ):
        pass
    write_pcam(root, packed=False, num_labels=4)
    with (
        pytest.raises(UsageError, match="5 pictures and 4 labels"),
        opened(PLAIN_PCAM, str(tmp_path)),
    ):
        pass


def test_lc25000_has_its_five_folders_in_one_archive(tmp_path: Path):
    root = tmp_path / "lc25000" / "lung_colon_image_set"
    for name, num in (("lung_aca", 2), ("lung_n", 3), ("lung_scc", 1)):
        for number in range(num):
            png(root / "lung_image_sets" / name / f"{name}{number}.jpeg")
    for name in ("colon_aca", "colon_n"):
        png(root / "colon_image_sets" / name / f"{name}1.jpeg")
    (root / "lung_image_sets" / "lung_n" / ".DS_Store").write_bytes(b"\0")
    with opened(LC25000_LUNG, str(tmp_path)) as found:
        assert found.labels.tolist() == [0, 0, 1, 1, 1, 2]
        assert found.names[2].endswith("lung_n/lung_n0.jpeg")
    with opened(LC25000_COLON, str(tmp_path)) as found:
        assert found.labels.tolist() == [0, 1]
    assert [one.name for one in sets_in(str(tmp_path))] == ["lc25000_lung", "lc25000_colon"]


def test_tcga_til_is_the_test_part_of_lung_adenocarcinoma(tmp_path: Path):
    root = tmp_path / "tcga_til" / "TCGA-TILs" / "images-tcga-tils"
    for study, part in (("luad", "test"), ("luad", "train"), ("brca", "test")):
        png(root / study / part / "til-negative" / f"{study}-{part}.png")
        png(root / study / part / "til-positive" / f"{study}-{part}.png")
    with opened(TCGA_TIL, str(tmp_path)) as found:
        assert [Path(name).name for name in found.names] == ["luad-test.png"] * 2
        assert found.labels.tolist() == [0, 1]
    assert TCGA_TIL.metric == "auroc"


def write_rsna(root: Path, targets: dict[str, int]) -> None:
    """As published: a line a box, and one without numbers for a radiograph without a box."""
    (root / "stage_2_train_images").mkdir(parents=True)
    lines: list[list[object]] = []
    for number, (patient, target) in enumerate(targets.items()):
        lines += (
            [[patient, 10.0 * box, 5, 20, 30, 1] for box in range(1 + number % 3)]
            if target
            else [[patient, "", "", "", "", 0]]
        )
        grey = np.full((6, 8), number, np.uint8)
        FORMS["plain"](grey).save_as(
            root / "stage_2_train_images" / f"{patient}.dcm", enforce_file_format=True
        )
    with (root / "stage_2_train_labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["patientId", "x", "y", "width", "height", "Target"], *lines])


def test_rsna_counts_a_patient_once_however_many_boxes_and_splits_as_gloria(tmp_path: Path):
    random = np.random.default_rng(0)
    patients = [f"{n:04x}-{m:04x}" for n, m in enumerate(random.integers(0, 65_536, size=60))]
    shuffled = [patients[n] for n in random.permutation(60)]
    targets = {patient: int(patient[-1] < "8") for patient in shuffled}
    write_rsna(tmp_path / "rsna", targets)
    _, rest = train_test_split(sorted(targets), test_size=0.3, random_state=0)
    test, _ = train_test_split(rest, test_size=0.5, random_state=0)
    with opened(RSNA, str(tmp_path)) as found:
        assert [Path(name).stem for name in found.names] == test
        assert found.labels.tolist() == [targets[patient] for patient in test]
        shown = np.asarray(found.read(0))
        assert (shown == shuffled.index(test[0])).all()


@pytest.mark.parametrize("n", [10, 33, 26_684])
def test_the_parts_are_those_of_scikit_learns_split_and_hold_every_picture_once(n: int):
    train, rest = train_test_split(np.arange(n), test_size=0.3, random_state=0)
    test, validation = train_test_split(rest, test_size=0.5, random_state=0)
    assert drawn_part(n, "train").tolist() == train.tolist()
    assert drawn_part(n, "test").tolist() == test.tolist()
    assert drawn_part(n, "validation").tolist() == validation.tolist()
    assert drawn_part(n, "all").tolist() == list(range(n))


GREY = np.add.outer(np.arange(32) * 4, np.arange(40) * 3).astype(np.uint8)


@pytest.mark.parametrize(
    ("form", "most"), [("plain", 0), ("compressed", 4), ("inverted", 1), ("windowed", 1)]
)
def test_a_radiograph_shows_its_greys_in_whatever_form_it_comes(
    form: str, most: int, tmp_path: Path
):
    folder = tmp_path / "scans"
    (folder / "a").mkdir(parents=True)
    FORMS[form](GREY).save_as(folder / "a" / "1.dcm", enforce_file_format=True)
    png(folder / "b" / "1.png")
    with opened(two_folders(), str(tmp_path)) as found:
        shown = np.asarray(found.read(0)).astype(int)
    assert shown.shape == (32, 40, 3)
    expected = GREY.astype(int)
    if form == "inverted":  # spread from its own least to its own greatest value
        expected = ((expected - expected.min()) * 255 / (expected.max() - expected.min())).round()
    difference = np.abs(shown[..., 0] - expected)[1:]  # the first row has the stray values
    assert difference.max() <= most


def test_a_window_wider_than_its_picture_leaves_the_picture_pale(tmp_path: Path):
    """Greys from 100 to 150 of a window from 0 to 255 are not spread to black and white."""
    grey = (100 + GREY % 51).astype(np.uint8)
    file = FORMS["windowed"](grey)
    file.PixelData = (1_000 + 4 * grey.astype(np.int64)).astype(np.uint16).tobytes()
    (tmp_path / "scans" / "a").mkdir(parents=True)
    file.save_as(tmp_path / "scans" / "a" / "1.dcm", enforce_file_format=True)
    png(tmp_path / "scans" / "b" / "1.png")
    with opened(two_folders(), str(tmp_path)) as found:
        shown = np.asarray(found.read(0))[..., 0].astype(int)
    assert np.abs(shown - grey).max() <= 1


def two_folders() -> Dataset:
    classes = (Class(label="a", words="one"), Class(label="b", words="other"))
    return Dataset(
        name="scans", title="Scans", files=Folders(), classes=classes, templates=TEMPLATES
    )


@pytest.mark.parametrize("kind", ["cut", "empty", "words", "no frame"])
def test_a_picture_that_cannot_be_read_says_so_when_it_is_asked_for(kind: str, tmp_path: Path):
    png(tmp_path / "scans" / "a" / "1.png")
    png(tmp_path / "scans" / "b" / "1.png")
    dicom = io.BytesIO()
    FORMS["plain"](GREY).save_as(dicom, enforce_file_format=True)
    data = {
        "cut": (tmp_path / "scans" / "a" / "1.png").read_bytes()[:40],
        "empty": b"",
        "words": b"<html>not found</html>",
        "no frame": dicom.getvalue()[:-200],
    }[kind]
    (tmp_path / "scans" / "a" / "2.png").write_bytes(data)
    with opened(two_folders(), str(tmp_path)) as found:
        found.read(0)
        with pytest.raises(UnreadableImage):
            found.read(1)


def test_a_folder_with_a_declaration_is_a_set_of_its_own(tmp_path: Path):
    for number in range(3):
        png(tmp_path / "mine" / "pictures" / f"{number}.png", 10 * number)
    lines = ["file,kind,use", "0,cat,yes", "1,dog,yes", "2,dog,no", "1,dog,yes"]
    (tmp_path / "mine" / "labels.csv").write_text("\n".join(lines))
    declared = {
        "name": "beasts",
        "title": "Beasts",
        "files": {
            "layout": "table",
            "picture": "pictures/{file}.png",
            "label": "kind",
            "where": {"use": "yes"},
        },
        "classes": [{"label": "cat", "words": "a cat"}, {"label": "dog", "words": "a dog"}],
        "templates": ["a photo of {}"],
    }
    (tmp_path / "mine" / "dataset.json").write_text(json.dumps(declared))
    (one,) = sets_in(str(tmp_path))
    assert one.title == "Beasts"
    with opened(one, str(tmp_path)) as found:
        assert found.labels.tolist() == [0, 1], "a line left out, and one that is said twice"
        assert np.asarray(found.read(1))[0, 0, 0] == 10


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"templates": ["a photo"]}, "has not one {}"),
        (
            {"metric": "auroc", "classes": [{"label": str(n), "words": "x"} for n in range(3)]},
            "two classes",
        ),
        ({"classes": [{"label": "a", "words": "x"}] * 2}, "same label"),
        ({"clases": []}, "clases"),
        ({"files": {"layout": "drawers"}}, "drawers"),
        ({"name": "My Set"}, "name"),
    ],
)
def test_a_declaration_that_cannot_be_meant_is_refused_with_its_file(
    changed: dict, words: str, tmp_path: Path
):
    declared = json.loads(two_folders().to_json()) | changed
    path = tmp_path / "scans" / "dataset.json"
    path.parent.mkdir()
    path.write_text(json.dumps(declared))
    with pytest.raises(UsageError, match=f"dataset.json.*{words}"):
        sets_in(str(tmp_path))


def test_files_that_do_not_fit_their_declaration_are_named(tmp_path: Path):
    def refused(dataset: Dataset, words: str) -> None:
        with pytest.raises(UsageError, match=words), opened(dataset, str(tmp_path)):
            pass

    refused(
        two_folders(),
        r"Scans: .* has no folder scans.*Expected there: ./a/ with its pictures; ./b/",
    )
    png(tmp_path / "scans" / "a" / "1.png")
    refused(two_folders(), "no folder ./b")
    (tmp_path / "scans" / "b").mkdir()
    refused(two_folders(), "class 'b' has no picture")
    table = two_folders().model_copy(update={"files": Table()})
    refused(table, "no labels.csv")
    (tmp_path / "scans" / "labels.csv").write_text("image,kind\n1.png,a\n")
    refused(table, "no column label; it has image, kind")
    (tmp_path / "scans" / "labels.csv").write_text("image,label\n1.png,a\n1.png,b\n")
    refused(table, "calls images/1.png both a and b")
    (tmp_path / "scans" / "labels.csv").write_text("image,label\n1.png,a\n2.png,c\n")
    refused(table, "no picture such as images/{image}")
    png(tmp_path / "scans" / "images" / "1.png")
    refused(table, "the label 'c', which is none of a, b")


def test_a_folder_without_sets_says_which_would_be_looked_for(tmp_path: Path):
    with pytest.raises(UsageError, match=r"pcam/, lc25000/, tcga_til/, rsna/.*dataset.json"):
        sets_in(str(tmp_path))
    write_pcam(tmp_path / "pcam", packed=False)
    with pytest.raises(UsageError, match=r"no set .cifar.: .* has pcam"):
        sets_in(str(tmp_path), ["cifar"])
    with pytest.raises(UsageError, match=r"RSNA: .* has no folder rsna.*kaggle"):
        sets_in(str(tmp_path), ["rsna"])


MISSING = {
    "pcam": ("pcam", "camelyonpatch_level_2_split_test_x.h5"),
    "lc25000_lung": ("lc25000", "lung_colon_image_set/lung_image_sets/lung_aca"),
    "lc25000_colon": ("lc25000", "lung_colon_image_set/colon_image_sets/colon_aca"),
    "tcga_til": ("tcga_til", "TCGA-TILs/images-tcga-tils/luad/test/til-negative"),
    "rsna": ("rsna", "stage_2_train_labels.csv"),
}
"""Of an empty folder: its name, and what is asked for first."""


@pytest.mark.parametrize("dataset", PAPER, ids=lambda one: one.name)
def test_each_published_set_says_what_is_missing_where_to_get_it_and_how_it_should_lie(
    dataset: Dataset, tmp_path: Path
):
    place, first = MISSING[dataset.name]
    for what in (f"folder {place}", first):
        with pytest.raises(UsageError) as refused, opened(dataset, str(tmp_path)):
            pass
        said = str(refused.value)
        assert said.startswith(f"{dataset.title}: {tmp_path}")
        assert what in said
        assert dataset.source in said
        assert "Expected there: " in said
        assert first in said.partition("Expected there: ")[2]
        (tmp_path / place).mkdir(exist_ok=True)
    assert {one.name for one in PAPER} == MISSING.keys()


def test_the_papers_prompts_are_those_of_supplementary_table_10():
    said = {one.title: (one.prompts(one.classes[-1]), one.metric) for one in PAPER}
    assert said["PCam"][0] == (
        "this is an image of lymph node metastasis",
        "lymph node metastasis presented in image",
    )
    assert said["LC25000 (Colon)"][0][0] == "a photo of normal colonic tissue"
    assert said["TCGA-TIL"] == (
        (
            "a photo of tumor infiltrating lymphocytes",
            "tumor infiltrating lymphocytes presented in image",
        ),
        "auroc",
    )
    assert [one.metric for one in PAPER].count("accuracy") == 4
