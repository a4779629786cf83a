"""Tables of private pictures in the layouts of MIMIC-CXR and CheXpert, and faults of some."""

import csv
from pathlib import Path

import pytest

from figclip.config import UsageError
from figclip.evaluation.proxy.findings import FINDINGS
from figclip.evaluation.proxy.private import PrivateSet, listed, private_in, seeds_of
from figclip.evaluation.proxy.stand_in import write_ward
from jobs.private_sets import private_sets

CHEXPERT = [
    "Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", "No Finding",
    "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema",
    "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion",
    "Pleural Other", "Fracture", "Support Devices",
]  # fmt: skip
MIMIC = [
    "subject_id", "study_id", "dicom_id", "Atelectasis", "Cardiomegaly", "Consolidation",
    "Edema", "Enlarged Cardiomediastinum", "Fracture", "Lung Lesion", "Airspace Opacity",
    "No Finding", "Pleural Effusion", "Pleural Other", "Pneumonia", "Pneumothorax",
    "Support Devices",
]  # fmt: skip


def table(root: Path, header: list[str], *lines: dict[str, str]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    with (root / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, header, restval="")
        writer.writeheader()
        writer.writerows(lines)


def names_of(truth: list[bool]) -> set[str]:
    return {name for name, is_there in zip(FINDINGS, truth, strict=True) if is_there}


def test_chexperts_table_is_read_as_it_is_published(tmp_path: Path):
    view = "Frontal/Lateral"
    table(
        tmp_path / "ward",
        CHEXPERT,
        {"Path": "valid/p1/a.jpg", view: "Frontal", "Edema": "1.0", "Fracture": "-1.0"},
        {"Path": "valid/p1/b.jpg", view: "Lateral", "Edema": "1.0"},
        {"Path": "valid/p2/c.jpg", view: "Frontal", "Edema": "0.0", "Lung Opacity": "1"},
    )
    ward = PrivateSet(name="ward", title="Ward", picture="{Path}", where={view: "Frontal"})
    found = listed(ward, str(tmp_path))
    assert [path.name for path in found.paths] == ["a.jpg", "c.jpg"]
    assert list(found.lines) == [2, 4]
    assert [names_of(row) for row in found.truth.tolist()] == [{"Edema"}, {"Lung Opacity"}]


def test_mimics_table_is_read_as_it_is_published(tmp_path: Path):
    line = {"study_id": "s1", "dicom_id": "d", "Airspace Opacity": "1.0", "No Finding": "1.0"}
    table(tmp_path / "ward", MIMIC, line)
    ward = PrivateSet(name="ward", title="Ward", picture="files/{study_id}/{dicom_id}.jpg")
    found = listed(ward, str(tmp_path))
    assert found.paths == [tmp_path / "ward/files/s1/d.jpg"]
    assert names_of(found.truth[0].tolist()) == {"Lung Opacity"}


WARD = PrivateSet(name="ward", title="Ward")
SECRET = "Mustermann"


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ([{"image": SECRET, "Edema": "2"}], r"line 2 of labels\.csv has a value for Edema"),
        ([{"image": SECRET, "Edema": "yes"}], r"none of 1, 0, -1 and blank"),
        ([{"image": SECRET}, {"image": SECRET}], r"line 3 .* has the picture of line 2 again"),
        ([], "lists no picture that counts"),
    ],
)
def test_a_bad_table_is_refused_by_its_line_and_no_picture_is_named(
    tmp_path: Path, lines: list[dict[str, str]], fault: str
):
    table(tmp_path / "ward", ["image", *FINDINGS], *lines)
    with pytest.raises(UsageError, match=fault) as raised:
        listed(WARD, str(tmp_path))
    assert SECRET not in str(raised.value)


def test_a_table_without_a_finding_is_refused(tmp_path: Path):
    table(tmp_path / "ward", ["picture", *FINDINGS[1:]])
    with pytest.raises(UsageError, match="no column image, Enlarged Cardiomediastinum; a line has"):
        listed(WARD, str(tmp_path))


def test_a_folder_that_misses_files_says_what_is_expected(tmp_path: Path):
    with pytest.raises(UsageError, match=r"no labels\.csv\. Expected below ward/: .*Cardiomegaly"):
        listed(WARD, str(tmp_path))
    with pytest.raises(UsageError, match="no picture in seeds/"):
        seeds_of(WARD, str(tmp_path), num=3, seed=0)


def test_seeds_are_drawn_by_the_seed_and_no_more_than_there_are(tmp_path: Path):
    write_ward(tmp_path, num=1, num_seeds=8)
    (ward,) = private_in(str(tmp_path))
    drawn = [seeds_of(ward, str(tmp_path), num=4, seed=seed) for seed in range(6)]
    assert all(len({*one}) == 4 and one == sorted(one) for one in drawn)
    assert drawn[0] == seeds_of(ward, str(tmp_path), num=4, seed=0)
    assert len({tuple(one) for one in drawn}) > 1
    assert len(seeds_of(ward, str(tmp_path), num=100, seed=0)) == 8


def test_sets_are_known_by_their_declaration(tmp_path: Path):
    write_ward(tmp_path, num=1, num_seeds=1)
    (found,) = private_sets(str(tmp_path), ["ward_drawn"])
    assert found.title == "Ward (drawn)"
    with pytest.raises(UsageError, match=r"no private set 'other'.*proxy\.json"):
        private_sets(str(tmp_path), ["other"])
    with pytest.raises(UsageError, match="holds no private set"):
        private_sets(str(tmp_path / "ward_drawn"), [])
    (tmp_path / "ward_drawn" / "proxy.json").write_text('{"name": "a", "titel": "b"}')
    with pytest.raises(UsageError, match=r"proxy\.json: .*titel"):
        private_in(str(tmp_path))
