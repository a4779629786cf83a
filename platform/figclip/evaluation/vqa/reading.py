"""Sets of questions in exactly their published layouts."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from figclip.config import UsageError
from figclip.evaluation.datasets.opening import Pictures, files_below, folder_digest
from figclip.evaluation.marks import Marks, marks_of
from figclip.evaluation.vqa.questions import (
    PARTS,
    PUBLIC,
    PUBLIC_IMAGES,
    PUBLISHED,
    SLAKE_PARTS,
    Question,
    Questions,
    VqaSet,
    plain_answer,
)

FILE = "questions.json"
"""Declares a set that is not a published one, such as a drawn stand-in."""
IS_CLOSED = {"OPEN": False, "CLOSED": True}

Lines = Sequence[Mapping[str, Any]]


def question_sets(data: str, names: Sequence[str] = ()) -> tuple[VqaSet, ...]:
    """The sets of questions below a folder: all that are there, or those of these names.

    `UsageError` where one that is named is not there.
    """
    root = Path(data)
    order = {one.place: number for number, one in enumerate(PUBLISHED)}
    declared = [_declared(path) for path in sorted(root.glob(f"*/{FILE}"))]
    declared.sort(key=lambda one: order.get(one.place, len(order)))
    taken = {one.place for one in declared}
    published = [one for one in PUBLISHED if one.place not in taken]
    known = {one.name: one for one in (*published, *declared)}
    there = {name: one for name, one in known.items() if (root / one.place).is_dir()}
    for name in names:
        if name in known and name not in there:
            raise UsageError(known[name].missing(f"folder {known[name].place}", root))
        if name not in known:
            raise UsageError(
                f"no set of questions {name!r}: {root} has {', '.join(there) or 'none'}"
            )
    return tuple(there[name] for name in names) if names else tuple(there.values())


def sets_to_ask(data: str, names: Sequence[str]) -> tuple[VqaSet, ...]:
    """As `question_sets`; `UsageError` where there is none, or one of them is not whole."""
    found = question_sets(data, names)
    if not found:
        lacking = "; ".join(one.missing(f"folder {one.place}", data) for one in PUBLISHED)
        raise UsageError(f"no set of questions: {lacking}")
    for one in found:
        read_questions(one, data)
    return found


def read_questions(declared: VqaSet, data: str) -> Questions:
    """A set below the folder of all sets.

    `UsageError` where files are missing (with where they are to be had, and how they should lie),
    or a line lacks what makes it a question. Pictures are not looked at yet.
    """
    root = Path(data, declared.place)
    if not root.is_dir():
        raise UsageError(declared.missing(f"folder {declared.place}", data))
    match declared.layout:
        case "vqa_rad":
            parts = _vqa_rad(declared, root)
        case "slake":
            parts = _slake(declared, root)
    for what, part in zip(("learn from", "be judged by"), (parts[0], parts[2]), strict=True):
        if not part:
            raise UsageError(f"{declared.title}: {root} has no question to {what}; fetch it again")
    return Questions(declared, root, *parts)


def asked_pictures(declared: VqaSet, data: str) -> Pictures:
    """Those of the test part, each once, in their order."""
    found = read_questions(declared, data)
    return files_below(found.root, tuple(dict.fromkeys(one.picture for one in found.test)))


def marks_asked(sets: Sequence[VqaSet], data: str) -> dict[str, Marks]:
    """By what the pictures that are asked about are known again, by the titles of their sets."""
    return {one.title: marks_of(asked_pictures(one, data)) for one in sets}


def questions_digest(declared: VqaSet, data: str) -> str:
    """Another one is another state of the set's files."""
    return folder_digest(Path(data, declared.place))


Three = tuple[tuple[Question, ...], tuple[Question, ...], tuple[Question, ...]]


def _vqa_rad(declared: VqaSet, root: Path) -> Three:
    """Of the public file the lines of the phrase types `test_freeform` and `test_para` are judged
    by; the parts of the derived form have a file each."""
    if not (root / PARTS[0]).is_file():
        lines = _lines(declared, root, PUBLIC)
        is_test = [_text(declared, one, "phrase_type").startswith("test_") for one in lines]
        train, test = (
            [one for one, told in zip(lines, is_test, strict=True) if told is wanted]
            for wanted in (False, True)
        )
        folder = _folder(declared, root, PUBLIC_IMAGES)
        return _questions(declared, train, folder), (), _questions(declared, test, folder)
    folder = _folder(declared, root, "images")
    parts = [
        _lines(declared, root, name) if name != PARTS[1] or (root / name).is_file() else []
        for name in PARTS
    ]
    train_part, validation, test_part = (_questions(declared, part, folder) for part in parts)
    return train_part, validation, test_part


def _slake(declared: VqaSet, root: Path) -> Three:
    """Of both languages the lines of `q_lang` en."""
    folder = _folder(declared, root, "Slake1.0/imgs")
    train, validation, test = (
        _questions(
            declared,
            [
                one
                for one in _lines(declared, root, name)
                if _text(declared, one, "q_lang").lower() == "en"
            ],
            folder,
            picture="img_name",
        )
        for name in SLAKE_PARTS
    )
    return train, validation, test


def _questions(
    declared: VqaSet, lines: Lines, folder: str, *, picture: str = "image_name"
) -> tuple[Question, ...]:
    return tuple(
        Question(
            text=_text(declared, one, "question"),
            answer=plain_answer(_value(declared, one, "answer")),
            is_closed=_is_closed(declared, one),
            picture=f"{folder}/{_text(declared, one, picture)}",
        )
        for one in lines
    )


def _is_closed(declared: VqaSet, line: Mapping[str, Any]) -> bool:
    """Some of VQA-RAD's are `CLOSED ` with a blank behind."""
    told = _text(declared, line, "answer_type").upper()
    if told not in IS_CLOSED:
        raise UsageError(
            f"{declared.title}: the answer_type {told!r} of question {line.get('qid')} is neither "
            f"OPEN nor CLOSED; mend the line, or fetch the file again"
        )
    return IS_CLOSED[told]


def _text(declared: VqaSet, line: Mapping[str, Any], key: str) -> str:
    return str(_value(declared, line, key)).strip()


def _value(declared: VqaSet, line: Mapping[str, Any], key: str) -> object:
    if key not in line:
        raise UsageError(
            f"{declared.title}: question {line.get('qid')} has no {key!r}, but "
            f"{', '.join(map(str, line))}; fetch the file again"
        )
    return line[key]


def _folder(declared: VqaSet, root: Path, name: str) -> str:
    if not (root / name).is_dir():
        raise UsageError(declared.missing(f"folder {name}", root))
    return name


def _lines(declared: VqaSet, root: Path, name: str) -> Lines:
    if not (root / name).is_file():
        raise UsageError(declared.missing(name, root))
    try:
        found = json.loads((root / name).read_bytes())
    except ValueError as error:
        raise UsageError(
            f"{root / name} is no JSON, or not all of it ({error}); fetch it again"
        ) from error
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise UsageError(f"{root / name} holds no list of questions; fetch it again")
    return found


def _declared(path: Path) -> VqaSet:
    try:
        found = VqaSet.from_json(path.read_bytes())
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return found.model_copy(update={"folder": path.parent.name})
