"""The client's searches against the real search, really served."""

from collections.abc import Iterator

import pytest
from serving_fakes import FakeEncoder, image_bytes, row_of, unit
from small_index import always

from figclip.client import Client, ServiceError
from figclip.serving.page.page import search_app
from figclip.serving.routes.limits import Limits
from figclip.serving.search.search import FigureSearch
from jobs.served_here import served_here

ROWS = [row_of(n, year=2000 + n, license="CC BY" if n % 2 else "CC0") for n in range(30)]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    encoder = FakeEncoder()
    search = FigureSearch(always(ROWS), encoder.embed_texts, encoder.embed_images, Limits())
    with served_here(search_app(search, about="", num_results=5)) as url, Client(url) as client:
        yield client


def best(vector: object, admitted: list[dict[str, object]]) -> list[object]:
    ids = [row["pair_id"] for row in admitted]
    return sorted(ids, key=lambda pair_id: -float(unit(str(pair_id).encode()) @ vector))


def test_words_find_the_nearest_figures_page_by_page(client: Client):
    expected = best(unit(b"lung"), ROWS)
    first = client.search("lung", size=20)
    second = client.search("lung", size=20, page=first.next_page or 0)
    found = [figure["pair_id"] for figure in (*first.figures, *second.figures)]
    assert found == expected
    assert (first.total, second.next_page) == (30, None)


def test_filters_are_those_of_the_service(client: Client):
    found = client.search("lung", filters={"licenses": ["CC0"], "first_year": 2010}, size=30)
    admitted = [row for row in ROWS if row["license"] == "CC0" and row["year"] >= 2010]
    assert [figure["pair_id"] for figure in found.figures] == best(unit(b"lung"), admitted)


def test_a_vector_a_figure_and_a_picture_are_asked_alike(client: Client):
    one = ROWS[4]["pair_id"]
    others = [row for row in ROWS if row["pair_id"] != one]
    near = best(unit(one.encode()), others)
    by_figure = [figure["pair_id"] for figure in client.search(figure=one, size=29).figures]
    assert by_figure == near
    by_vector = client.search(vector=unit(one.encode()), size=30)
    assert [figure["pair_id"] for figure in by_vector.figures] == [one, *near]
    assert client.search(image=image_bytes()).figures


def test_weights_turn_the_search(client: Client):
    one = ROWS[4]["pair_id"]
    towards = client.search("lung", vector=unit(one.encode()), weights={"text": 0.0})
    assert towards.figures[0]["pair_id"] == one
    words = client.search("lung", vector=unit(one.encode()), weights={"vector": 0.0})
    assert words.figures[0]["pair_id"] == best(unit(b"lung"), ROWS)[0]


@pytest.mark.parametrize("words", [{}, {"figure": "none"}, {"vector": [1.0]}, {"size": 10_000}])
def test_a_query_that_cannot_be_is_one_exception_with_a_remedy(client: Client, words: dict):
    with pytest.raises(ServiceError) as caught:
        client.search("" if len(words) == 0 or "size" not in words else "a", **words)
    assert caught.value.status in (400, 404)
    assert caught.value.remedy
