"""The paper's five sets, in their published layouts, with the paper's words.

Classes and templates: Supplementary Table 10 of BiomedCLIP (arXiv 2303.00915).
"""

from collections.abc import Mapping

from figclip.evaluation.datasets.declaration import Arrays, Class, Dataset, Folders, Table

IMAGE_OF = ("this is an image of {}", "{} presented in image")
PHOTO_OF = ("a photo of {}", "{} presented in image")
LC25000 = "https://github.com/tampapath/lung_colon_image_set"

LUNG_TILS = "TCGA-TILs/images-tcga-tils/luad"
LC25000_LICENSE = "free for research, to be cited"


def said(words: Mapping[str, str]) -> tuple[Class, ...]:
    """Label of a class → as the templates say it."""
    return tuple(Class(label=label, words=one) for label, one in words.items())


def patches(part: str, md5: tuple[str, str]) -> Arrays:
    """The two files of a part of PCam; their checksums are those of torchvision.datasets.PCAM."""
    names = [f"camelyonpatch_level_2_split_{part}_{key}.h5" for key in "xy"]
    return Arrays(pictures=names[0], labels=names[1], md5=dict(zip(names, md5, strict=True)))


PCAM = Dataset(
    name="pcam",
    title="PCam",
    files=patches("test", ("d8c2d60d490dbd479f8199bdfa0cf6ec", "60a7035772fbdb7f34eb86d4420cf66a")),
    train=patches(
        "train", ("1571f514728f59376b705fc836ff4b63", "35c2d7259d906cfc8143347bb8e05be7")
    ),
    classes=said({"0": "normal lymph node", "1": "lymph node metastasis"}),
    templates=IMAGE_OF,
    source="https://github.com/basveeling/pcam or https://zenodo.org/records/2546921",
    license="CC0",
)
"""32,768 patches of 96 px, and 262,144 to learn from; Veeling et al. (2018), arXiv 1806.03962."""

LC25000_LUNG = Dataset(
    name="lc25000_lung",
    title="LC25000 (Lung)",
    folder="lc25000",
    files=Folders(folder="lung_colon_image_set/lung_image_sets"),
    classes=said(
        {
            "lung_aca": "lung adenocarcinomas",
            "lung_n": "normal lung tissue",
            "lung_scc": "lung squamous cell carcinomas",
        }
    ),
    templates=IMAGE_OF,
    source=LC25000,
    license=LC25000_LICENSE,
)
"""3 × 5,000 pictures of 768 px; Borkowski et al. (2019), arXiv 1912.12142."""

LC25000_COLON = Dataset(
    name="lc25000_colon",
    title="LC25000 (Colon)",
    folder="lc25000",
    files=Folders(folder="lung_colon_image_set/colon_image_sets"),
    classes=said({"colon_aca": "colon adenocarcinomas", "colon_n": "normal colonic tissue"}),
    templates=PHOTO_OF,
    source=LC25000,
    license=LC25000_LICENSE,
)
"""2 × 5,000 pictures of 768 px, of the same archive."""

TCGA_TIL = Dataset(
    name="tcga_til",
    title="TCGA-TIL",
    files=Folders(folder=f"{LUNG_TILS}/test"),
    train=Folders(folder=f"{LUNG_TILS}/train"),
    classes=said({"til-negative": "none", "til-positive": "tumor infiltrating lymphocytes"}),
    templates=PHOTO_OF,
    metric="auroc",
    source="https://zenodo.org/records/6604094",
)
"""The test part of lung adenocarcinoma, 2,480 patches, 5.9 % of them positive."""

RSNA_TABLE = Table(
    table="stage_2_train_labels.csv",
    picture="stage_2_train_images/{patientId}.dcm",
    label="Target",
    subset="test",
)
RSNA = Dataset(
    name="rsna",
    title="RSNA",
    files=RSNA_TABLE,
    train=RSNA_TABLE.model_copy(update={"subset": "train"}),
    classes=said({"0": "normal lung", "1": "pneumonia"}),
    templates=PHOTO_OF,
    source="https://www.kaggle.com/c/rsna-pneumonia-detection-challenge",
    license="the challenge's rules: for research and education",
)
"""26,684 chest radiographs, a patient each; those of the test part, 15 %. Target 0 is every
radiograph without an opacity, the abnormal ones among them."""

BIOMEDCLIP_224 = {
    "pcam": 73.41,
    "lc25000_lung": 65.23,
    "lc25000_colon": 92.98,
    "tcga_til": 67.04,
    "rsna": 78.95,
    "mean": 75.52,
}
"""What the paper's encoder reached, in per cent: Supplementary Table 5, 224 px."""

PAPER = (PCAM, LC25000_LUNG, LC25000_COLON, TCGA_TIL, RSNA)
"""In the order of the paper's tables."""
