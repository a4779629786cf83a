"""The picture of questions and answers: which are shown, and that nothing overlaps."""

import io

from PIL import Image

from figclip.evaluation.vqa.asking import VqaResult
from figclip.evaluation.vqa.questions import VQA_RAD, Question
from figclip.evaluation.vqa.showing import Shown, blocks_of, chosen, draw_answers, room, said
from figclip.statistics.themes import DARK, LIGHT

ASKED = [
    # picture, truth, the answers of two encoders
    ("a", "yes", "yes", "yes"),
    ("a", "no", "yes", "yes"),
    ("b", "lung", "heart", "liver"),
    ("c", "left", "left", "right"),
    ("a", "right", "up", "right"),
    ("d", "no", "yes", "yes"),
]


def result(answers: tuple[str, ...]) -> VqaResult:
    return VqaResult(
        declared=VQA_RAD,
        encoder="e",
        questions=tuple(Question("?", truth, False, picture) for picture, truth, *_ in ASKED),
        answers=answers,
        values={},
        intervals={},
        num_leaked=None,
        unleaked={},
        num_repeated=0,
        num_train=1,
        num_classes=1,
        num_unreadable=0,
        unreadable={},
        num_cut=0,
        checksum="",
        tokenizer="words",
        losses=(),
    )


def test_questions_that_tell_encoders_apart_come_first_and_every_picture_once():
    both = [result(tuple(row[place] for row in ASKED)) for place in (2, 3)]
    assert chosen({"mine": both[0], "theirs": both[1]}, num=4) == [3, 4, 2, 5]
    assert chosen({"mine": both[0], "theirs": both[1]}, num=2) == [3, 4]
    assert chosen({"mine": both[0]}, num=9) == [0, 3, 2, 5]


def shown(*, words: int, encoders: int) -> Shown:
    long = " ".join(["metastasis"] * words)
    answers = {f"/models/encoder{number}": f"{long} {number}" for number in range(encoders)}
    return Shown(Image.new("RGB", (60, 40), "grey"), f"{long}?", long, answers)


def test_a_row_is_as_high_as_its_longest_column_of_words():
    for theme in (LIGHT, DARK):
        short, long = (
            Image.open(io.BytesIO(draw_answers([shown(words=n, encoders=e)] * 3, theme)))
            for n, e in ((1, 2), (12, 4))
        )
        assert long.height > short.height
        needed = sum(map(room, blocks_of(shown(words=12, encoders=4), theme)))
        assert long.height >= 2 * 200 * needed
    assert said("costs $5 and $6") == r"costs \$5 and \$6"
    assert said(" ".join(["long"] * 99)).count("\n") == 2
