import pytest
from hypothesis import given
from hypothesis import strategies as st

from figclip.corpus.media import resolve_media


@pytest.mark.parametrize(
    ("href", "names", "found"),
    [
        ("a.jpg", ["a.jpg", "a.tif"], "a.jpg"),
        ("a.tif", ["a.jpg", "a.tif"], "a.tif"),
        ("figures/a.jpg", ["a.jpg"], "a.jpg"),
        ("A.JPG", ["a.jpg"], "a.jpg"),
        ("a", ["a.gif", "a.jpg"], "a.jpg"),
        ("a", ["a.gif", "a.tif", "a.png"], "a.png"),
        ("a.tif", ["a.jpg", "a.gif"], "a.jpg"),
        ("a.eps", ["a.eps.jpg"], "a.eps.jpg"),
        ("pone.1.g001", ["pone.1.g001.tif", "pone.1.g002.jpg"], "pone.1.g001.tif"),
        ("info:doi/10.1371/journal.pone.1.g001", ["pone.1.g001.png"], "pone.1.g001.png"),
        ("a%20b.jpg", ["a b.jpg"], "a b.jpg"),
        ("a", ["A.JPG"], "A.JPG"),
        ("a", ["a.pdf", "a.mp4"], None),
        ("a", ["ab.jpg"], None),
        ("a.jpg", ["A.jpg", "a.JPG"], None),
        ("a", ["A.jpg", "a.jpg"], None),
        ("", ["a.jpg"], None),
        ("folder/", ["a.jpg"], None),
        ("a.jpg", [], None),
    ],
)
def test_an_href_finds_its_media_file(href, names, found):
    assert resolve_media(href, names) == found


NAMES = st.text("aB.%2/\\", max_size=5).map(lambda stem: f"{stem}.jpg") | st.text(max_size=3)


@given(NAMES, st.lists(NAMES, unique=True, max_size=4))
def test_what_is_found_is_one_of_the_names(href, names):
    assert resolve_media(href, names) in [None, *names]
