"""Queries of several parts, filters, folding, pages and words, on a small real index."""

import asyncio
import csv
import io
import json
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from serving_fakes import FakeEncoder, image_bytes, row_of, unit
from small_index import always, small_index

from figclip.serving.protocol import ApiError
from figclip.serving.routes.api import json_app
from figclip.serving.routes.limits import Limits
from figclip.serving.search import answering
from figclip.serving.search.queries import Filters, Query, Results, Weights
from figclip.serving.search.routes import search_router
from figclip.serving.search.search import Always, FigureSearch

LIMITS = Limits(results=50)
KINDS = ("X-ray", "PET")
CAPTIONS = ("Chest radiographs of lungs.", "A brain, and the brain's vessels.", "Nothing here.")
NUM_TWICE = 20
ROWS = [
    row_of(
        n,
        image_type=KINDS[n % 2],
        license=("CC BY", "CC0", "")[n % 3],
        year=2010 + n % 5,
        caption=CAPTIONS[n % 3],
        picture=n // 2 if n < NUM_TWICE else n,
    )
    for n in range(60)
]
"""The first twenty are ten pictures, each twice."""
PICTURES = {row["pair_id"]: row["picture"] for row in ROWS}


@pytest.fixture(scope="module")
def figures() -> Always:
    return always(ROWS, has_words=True)


@pytest.fixture(scope="module")
def search(figures: Always) -> FigureSearch:
    return search_in(figures)


@pytest.fixture(scope="module")
def client(search: FigureSearch) -> TestClient:
    return TestClient(json_app(search_router(search, num_results=5), title="test"))


def search_in(figures: Any, **options: Any) -> FigureSearch:
    encoder = FakeEncoder()
    return FigureSearch(figures, encoder.embed_texts, encoder.embed_images, LIMITS, **options)


def find(search: FigureSearch, **query: Any) -> Results:
    return asyncio.run(search.find(Query(**query)))


def ids(results: Results) -> list[str]:
    return [found.pair_id for found in results.figures]


def by_cosine(query: np.ndarray, rows: list[dict] = ROWS) -> list[str]:
    """The definition: the best figure of each picture, the best first."""
    scored = sorted((-float(unit(row["pair_id"].encode()) @ query), row["pair_id"]) for row in rows)
    best: dict[int, str] = {}
    for _, pair_id in scored:
        best.setdefault(PICTURES[pair_id], pair_id)
    return list(best.values())


def test_pages_are_the_whole_ranking_cut_and_every_picture_is_in_one(search: FigureSearch):
    expected = by_cosine(unit(b"lung"))
    seen, page = [], 1
    while page:
        results = find(search, text="lung", page=page, size=7)
        assert results.total == len(expected) == 50
        seen += ids(results)
        page = results.next_page or 0
    assert seen == expected


def test_what_repeats_a_picture_is_named_under_it_and_nowhere_else(search: FigureSearch):
    results = find(search, text="lung", size=50)
    everything = [name for one in results.figures for name in (one.pair_id, *one.folded)]
    assert sorted(everything) == sorted(PICTURES)
    for one in results.figures:
        assert {PICTURES[name] for name in one.folded} <= {PICTURES[one.pair_id]}


def test_pages_do_not_overlap_where_a_deeper_search_finds_nearer_figures(
    figures: Always, monkeypatch: pytest.MonkeyPatch
):
    """An approximate search misses some figures, and others when it is asked for more."""
    monkeypatch.setattr(answering, "DEPTHS", (10, 25, 60))
    index = small_index(ROWS)
    nearest = index.nearest

    def approximate(vector: np.ndarray, *, k: int, **options: Any) -> Any:
        found = nearest(vector, k=60, **options)
        kept = found.places % 3 != {10: 0, 25: 1}.get(k, 3)
        return type(found)(found.places[kept], found.scores[kept]).first(k)

    monkeypatch.setattr(index, "nearest", approximate)
    search = search_in(Always(index))
    pages = [ids(find(search, text="lung", page=page, size=4)) for page in range(1, 14)]
    shown = [pair_id for page in pages for pair_id in page]
    assert len(shown) == len(set(shown)) == 50
    assert pages == [ids(find(search, text="lung", page=page, size=4)) for page in range(1, 14)]
    assert shown[:40] == ids(find(search, text="lung", size=40))


def test_parts_together_rank_by_the_weighted_sum_of_their_cosines(search: FigureSearch):
    picture, figure = image_bytes(), ROWS[30]["pair_id"]
    encoder = FakeEncoder()
    [seen] = asyncio.run(encoder.embed_images([picture]))
    given = unit(b"private")
    parts = {
        "text": unit(b"lung"),
        "image": seen.values,  # type: ignore[union-attr]
        "figure": unit(figure.encode()),
        "vector": given,
    }
    weights = Weights(text=1, image=0.5, figure=2, vector=0.25)
    total = np.sum([getattr(weights, name) * part for name, part in parts.items()], axis=0)
    results = find(
        search,
        text="lung",
        image=picture,
        figure=figure,
        vector=7 * given,
        weights=weights,
        size=20,
    )
    rest = [row for row in ROWS if row["pair_id"] != figure]
    assert ids(results) == by_cosine(total, rest)[:20]
    assert results.total == 49
    best = unit(results.figures[0].pair_id.encode())
    assert results.figures[0].score == pytest.approx(best @ total / np.linalg.norm(total), abs=1e-4)


@pytest.mark.parametrize("name", ["text", "figure", "image", "vector"])
def test_a_part_of_weight_zero_counts_nothing(search: FigureSearch, name: str):
    parts: dict[str, Any] = {
        "text": "lung",
        "figure": ROWS[30]["pair_id"],
        "image": image_bytes(),
        "vector": unit(b"x"),
    }
    zero = {other: 0.0 for other in parts if other != name}
    alone = find(search, **{name: parts[name]}, size=20)
    together = find(search, **parts, weights=Weights(**zero), size=20)
    others = [pair_id for pair_id in ids(alone) if pair_id != parts["figure"]]
    assert ids(together)[:19] == others[:19]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({}, None),
        ({"text": "a", "page": 0}, "page"),
        ({"text": "a", "page": 10**9}, "page"),
        ({"text": "a", "size": 51}, "k"),
        ({"text": "a", "weights": Weights(text=0)}, "weights"),
        ({"text": "a", "weights": Weights(text=-1)}, "weights.text"),
        ({"text": "a", "weights": Weights(text=float("nan"))}, "weights.text"),
        ({"vector": np.zeros(16, np.float32)}, "vector"),
        ({"vector": np.ones(15, np.float32)}, "vector"),
        ({"vector": np.full(16, np.inf, np.float32)}, "vector"),
        ({"text": "a", "filters": Filters(image_types=("no type",))}, "image_type"),
    ],
)
def test_a_query_that_cannot_be_answered_says_what_is_wrong(
    search: FigureSearch, query: dict, param: str | None
):
    with pytest.raises(ApiError) as refused:
        find(search, **query)
    assert (refused.value.status, refused.value.param) == (400, param)


def test_opposite_parts_cancel_and_are_refused(search: FigureSearch):
    with pytest.raises(ApiError, match="cancel"):
        find(search, text="a", vector=-unit(b"a"))


def test_filters_hold_for_results_totals_and_facets(search: FigureSearch):
    filters = Filters(licenses=("CC BY", ""), last_year=2012)
    results = find(search, text="lung", filters=filters, size=50)
    rows = [row for row in ROWS if row["license"] != "CC0" and row["year"] <= 2012]
    assert ids(results) == by_cosine(unit(b"lung"), rows)
    assert results.total == len(results.figures)
    years = {
        value.value: value.count
        for facet in results.facets
        if facet.name == "year"
        for value in facet.values
    }
    assert years == {str(2010 + n): 8 for n in range(5)}
    assert find(search, text="lung", facets=False).facets == ()


def test_words_of_the_caption_are_marked(search: FigureSearch):
    results = find(search, text="lung radiograph of the brains", size=50)
    for one in results.figures:
        marked = [one.caption[start:end] for start, end in one.marks]
        expected = {
            CAPTIONS[0]: ["radiographs", "lungs"],
            CAPTIONS[1]: ["brain", "brain"],
            CAPTIONS[2]: [],
        }
        assert marked == expected[one.caption]


def test_hybrid_brings_figures_whose_caption_has_the_words_to_the_front(search: FigureSearch):
    plain = find(search, text="brain vessels", size=20)
    hybrid = find(search, text="brain vessels", hybrid=True, size=20)

    def share(results: Results) -> float:
        return np.mean([one.caption == CAPTIONS[1] for one in results.figures[:10]])

    assert share(hybrid) == 1 > share(plain)
    assert all(one.words_score is None for one in plain.figures)
    assert all((one.words_score or 0) > 0 for one in hybrid.figures[:10])
    for one in hybrid.figures:
        cosine = unit(one.pair_id.encode()) @ unit(b"brain vessels")
        assert one.score == pytest.approx(cosine, abs=1e-4)


def test_a_figure_that_only_words_find_has_its_cosine(
    figures: Always, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(answering, "DEPTHS", (5,))
    results = find(search_in(figures), text="brain vessels", hybrid=True, size=50)
    assert len(results.figures) > 5
    for one in results.figures:
        cosine = unit(one.pair_id.encode()) @ unit(b"brain vessels")
        assert one.score == pytest.approx(cosine, abs=1e-4)


def test_the_routes_take_filters_pages_and_vectors(client: TestClient):
    by_url = {"q": "lung", "license": ["CC BY", "CC0"], "last_year": 2013, "page": 2, "k": 4}
    body = {"text": "lung", "licenses": ["CC BY", "CC0"], "last_year": 2013, "page": 2, "k": 4}
    found = client.get("/api/search", params=by_url).json()
    assert found == client.post("/api/search", json=body).json()
    assert found["page"] == 2
    assert found["index"] == "small"
    assert {one["license"] for one in found["results"]} <= {"CC BY", "CC0"}
    assert {facet["name"] for facet in found["facets"]} >= {"license", "year", "part"}
    by_text = client.post("/api/search", json={"text": "lung"}).json()["results"]
    numbers = client.post("/api/search", json={"vector": unit(b"lung").tolist()}).json()["results"]
    assert [one["pair_id"] for one in numbers] == [one["pair_id"] for one in by_text]
    bad = client.post("/api/search", json={"vector": "no base64!"})
    assert (bad.status_code, bad.json()["error"]["code"]) == (400, "invalid_vector")


def test_results_are_exported_whole_and_no_cell_is_a_formula():
    evil = row_of(1, title="=HYPERLINK(1)", caption='Quotes " and\nlines, commas', picture=1)
    rows = [evil, row_of(2, picture=2), row_of(3, picture=2)]
    search = search_in(always(rows))
    client = TestClient(json_app(search_router(search, num_results=1), title="test"))
    answer = client.get("/api/export", params={"q": "lung", "format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    table = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert len(table) == 2
    [first] = [row for row in table if row["pair_id"] == evil["pair_id"]]
    assert first["title"] == "'=HYPERLINK(1)"
    assert first["caption"] == evil["caption"]
    assert sorted(len(row["folded"].split("PMC")) - 1 for row in table) == [0, 1]
    told = json.loads(client.post("/api/export", json={"text": "lung"}).content)
    assert [one["pair_id"] for one in told["results"]] == [row["pair_id"] for row in table]
    assert told["total"] == 2


def test_an_index_that_hangs_is_answered_503_before_long_and_others_go_on(figures: Always):
    search = search_in(figures, deadline_s=0.2)
    index, _ = figures.index, figures.version
    place = index.place

    def slow(pair_id: str) -> int | None:
        time.sleep(1.0 if pair_id == "slow" else 0)
        return place(pair_id)

    index.place = slow  # type: ignore[method-assign]
    try:

        async def both() -> tuple[float, Results]:
            start = time.monotonic()
            hanging = asyncio.create_task(search.find(Query(figure="slow")))
            fine = await search.find(Query(text="lung"))
            with pytest.raises(ApiError, match="in time") as refused:
                await hanging
            assert (refused.value.status, refused.value.retry_after_s) == (503, 5)
            return time.monotonic() - start, fine

        took, fine = asyncio.run(both())
    finally:
        index.place = place  # type: ignore[method-assign]
    assert took < 0.9
    assert fine.figures


def test_an_index_that_cannot_be_read_is_a_503_without_its_innards(figures: Always):
    index = small_index(ROWS[:5])
    broken = replace(figures, index=index)
    index.close()
    with pytest.raises(ApiError) as refused:
        find(search_in(broken), text="lung")
    assert (refused.value.status, refused.value.code) == (503, "index_unreadable")
    assert "/" not in refused.value.message
