"""Stand-ins for the published sets: drawn pictures in exactly their layouts, with their traps.

A compressed array, labels of four dimensions, a picture that cannot be read, a table with a line
for each box, radiographs of 8 and 16 bits, inverted, windowed and compressed.
"""

import csv
import gzip
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from PIL import Image

from figclip.evaluation.datasets.declaration import FILE, Class, Dataset, Table
from figclip.evaluation.datasets.drawn import drawing
from figclip.evaluation.datasets.pictures import extra
from figclip.evaluation.datasets.published import LC25000_COLON, LC25000_LUNG, PCAM, RSNA, TCGA_TIL
from figclip.sources.synthetic.histology import HISTOLOGY, STAIN_WORDS
from figclip.sources.synthetic.scenes import Attributes, Kind
from figclip.sources.synthetic.xrays import XRAY

NUCLEI = ("sparse", "dense")
STAINS = ("DAB immunohistochemistry", "Oil Red O", "Alcian blue")
SEEDS = {"files": "", "train": " train"}
"""Part → what sets its pictures apart from those of the others."""
BOXES = 2
"""Lines of a positive radiograph."""


def write_stand_ins(data: Path, *, num_per_class: int, seed: int = 0) -> None:
    """The paper's five sets in little, below the folder of all sets."""
    _pcam(data, num_per_class, seed)
    _lc25000(data, num_per_class, seed)
    _tcga_til(data, num_per_class, seed)
    _rsna(data, num_per_class, seed)


def stand_in(dataset: Dataset, words: Sequence[str]) -> Dataset:
    """Its files and classes, said in the words of what is drawn."""
    classes = tuple(
        Class(label=label, words=said) for label, said in zip(dataset.labels, words, strict=True)
    )
    return dataset.model_copy(
        update={
            "name": f"{dataset.name}_drawn",
            "title": f"{dataset.title} (drawn)",
            "folder": dataset.place,
            "classes": classes,
            "source": "jobs.evaluate zero_shot, which draws it",
            "license": "CC0",
        }
    )


def _parts(dataset: Dataset) -> list[tuple[str, Any]]:
    return [("files", dataset.files), ("train", dataset.train)]


def _declare(data: Path, dataset: Dataset, file: str = FILE) -> None:
    (data / dataset.place / file).write_text(dataset.to_json())


def _drawn(
    kind: Kind, choices: Sequence[Attributes], num: int, seed: str, side: int
) -> list[tuple[int, Image.Image]]:
    """Classes in turn, and a picture of each."""
    return [
        (n % len(choices), drawing(kind, choices[n % len(choices)], f"{seed} {n}", (side, side)))
        for n in range(num * len(choices))
    ]


def _pcam(data: Path, num: int, seed: int) -> None:
    h5py = extra("h5py")
    choices = [{"nuclei": nuclei} for nuclei in NUCLEI]
    (data / PCAM.place).mkdir(parents=True)
    for part, files in _parts(PCAM):
        drawn = _drawn(HISTOLOGY, choices, num, f"pcam {seed}{SEEDS[part]}", 96)
        pictures = np.stack([np.asarray(image) for _, image in drawn])
        labels = np.array([place for place, _ in drawn], np.uint8).reshape(-1, 1, 1, 1)
        for name, key, array in ((files.pictures, "x", pictures), (files.labels, "y", labels)):
            buffer = io.BytesIO()
            with h5py.File(buffer, "w") as file:
                file.create_dataset(key, data=array, chunks=True)
            packed = gzip.compress(buffer.getvalue(), mtime=0)
            (data / PCAM.place / f"{name}.gz").write_bytes(packed)
    drawn_set = stand_in(PCAM, [f"{nuclei} nuclei" for nuclei in NUCLEI])
    parts = {part: files.model_copy(update={"md5": {}}) for part, files in _parts(PCAM)}
    _declare(data, drawn_set.model_copy(update=parts))


def _lc25000(data: Path, num: int, seed: int) -> None:
    for dataset, tissue in ((LC25000_LUNG, "lung"), (LC25000_COLON, "colon")):
        stains = STAINS[: len(dataset.classes)]
        choices: list[Attributes] = [{"tissue": tissue, "stain": stain} for stain in stains]
        files: Any = dataset.files
        root = data / dataset.place / files.folder
        drawn = _drawn(HISTOLOGY, choices, num, f"{tissue} {seed}", 160)
        _write_folders(root, dataset, drawn, lambda image, path: image.save(path, "JPEG"), ".jpeg")
        broken = root / dataset.labels[0] / "broken.jpeg"
        broken.write_bytes(next(broken.parent.glob("*.jpeg")).read_bytes()[:200])
        words = [f"{tissue} tissue stained with {s} ({STAIN_WORDS[s]})" for s in stains]
        _declare(data, stand_in(dataset, words), f"dataset_{tissue}.json")


def _tcga_til(data: Path, num: int, seed: int) -> None:
    """Few positives among many negatives, as in the original."""
    choices = [{"nuclei": nuclei} for nuclei in (*NUCLEI[:1] * 4, NUCLEI[1])]
    for part, files in _parts(TCGA_TIL):
        drawn = _drawn(HISTOLOGY, choices, num, f"til {seed}{SEEDS[part]}", 160)
        root = data / TCGA_TIL.place / files.folder
        folded = [(place // 4, image) for place, image in drawn]
        _write_folders(root, TCGA_TIL, folded, lambda image, path: image.save(path, "PNG"), ".png")
    _declare(data, stand_in(TCGA_TIL, [f"{nuclei} nuclei" for nuclei in NUCLEI]))


def _write_folders(
    root: Path,
    dataset: Dataset,
    drawn: Sequence[tuple[int, Image.Image]],
    save: Callable[[Image.Image, Path], None],
    suffix: str,
) -> None:
    for label in dataset.labels:
        (root / label).mkdir(parents=True)
    for number, (place, image) in enumerate(drawn):
        label = dataset.labels[place]
        save(image, root / label / f"{label}{number}{suffix}")


def _rsna(data: Path, num: int, seed: int) -> None:
    """So many patients that the test part has about `num` of each class."""
    files = RSNA.files
    assert isinstance(files, Table)
    choices: list[Attributes] = [
        {"part": "chest", "scale": "usual", "hardware": hardware} for hardware in ("none", "some")
    ]
    root, lines = data / RSNA.place, []
    (root / "stage_2_train_images").mkdir(parents=True)
    forms = [*FORMS.values()]
    for number, (place, image) in enumerate(_drawn(XRAY, choices, 7 * num, f"rsna {seed}", 96)):
        patient = f"{number:08x}-0000-4000-8000-{seed:012x}"
        grey = np.asarray(image.convert("L"))
        data_set = forms[number % len(forms)](grey)
        data_set.save_as(root / files.picture.format(patientId=patient), enforce_file_format=True)
        boxes = [[f"{20.0 + box}", "30.0", "40.0", "50.0"] for box in range(BOXES)]
        lines += [[patient, *box, place] for box in (boxes if place else [[""] * 4])]
    with (root / files.table).open("w", newline="") as file:
        csv.writer(file).writerows([["patientId", "x", "y", "width", "height", "Target"], *lines])
    _declare(data, stand_in(RSNA, ["the heart", "a bright metallic pacemaker"]))


def _file(grey: Shaped[np.ndarray, "height width"], values: np.ndarray, **tags: Any) -> Any:
    """A DICOM file of these values; unsigned, of two bytes a value where they need them."""
    pydicom = extra("pydicom")
    file = pydicom.Dataset()
    file.file_meta = pydicom.dataset.FileMetaDataset()
    file.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    file.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    file.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    file.SOPClassUID, file.SOPInstanceUID, file.Modality = (
        "1.2.840.10008.5.1.4.1.1.7",
        "1.2.3",
        "CR",
    )
    file.Rows, file.Columns = grey.shape
    file.SamplesPerPixel, file.PixelRepresentation = 1, 0
    bits = 8 * values.dtype.itemsize
    file.BitsAllocated, file.BitsStored, file.HighBit = bits, bits, bits - 1
    file.PhotometricInterpretation = "MONOCHROME2"
    file.PixelData = values.tobytes()
    for name, value in tags.items():
        setattr(file, name, value)
    return file


def _plain(grey: np.ndarray) -> Any:
    return _file(grey, grey)


def _compressed(grey: np.ndarray) -> Any:
    """JPEG, as RSNA's own are."""
    pydicom = extra("pydicom")
    jpeg = io.BytesIO()
    Image.fromarray(grey).save(jpeg, "JPEG", quality=95)
    file = _file(grey, grey, PixelData=pydicom.encaps.encapsulate([jpeg.getvalue()]))
    file.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    file["PixelData"].VR = "OB"
    return file


def _inverted(grey: np.ndarray) -> Any:
    """16 bits, low values light; its least and greatest values are black and white."""
    values = (65_535 - 257 * grey.astype(np.int64)).astype(np.uint16)
    return _file(grey, values, PhotometricInterpretation="MONOCHROME1")


def _windowed(grey: np.ndarray) -> Any:
    """12 of 16 bits, rescaled, with a window over the 256 greys and stray values far outside."""
    values = (1_000 + 4 * grey.astype(np.int64)).astype(np.uint16)
    values[0, 0], values[0, 1] = 0, 4_095
    return _file(
        grey,
        values,
        BitsStored=12,
        HighBit=11,
        RescaleSlope="0.25",
        RescaleIntercept="-250",
        WindowCenter="128",
        WindowWidth="256",
    )


FORMS: Mapping[str, Callable[[np.ndarray], Any]] = {
    "plain": _plain,
    "compressed": _compressed,
    "inverted": _inverted,
    "windowed": _windowed,
}
"""A grey picture → a DICOM file that shows just that."""
