"""Stand-ins for VQA-RAD and SLAKE: drawn radiographs in exactly their layouts, with their traps.

Every question can be answered by looking. `CLOSED ` with a blank behind, a number for an answer, an
answer that no training question has, a picture that is missing and one that is broken, questions
in Chinese. A `questions.json` whose title says "drawn" keeps their numbers from passing for the
published sets'.
"""

import json
from pathlib import Path
from typing import Any

from PIL import Image

from figclip.evaluation.datasets.drawn import drawing
from figclip.evaluation.vqa.questions import (
    PARTS,
    PUBLIC,
    PUBLIC_IMAGES,
    SLAKE,
    SLAKE_PARTS,
    VQA_RAD,
    VqaSet,
)
from figclip.evaluation.vqa.reading import FILE
from figclip.sources.synthetic.scenes import Attributes
from figclip.sources.synthetic.xrays import XRAY

SIDE = 160
BODY_PARTS = ("chest", "hand", "femur", "pelvis")
RARE = "a drawing of an x-ray"
"""An answer to a test question that none to learn from has."""

Asked = tuple[str, object, str, str]
"""Question, answer, answer type, and what it is about."""


def write_question_stand_ins(data: Path, *, num_pictures: int, seed: int = 0) -> None:
    """Both sets in little, below the folder of all sets."""
    write_vqa_rad(data, num_pictures=num_pictures, seed=seed)
    write_slake(data, num_pictures=num_pictures, seed=seed)


def write_vqa_rad(data: Path, *, num_pictures: int, seed: int = 0, derived: bool = False) -> None:
    """Training and test questions are about the same pictures, as in the original.

    `derived` writes its other form, with a validation part.
    """
    root = data / VQA_RAD.place
    images = root / ("images" if derived else PUBLIC_IMAGES)
    images.mkdir(parents=True)
    parts: dict[str, list[dict[str, Any]]] = {name: [] for name in PARTS}
    for number in range(num_pictures):
        seen, image = scene(f"vqa_rad {seed} {number}", number)
        name = f"synpic{10_000 + number}.jpg"
        image.save(images / name, "JPEG")
        asked = questions_of(seen)
        held_out = (number + number // len(asked)) % len(asked)  # one question of each picture
        for place, one in enumerate(asked):
            part = PARTS[2] if place == held_out else PARTS[0]
            part = PARTS[1] if derived and place == (held_out + 1) % len(asked) else part
            parts[part].append(_vqa_rad_line(one, name, part, len(parts[part])))
    parts[PARTS[2]][0]["answer"] = RARE
    missing = ("Is this seen at all?", "Yes", "CLOSED", "PRES")
    parts[PARTS[0]].append(_vqa_rad_line(missing, "synpic1.jpg", PARTS[0], 1))
    broken = images / "synpic2.jpg"
    broken.write_bytes(next(images.glob("synpic1*.jpg")).read_bytes()[:200])
    parts[PARTS[2]].append(_vqa_rad_line(missing, broken.name, PARTS[2], 0))
    _declare(root, VQA_RAD)
    if not derived:
        lines = [line for part in parts.values() for line in part]
        (root / PUBLIC).write_text(json.dumps(lines))
        return
    for file, of_part in parts.items():
        (root / file).write_text(json.dumps(of_part))


def write_slake(data: Path, *, num_pictures: int, seed: int = 0) -> None:
    """Every part has pictures of its own, and each question is there in Chinese, too."""
    root = data / SLAKE.place
    lines: dict[str, list[dict[str, Any]]] = {name: [] for name in SLAKE_PARTS}
    for number in range(num_pictures):
        seen, image = scene(f"slake {seed} {number}", number)
        name = f"xmlab{number}/source.jpg"
        path = root / "Slake1.0" / "imgs" / name
        path.parent.mkdir(parents=True)
        image.save(path, "JPEG")
        part = SLAKE_PARTS[{6: 1, 7: 1, 8: 2, 9: 2}.get(number % 10, 0)]
        for one in questions_of(seen):
            lines[part] += _slake_lines(one, name, number, len(lines[part]), seen["part"])
    for file, of_part in lines.items():
        (root / file).write_text(json.dumps(of_part, ensure_ascii=False))
    _declare(root, SLAKE)


def scene(words: str, number: int) -> tuple[Attributes, Image.Image]:
    """What can be asked of a picture, and the picture."""
    seen: Attributes = {
        "part": BODY_PARTS[number % len(BODY_PARTS)],
        "scale": ("usual", "inverted")[number // len(BODY_PARTS) % 2],
        "mark": ("none", "yellow")[number % 3 > 0],
        "hardware": "none",
        "sign": "arrow",
    }
    return seen, drawing(XRAY, seen, words, (SIDE, SIDE))


def questions_of(seen: Attributes) -> tuple[Asked, ...]:
    is_inverted, num_arrows = seen["scale"] == "inverted", int(seen["mark"] != "none")
    return (
        ("What part of the body is shown?", seen["part"].capitalize(), "OPEN", "ORGAN"),
        ("Are the greys inverted?", "Yes" if is_inverted else "No", "CLOSED ", "ATTRIB"),
        ("How many arrows are there?", num_arrows, "OPEN", "COUNT"),
        (
            "Is this the chest or something else?",
            "The chest" if seen["part"] == "chest" else "Something  else.",
            "CLOSED",
            "ORGAN",
        ),
    )


def _vqa_rad_line(one: Asked, image: str, part: str, number: int) -> dict[str, Any]:
    question, answer, answer_type, about = one
    phrase = ("freeform", "para")[number % 2]
    return {
        "qid": str(number),
        "phrase_type": f"test_{phrase}" if part == PARTS[2] else phrase,
        "qid_linked_id": f"{number:08x}",
        "image_case_url": "https://medpix.nlm.nih.gov/case?id=0",
        "image_name": image,
        "image_organ": "CHEST",
        "evaluation": "not evaluated",
        "question": question,
        "question_rephrase": "NULL",
        "question_relation": "NULL",
        "question_frame": "NULL",
        "question_type": about,
        "answer": answer,
        "answer_type": answer_type,
    }


def _slake_lines(one: Asked, image: str, img_id: int, qid: int, part: str) -> list[dict[str, Any]]:
    question, answer, answer_type, about = one
    line = {
        "img_id": img_id,
        "img_name": image,
        "question": question,
        "answer": str(answer),
        "q_lang": "en",
        "location": part.capitalize(),
        "modality": "X-Ray",
        "answer_type": answer_type.strip(),
        "base_type": "vqa",
        "content_type": about.capitalize(),
        "triple": ["vhead", "_", "_"],
        "qid": qid,
    }
    return [
        line,
        line | {"question": "图中是什么？", "answer": "是", "q_lang": "zh", "qid": qid + 1},
    ]


def _declare(root: Path, published: VqaSet) -> None:
    drawn = published.model_copy(
        update={
            "name": f"{published.name}_drawn",
            "title": f"{published.title} (drawn)",
            "folder": published.place,
            "source": "jobs.evaluate vqa, which draws it",
            "license": "CC0",
        }
    )
    (root / FILE).write_text(drawn.to_json())
