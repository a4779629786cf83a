"""Words become labels by the company they keep: size, brackets and lines."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.panels.labels.label_boxes import Candidate, agreement, bare, choose_labels
from figclip.panels.parts import Word


def candidate(
    text: str,
    place: tuple[int, int],
    *,
    height: int = 20,
    confidence: float = 1.0,
    gaps: tuple[float, float] = (1.5, 1.5),
    brackets: int = 0,
) -> Candidate:
    x, y = place
    box = (x, y, x + height, y + height)
    return Candidate(Word(text, box, confidence), box, gaps, brackets, False)


@pytest.mark.parametrize("print_", ["(a)", "a)", "[a]", "a.", "a:", "a", " a ", "a,"])
def test_brackets_and_stops_are_no_part_of_a_label(print_: str) -> None:
    assert bare(print_) == "a"


def test_a_misreading_counts_less_than_the_letter_and_another_letter_nothing() -> None:
    assert agreement("(D)", "D") == 1.0 > agreement("0", "D") > agreement("E", "D") == 0.0
    assert 0 < agreement("8", "B") < 1
    assert agreement("l", "I") == agreement("1", "I")
    assert 0 < agreement("a", "A") < agreement("c", "C") < 1


def test_misreadings_become_the_expected_labels() -> None:
    words = [candidate(text, (300 * n, 0)) for n, text in enumerate("A8C0")]
    assert [label.text for label in choose_labels(words, "ABCD")] == list("ABCD")


def test_of_two_readings_the_one_of_the_others_size_is_the_label() -> None:
    axis = candidate("B", (450, 0), height=11)
    words = [candidate("A", (0, 0)), axis, candidate("B", (300, 0)), candidate("C", (0, 300))]
    assert [label.box[0] for label in choose_labels(words, "ABC")] == [0, 300, 0]


def test_of_two_readings_the_one_in_line_with_others_is_the_label() -> None:
    words = [candidate("A", (0, 0)), candidate("B", (371, 123)), candidate("B", (300, 0))]
    assert choose_labels(words, "AB")[1].box[:2] == (300, 0)


def test_of_two_readings_the_one_behind_text_is_not_the_label() -> None:
    words = [candidate("A", (0, 0)), candidate("B", (300, 0), gaps=(0.4, 1.5))]
    words.append(candidate("B", (0, 300)))
    assert choose_labels(words, "AB")[1].box[:2] == (0, 300)


def test_small_letters_without_ascender_are_of_the_size_of_tall_ones() -> None:
    words = [candidate("a", (0, 0), height=15), candidate("b", (300, 0), height=20)]
    other = candidate("b", (600, 0), height=15)
    assert choose_labels([*words, other], "ab")[1].box[:2] == (300, 0)


def test_one_letter_of_six_expected_is_the_picture_s_own() -> None:
    assert choose_labels([candidate("C", (10, 10))], "ABCDEF") == []


def test_the_first_labels_of_many_are_given_when_the_rest_is_elsewhere() -> None:
    words = [candidate(text, (300 * n, 0)) for n, text in enumerate("ABC")]
    assert [label.text for label in choose_labels(words, "ABCDEFGHIJ")] == list("ABC")


words_read = st.lists(
    st.builds(
        candidate,
        st.text(alphabet="ABCabc0128Il()[].界ع", max_size=4),
        st.tuples(st.integers(0, 900), st.integers(0, 900)),
        height=st.integers(1, 60),
        confidence=st.floats(0, 1),
        gaps=st.tuples(st.floats(0, 1.5), st.floats(0, 1.5)),
        brackets=st.integers(0, 2),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(words_read, st.lists(st.sampled_from("ABCDabcd128I"), unique=True, max_size=6))
def test_labels_are_expected_ones_in_their_order_and_no_word_is_two(
    words: list[Candidate], expected: list[str]
) -> None:
    labels = choose_labels(words, expected)
    texts = [label.text for label in labels]
    assert texts == [each for each in expected if each in texts]
    boxes = [each.word.box for each in words]
    assert all(label.box in boxes and 0 < label.confidence <= 1 for label in labels)
    if len(set(boxes)) == len(boxes):
        assert len({label.box for label in labels}) == len(labels)


def test_sixty_labels_and_as_many_words_are_no_trouble() -> None:
    expected = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz12345678"
    words = [candidate(text, (100 * (n % 8), 100 * (n // 8))) for n, text in enumerate(expected)]
    assert choose_labels(words[:0], expected) == []
    assert len(choose_labels(words, expected)) > 40
