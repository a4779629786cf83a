"""Sets of questions, written here in their published layouts with their traps."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from figclip.config import UsageError
from figclip.evaluation.vqa.material import prepared
from figclip.evaluation.vqa.questions import SLAKE, VQA_RAD, Question, answers_of
from figclip.evaluation.vqa.reading import question_sets, read_questions, sets_to_ask
from figclip.evaluation.vqa.stand_ins import RARE, write_question_stand_ins, write_vqa_rad
from figclip.inputs.pixels import PixelConfig
from figclip.inputs.tokens import train_wordpiece


def jpeg(path: Path, level: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 32), (level, level, level)).save(path)


def rad_line(qid: int, phrase: str, answer: object, kind: str, **other: Any) -> dict[str, Any]:
    """With the keys of the public file."""
    return {
        "qid": str(qid),
        "phrase_type": phrase,
        "qid_linked_id": "03f451ca-de62-4617-9679-e836026a7642",
        "image_case_url": "https://medpix.nlm.nih.gov/case?id=48e1dd0e",
        "image_name": "synpic54610.jpg",
        "image_organ": "HEAD",
        "evaluation": "not evaluated",
        "question": "Are regions of the brain infarcted?",
        "question_rephrase": "NULL",
        "question_relation": "NULL",
        "question_frame": "NULL",
        "question_type": "PRES",
        "answer": answer,
        "answer_type": kind,
    } | other


def write_public(root: Path, lines: list[dict[str, Any]]) -> None:
    jpeg(root / "VQA_RAD Image Folder" / "synpic54610.jpg")
    (root / "VQA_RAD Dataset Public.json").write_text(json.dumps(lines))


def test_of_the_public_file_the_phrase_types_that_begin_with_test_are_the_test_part(tmp_path: Path):
    write_public(
        tmp_path / "vqa_rad",
        [
            rad_line(0, "freeform", "Yes", "CLOSED"),
            rad_line(1, "para", 4, "OPEN", question=" How many? "),
            rad_line(2, "test_freeform", "Yes ", "CLOSED "),
            rad_line(3, "test_para", "Left  lobe.", "OPEN"),
        ],
    )
    (found,) = question_sets(str(tmp_path))
    assert found == VQA_RAD
    read = read_questions(found, str(tmp_path))
    picture = "VQA_RAD Image Folder/synpic54610.jpg"
    asked = "Are regions of the brain infarcted?"
    assert read.train == (
        Question(asked, "yes", True, picture),
        Question("How many?", "4", False, picture),
    )
    assert read.validation == ()
    assert read.test == (
        Question(asked, "yes", True, picture),
        Question(asked, "left lobe", False, picture),
    )


def test_the_derived_form_has_a_file_a_part_and_each_policy_its_own_classes(tmp_path: Path):
    root = tmp_path / "vqa_rad"
    jpeg(root / "images" / "synpic54610.jpg")
    for name, answer in (("train", "Yes"), ("val", "No"), ("test", "Maybe")):
        # the derived files keep the phrase types of the public one, which must not be asked
        line = rad_line(0, "freeform", answer, "CLOSED", image_organ="CHEST")
        (root / f"{name}set.json").write_text(json.dumps([line]))
    read = read_questions(VQA_RAD, str(tmp_path))
    assert [one.answer for one in (*read.train, *read.validation, *read.test)] == [
        "yes",
        "no",
        "maybe",
    ]
    assert read.test[0].picture == "images/synpic54610.jpg"
    assert answers_of(read.learned_from("train")) == ("yes",)
    assert answers_of(read.learned_from("train_validation")) == ("no", "yes")
    (root / "valset.json").unlink()
    assert read_questions(VQA_RAD, str(tmp_path)).validation == ()


def slake_line(qid: int, answer: str, kind: str = "OPEN", lang: str = "en") -> dict[str, Any]:
    return {
        "img_id": 1,
        "img_name": "xmlab1/source.jpg",
        "question": "What modality is used to take this image?",
        "answer": answer,
        "q_lang": lang,
        "location": "Abdomen",
        "modality": "MRI",
        "answer_type": kind,
        "base_type": "vqa",
        "content_type": "Modality",
        "triple": ["vhead", "_", "_"],
        "qid": qid,
    }


def write_slake_files(root: Path) -> None:
    jpeg(root / "Slake1.0" / "imgs" / "xmlab1" / "source.jpg")
    for name, qid in (("train", 0), ("validate", 10), ("test", 20)):
        lines = [slake_line(qid, "MRI"), slake_line(qid + 1, "核磁共振", lang="zh")]
        lines += [slake_line(qid + 2, "No", "CLOSED")]
        text = json.dumps(lines, ensure_ascii=False)
        (root / "Slake1.0" / f"{name}.json").write_text(text, encoding="utf-8")


def test_of_slake_the_english_questions_are_kept(tmp_path: Path):
    write_slake_files(tmp_path / "slake")
    (found,) = question_sets(str(tmp_path))
    assert found == SLAKE
    read = read_questions(found, str(tmp_path))
    for part in (read.train, read.validation, read.test):
        assert [(one.answer, one.is_closed) for one in part] == [("mri", False), ("no", True)]
        assert part[0].picture == "Slake1.0/imgs/xmlab1/source.jpg"


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        ("vqa_rad/VQA_RAD Dataset Public.json", r"VQA-RAD: .* has no VQA_RAD Dataset Public.json"),
        ("vqa_rad/VQA_RAD Image Folder", r"VQA-RAD: .* has no folder VQA_RAD Image Folder"),
        ("slake/Slake1.0/validate.json", r"SLAKE \(English\): .* has no Slake1.0/validate.json"),
        ("slake/Slake1.0/imgs", r"SLAKE \(English\): .* has no folder Slake1.0/imgs"),
    ],
)
def test_what_is_missing_is_named_with_where_to_get_it_and_how_it_should_lie(
    lost: str, named: str, tmp_path: Path
):
    lines = [rad_line(n, phrase, "Yes", "OPEN") for n, phrase in enumerate(("para", "test_para"))]
    write_public(tmp_path / "vqa_rad", lines)
    write_slake_files(tmp_path / "slake")
    assert sets_to_ask(str(tmp_path), ()) == (VQA_RAD, SLAKE)
    (tmp_path / lost).rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=rf"{named}.*https://.*CC.*Expected there: .*json"):
        sets_to_ask(str(tmp_path), ())


def test_a_folder_without_questions_and_a_set_that_is_not_there_are_told(tmp_path: Path):
    with pytest.raises(UsageError, match=r"no set of questions.*osf\.io.*med-vqa\.com"):
        sets_to_ask(str(tmp_path), ())
    with pytest.raises(UsageError, match=r"has no folder slake.*CC BY 4\.0"):
        question_sets(str(tmp_path), ["slake"])
    with pytest.raises(UsageError, match="no set of questions 'mine'"):
        question_sets(str(tmp_path), ["mine"])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[{", "is no JSON, or not all of it"),
        ('{"a": 1}', "holds no list of questions"),
        (json.dumps([rad_line(0, "para", "x", "OTHER")]), "'OTHER' of question 0 is neither"),
        ('[{"phrase_type": "para", "qid": 7}]', "question 7 has no 'question'"),
        (json.dumps([rad_line(0, "para", "x", "OPEN")]), "no question to be judged by"),
        (json.dumps([rad_line(0, "test_para", "x", "OPEN")]), "no question to learn from"),
    ],
)
def test_a_file_that_is_broken_is_told_with_the_question_it_breaks_at(
    text: str, named: str, tmp_path: Path
):
    write_public(tmp_path / "vqa_rad", [])
    (tmp_path / "vqa_rad" / "VQA_RAD Dataset Public.json").write_text(text)
    with pytest.raises(UsageError, match=named):
        read_questions(VQA_RAD, str(tmp_path))


def test_questions_whose_pictures_are_missing_or_broken_are_counted_and_left_out(tmp_path: Path):
    lines = [
        rad_line(0, "freeform", "Yes", "CLOSED"),
        rad_line(1, "freeform", "gone", "OPEN", image_name="synpic1.jpg"),
        rad_line(2, "test_freeform", "No", "CLOSED"),
        rad_line(3, "test_para", "broken", "OPEN", image_name="synpic2.jpg"),
    ]
    write_public(tmp_path / "vqa_rad", lines)
    folder = tmp_path / "vqa_rad" / "VQA_RAD Image Folder"
    (folder / "synpic2.jpg").write_bytes((folder / "synpic54610.jpg").read_bytes()[:100])
    read = read_questions(VQA_RAD, str(tmp_path))
    tokenizer = train_wordpiece([one.text for one in read.train], vocab_size=100)
    how = {"context_length": 6, "vocabulary": "train"}
    found = prepared(read, tokenizer, PixelConfig(size=16), **how)
    assert found.num_unreadable == 2
    assert found.unreadable[f"{folder.name}/synpic1.jpg"] == "No such file or directory"
    assert {*found.unreadable} == {f"{folder.name}/synpic{n}.jpg" for n in (1, 2)}
    assert found.answers == ("yes",)
    assert [one.answer for one in found.test] == ["no"]
    assert found.material.test.answer.tolist() == [-1], "not an answer of the training part"
    assert found.material.pictures.shape == (1, 3, 16, 16)
    assert found.num_cut == 2

    jpeg(folder / "synpic54610.jpg", level=91)
    changed = prepared(read, tokenizer, PixelConfig(size=16), **how)
    assert changed.checksum != found.checksum
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(UsageError, match=r"no picture of a part can be read.*osf\.io"):
        prepared(read, tokenizer, PixelConfig(size=16), **how)


def test_the_stand_ins_have_the_layouts_and_traps_of_the_published_sets(tmp_path: Path):
    write_question_stand_ins(tmp_path, num_pictures=20)
    rad, slake = sets_to_ask(str(tmp_path), ())
    assert [rad.title, slake.title] == ["VQA-RAD (drawn)", "SLAKE (English) (drawn)"]
    public = json.loads((tmp_path / "vqa_rad" / "VQA_RAD Dataset Public.json").read_text())
    assert {*public[0]} == {*rad_line(0, "para", "x", "OPEN")}
    assert {line["answer_type"] for line in public} == {"OPEN", "CLOSED", "CLOSED "}
    assert any(isinstance(line["answer"], int) for line in public)
    asked = read_questions(rad, str(tmp_path))
    assert RARE in {one.answer for one in asked.test} - {one.answer for one in asked.train}
    known = {one.answer for one in asked.train}
    assert sum(one.answer in known for one in asked.test) >= len(asked.test) - 1
    assert {one.picture for one in asked.test} & {one.picture for one in asked.train}
    for name in ("train", "validate", "test"):
        lines = json.loads((tmp_path / "slake" / "Slake1.0" / f"{name}.json").read_text())
        assert {*lines[0]} == {*slake_line(0, "x")}
        assert {line["q_lang"] for line in lines} == {"en", "zh"}
    parts = read_questions(slake, str(tmp_path))
    pictures = [
        {one.picture for one in part} for part in (parts.train, parts.validation, parts.test)
    ]
    assert not pictures[0] & pictures[1] | pictures[0] & pictures[2] | pictures[1] & pictures[2]

    write_vqa_rad(tmp_path / "derived", num_pictures=8, derived=True)
    (derived,) = sets_to_ask(str(tmp_path / "derived"), ())
    assert all(
        len(part) >= 8
        for part in vars(read_questions(derived, str(tmp_path / "derived"))).values()
        if isinstance(part, tuple)
    )
