"""Types of images: nearest keywords, judged by plain loops and by vectors whose answer is known."""

import numpy as np
import pytest
from tiny import unit_vectors

from figclip.config import UsageError
from figclip.embedding.image_types import ROUNDING, nearest_keywords
from figclip.embedding.taxonomy import NAMES, TAXONOMY, checked_name, keywords_of


def loops(images: np.ndarray, keywords: np.ndarray) -> list[int]:
    """In fp64, keyword by keyword: a later one must be nearer by more than rounding."""
    found = []
    for image in images.astype(np.float64):
        cosines = [float(np.dot(image, keyword)) for keyword in keywords.astype(np.float64)]
        best = max(cosines)
        found.append(next(place for place, one in enumerate(cosines) if one >= best - ROUNDING))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_the_nearest_keyword_is_that_of_plain_loops(seed: int):
    images, keywords = unit_vectors(200, 12, seed=seed), unit_vectors(30, 12, seed=100 + seed)
    found, cosines = nearest_keywords(images, keywords)
    assert found.tolist() == loops(images, keywords)
    expected = [float(images[n] @ keywords[place]) for n, place in enumerate(found)]
    np.testing.assert_allclose(cosines, expected, atol=1e-6)


def test_images_that_are_keywords_themselves_are_of_these():
    keywords = np.eye(7, dtype=np.float32)
    order = np.array([3, 0, 6, 6, 1])
    found, cosines = nearest_keywords(keywords[order], keywords)
    assert found.tolist() == order.tolist()
    assert cosines.tolist() == [1.0] * 5


def test_of_equally_near_keywords_the_first_of_the_taxonomy_is_taken():
    keywords = np.eye(4, dtype=np.float32)
    between = np.zeros((2, 4), np.float32)
    between[0, [1, 3]] = between[1, [2, 3]] = np.sqrt(0.5)
    assert nearest_keywords(between, keywords)[0].tolist() == [1, 2]
    many = np.repeat(unit_vectors(1, 64, seed=3), 33, axis=0)  # the same keyword in every column
    found, _ = nearest_keywords(unit_vectors(50, 64, seed=4), many)
    assert found.tolist() == [0] * 50


def test_the_taxonomy_is_imageclefs_thirty_classes_without_the_compound_one():
    assert " ".join(one.code for one in TAXONOMY) == (
        "DRUS DRMR DRCT DRXR DRAN DRPE DRCO DVDM DVEN DVOR DSEE DSEC DSEM DMLI DMEL DMTR DMFL D3DR "
        "GTAB GPLI GFIG GSCR GFLO GSYS GGEN GGEL GCHE GMAT GNCP GHDR"
    )
    assert len({*NAMES}) == 30


def test_no_keyword_stands_for_two_types():
    words, places = keywords_of(TAXONOMY)
    assert len({word.lower() for word in words}) == len(words)
    assert places == sorted(places)
    assert {*places} == {*range(30)}


def test_a_type_that_is_none_is_refused_with_those_that_are():
    assert checked_name("X-ray") == "X-ray"
    with pytest.raises(UsageError, match="no image type 'xray'; there are: ultrasound, magnetic"):
        checked_name("xray")
