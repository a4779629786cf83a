import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_plus

import pytest
from fake_search import FakeSearch, figure
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_fakes import image_bytes

from figclip.serving.page.page import EXAMPLES, Page, page_app
from figclip.serving.routes.limits import Limits
from figclip.serving.search.queries import Found

EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\""
LIMITS = Limits(body_bytes=3_000_000, results=40)
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def client_of(figures: list[Found], search: FakeSearch | None = None) -> TestClient:
    page = Page(search or FakeSearch(figures), limits=LIMITS, about="60 figures", size=12)
    app = page_app(page)
    return TestClient(app, raise_server_exceptions=False, headers=BROWSER)


@pytest.fixture(scope="module")
def client() -> TestClient:
    return client_of([figure(n) for n in range(60)])


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        named = [attrs for found, attrs in self.found if found == tag]
        return [attrs for attrs in named if wanted.items() <= attrs.items()]

    def links(self, start: str) -> list[str]:
        return [a["href"] or "" for a in self.all("a") if (a.get("href") or "").startswith(start)]

    def hidden(self) -> dict[str, str]:
        """What the form of the head carries; the form of a new picture comes after it."""
        fields = {}
        for field in self.all("input", type="hidden"):
            fields.setdefault(field["name"] or "", field["value"] or "")
        return fields


def names_of(page: str) -> list[str]:
    return re.findall(r"More like this<span[^>]*>: ([^<]*)<", page)


def posted(client: TestClient, **fields: str) -> Elements:
    files = {"image": ("a.png", image_bytes(size=(900, 700)), "image/png")}
    return Elements(client.post("/", files=files, data=fields).text)


def as_form(fields: dict[str, str]) -> dict[str, Any]:
    """A multipart form without a file, as the page's own form sends it."""
    return {"files": [(name, (None, value)) for name, value in fields.items()]}


# --- asking --------------------------------------------------------------------------------------


def test_the_empty_page_offers_examples_that_work(client: TestClient):
    links = Elements(client.get("/").text).links("/?q=")
    assert [unquote_plus(link.removeprefix("/?q=")) for link in links] == list(EXAMPLES)
    assert all(client.get(link).status_code == 200 for link in links)


def test_each_figure_has_picture_caption_licence_attribution_and_links(client: TestClient):
    page = Elements(client.get("/?q=lung").text)
    pictures = [img for img in page.all("img") if (img["src"] or "").startswith("/images/")]
    assert len(pictures) == 12
    for picture in pictures:
        assert re.fullmatch(r"(X-ray|ultrasound): Figure 1 of PMC\d+", picture["alt"] or "")
        assert client.get(picture["src"] or "").headers["content-type"] == "image/jpeg"
    assert len(page.links("https://pmc.ncbi.nlm.nih.gov/articles/PMC")) == 24
    assert len(page.links("https://doi.org/10.1000/")) == 12
    assert len(page.all("span", **{"class": "badge free"})) == 12
    cited = (
        r"“Article \d+\.” Annals of Examples \(20\d\d\)\. Figure 1\. https://doi\.org/\S+ · CC BY"
    )
    assert len(re.findall(cited, page.text)) == 12


def test_more_like_this_leads_to_the_neighbours_of_that_figure(client: TestClient):
    like = Elements(client.get("/?q=lung").text).links("/?like=")[0]
    answer = client.get(like)
    assert answer.status_code == 200
    assert "Figures like Figure 1 of PMC" in answer.text
    assert answer.text.count('class="tile"') == 12


def test_words_and_a_figure_are_weighed_by_the_slider():
    search = FakeSearch([figure(n) for n in range(20)])
    client = client_of([], search)
    like = quote(figure(3).pair_id)
    page = Elements(client.get(f"/?like={like}&q=lung&mix=20").text)
    query = search.queries[-1]
    assert (query.text, query.figure) == ("lung", figure(3).pair_id)
    assert (query.weights.text, query.weights.figure) == (0.2, 0.8)
    [slider] = page.all("input", type="range")
    assert (slider["value"], slider["form"]) == ("20", "ask")


def test_captions_count_unless_pictures_alone_are_asked_for():
    search = FakeSearch([figure(1)])
    client = client_of([], search)
    for place, expected in (("/?q=a", True), ("/?q=a&by=pictures", False), ("/?q=a&by=both", True)):
        page = Elements(client.get(place).text)
        assert search.queries[-1].hybrid is expected
        [chosen] = [one["value"] for one in page.all("input", type="radio") if "checked" in one]
        assert chosen == ("both" if expected else "pictures")


def test_a_page_can_be_shared_by_its_address(client: TestClient):
    query = "H&E + “β-actin” 100 %"
    page = client.get(f"/?q={quote(query)}&license=CC%20BY&first_year=2012&last_year=2014&page=2")
    elements = Elements(page.text)
    [box] = elements.all("input", id="q")
    assert box["value"] == query
    years = [elements.all("input", id=name)[0]["value"] for name in ("first_year", "last_year")]
    assert years == ["2012", "2014"]
    shared = {"q": query, "license": "CC BY", "first_year": 2012, "last_year": 2014, "page": 2}
    assert client.get("/", params=shared).text == page.text


def test_pages_follow_one_another_without_overlap(client: TestClient):
    seen: list[str] = []
    place = "/?q=lung&license=CC+BY"
    for number in range(1, 6):
        page = client.get(place)
        seen += names_of(page.text)
        elements = Elements(page.text)
        assert bool(elements.all("a", rel="prev")) == (number > 1)
        following = elements.all("a", rel="next")
        if not following:
            break
        place = following[0]["href"] or ""
    assert number == 5
    assert len(seen) == len(set(seen)) == 60


# --- refining ------------------------------------------------------------------------------------


def test_facets_are_checkboxes_with_counts_that_filter(client: TestClient):
    page = Elements(client.get("/?q=lung").text)
    boxes = page.all("input", type="checkbox")
    assert {(box["name"], box["value"]) for box in boxes} >= {
        ("license", "CC BY"),
        ("image_type", "X-ray"),
        ("journal", "Annals of Examples"),
        ("article_type", "research-article"),
        ("part", "figure"),
    }
    assert all(box["form"] == "ask" for box in boxes)
    assert "research article 60" in " ".join(page.text.split())
    chosen = client.get("/?q=lung&image_type=X-ray")
    assert "1 to 12 of 30" in chosen.text
    assert "checked" in Elements(chosen.text).all("input", type="checkbox", value="X-ray")[0]


def test_a_chosen_filter_is_taken_away_by_its_chip(client: TestClient):
    place = "/?q=lung&license=CC+BY&image_type=X-ray&first_year=2012&page=2"
    page = Elements(client.get(place).text)
    links = [dict(parse_qsl(link[2:])) for link in page.links("/?q=lung")]
    everything = {"q": "lung", "license": "CC BY", "image_type": "X-ray", "first_year": "2012"}
    for name in ("license", "image_type", "first_year"):
        without = {key: value for key, value in everything.items() if key != name}
        assert without in links, name
    assert {"q": "lung"} in links


def test_the_years_are_drawn_and_the_range_is_told_to_those_who_cannot_see_it(client: TestClient):
    page = Elements(client.get("/?q=lung&first_year=2012&last_year=2013").text)
    [drawing] = page.all("svg", **{"class": "years"})
    assert re.match(r"Figures by year, 2012 to 2013; most in 201[23]", drawing["aria-label"] or "")
    assert len(page.all("rect", **{"class": "inside"})) == 2


def test_near_duplicates_are_folded_under_the_figure():
    others = ("PMC8.1/f/x.jpg", "PMC9.1/f/y.jpg")
    page = client_of([figure(1, folded=others)]).get("/?q=a")
    assert "+2 alike" in page.text
    assert Elements(page.text).links("/?like=PMC8.1%2Ff%2Fx.jpg")
    assert 'alt="The same picture in PMC9.1"' in page.text


def test_matched_words_are_marked_and_nothing_else_is():
    one = figure(1, caption="CT of a lung & a <b>lung</b>.", marks=((8, 12), (20, 24)))
    page = client_of([one]).get("/?q=lung").text
    assert "CT of a <mark>lung</mark> &amp; a &lt;b&gt;<mark>lung</mark>&lt;/b&gt;." in page


def test_a_long_caption_is_cut_and_shown_whole_on_demand():
    caption = "word " * 100 + "the very end"
    page = client_of([figure(1, caption=caption)]).get("/?q=a").text
    cut = r"<summary><span class=\"cut\">.*?word…</span></summary>\s*<p>.*the very end</p>"
    assert re.search(cut, page, re.DOTALL)


def test_a_long_caption_is_cut_where_the_words_are():
    caption = "word " * 100 + "a small nodule here and " + "more " * 50
    start = caption.index("nodule")
    page = client_of([figure(1, caption=caption, marks=((start, start + 6),))]).get("/?q=a").text
    [cut] = re.findall(r'<span class="cut">(.*?)</span></summary>', page)
    assert cut.startswith("… word")
    assert "a small <mark>nodule</mark> here and more" in cut
    assert cut.endswith("…")


def test_a_figures_own_terms_go_before_the_articles_licence():
    page = client_of([figure(1, figure_license="© Elsevier 2009", attribution="With permission")])
    elements = Elements(page.get("/?q=a").text)
    assert elements.all("span", **{"class": "badge unknown"})
    assert "© Elsevier 2009. With permission" in elements.text
    assert "· © Elsevier 2009" in elements.text


# --- a picture -----------------------------------------------------------------------------------


def test_an_uploaded_picture_finds_figures_and_is_shown_small(client: TestClient):
    answer = client.post("/", files={"image": ("a.png", image_bytes(size=(900, 700)), "image/png")})
    page = Elements(answer.text)
    assert (page.all("img")[0]["src"] or "").startswith("data:image/jpeg;base64,")
    assert answer.text.count('class="tile"') == 12
    assert answer.headers["cache-control"] == "no-store"
    assert "Your image is not stored" in page.text


def test_pages_filters_and_words_follow_a_picture_without_its_being_sent_again():
    search = FakeSearch([figure(n) for n in range(60)])
    client = client_of([], search)
    first = posted(client)
    carried = first.hidden()
    assert set(carried) >= {"vector", "preview"}
    changes = {"q": "lung", "mix": "40", "license": "CC BY", "page": "2", "image_type": "X-ray"}
    page = Elements(client.post("/", **as_form({**carried, **changes})).text)
    [before, after] = search.queries
    assert (after.vector == before.vector).all()
    assert (after.text, after.page, after.filters.licenses) == ("lung", 2, ("CC BY",))
    assert (after.weights.text, after.weights.vector) == (0.4, 0.6)
    assert page.hidden()["vector"] == carried["vector"]
    drops = {button["value"] for button in page.all("button", name="drop")}
    assert drops == {"license=CC BY", "image_type=X-ray", "all"}
    client.post("/", **as_form({**carried, **changes, "drop": "license=CC BY"}))
    assert search.queries[-1].filters.licenses == ()


def test_a_picture_takes_the_words_and_filters_that_were_there_along():
    search = FakeSearch([figure(n) for n in range(9)])
    posted(client_of([], search), q="lung", license="CC BY")
    query = search.queries[-1]
    assert (query.text, query.filters.licenses) == ("lung", ("CC BY",))
    assert query.vector is not None


def test_a_picture_stands_in_no_address(client: TestClient):
    page = posted(client, q="lung")
    carried = page.hidden()
    places = [value or "" for _, attrs in page.found for name, value in attrs.items()
              if name in ("href", "action", "formaction")]  # fmt: skip
    assert places
    assert not any(carried["vector"][:20] in unquote_plus(place) for place in places)


@pytest.mark.parametrize("name", ["vector", "preview"])
@pytest.mark.parametrize("value", ["!", EVIL, "AAAA" * 30_000, '"><script>', "é" * 40])
def test_a_form_that_was_tampered_with_is_refused(client: TestClient, name: str, value: str):
    carried = posted(client).hidden() | {name: value}
    page = client.post("/", **as_form(carried))
    assert page.status_code == 400
    assert not Elements(page.text).all("script", src="x")
    assert EVIL not in page.text


def test_a_large_upload_never_reaches_the_disk(client: TestClient, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file was opened")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    monkeypatch.setattr("tempfile._TemporaryFileWrapper", refuse)
    monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", refuse)
    picture = image_bytes("TIFF", (800, 900))
    assert len(picture) > 2**21
    assert client.post("/", files={"image": ("a.tif", picture)}).status_code == 200


# --- errors, empty states ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_of", "status"),
    [
        ({"files": {"image": ("a.png", b"no picture")}}, 400),
        ({"files": {"image": ("a.png", b"")}}, 400),
        ({"files": {"image": ("a.jpg", image_bytes("JPEG", (64, 64))[:700])}}, 400),
        ({"files": {"other": ("a.png", image_bytes())}}, 400),
        ({"data": {"image": "text"}}, 400),
        ({"content": b"", "headers": {"content-type": "multipart/form-data"}}, 400),
        (
            {
                "content": b"--x\r\nab",
                "headers": {"content-type": "multipart/form-data; boundary=x"},
            },
            400,
        ),
        ({"content": b"{}", "headers": {"content-type": "application/json"}}, 400),
        ({"content": b"x" * 4_000_000}, 413),
    ],
)
def test_a_bad_upload_ends_in_a_page_that_says_why(
    client: TestClient, request_of: dict[str, Any], status: int
):
    page = client.post("/", **request_of)
    assert page.status_code == status
    assert 'role="alert"' in page.text
    assert '<input id="q"' in page.text


def test_an_error_speaks_of_the_picture_and_of_no_field(client: TestClient):
    broken = image_bytes("JPEG", (64, 64))[:700]
    page = client.post("/", files={"image": ("a.jpg", broken)}).text
    assert "<p>The image is broken or ends early.</p>" in page


@pytest.mark.parametrize(
    ("place", "status", "words"),
    [
        ("/?q=a&page=0", 400, "Must be a number from 1"),
        ("/?q=a&page=many", 400, "Must be a number from 1"),
        ("/?q=a&first_year=soon", 400, "Must be a number from 1"),
        ("/?q=a&mix=101", 400, "Must be a number from 0 to 100"),
        ("/?q=a&part=arm", 400, "There are figures and panels"),
        ("/?q=a&" + "&".join(["x=1"] * 500), 400, "The address names more than"),
        ("/?like=none", 404, "The index has no such figure"),
        ("/nowhere", 404, "There is no such page here"),
        ("/images/none", 404, "The index has no such figure"),
        ("/export.json", 400, "Say what to look for"),
    ],
)
def test_errors_are_pages_for_people_and_json_for_programs(
    client: TestClient, place: str, status: int, words: str
):
    page = client.get(place)
    assert page.status_code == status
    assert words in Elements(page.text).text
    assert 'role="alert"' in page.text
    if not place.startswith("/?"):
        told = client.get(place, headers={"accept": "*/*"})
        assert told.status_code == status
        assert told.json()["error"]["message"]


def test_a_mistake_in_an_address_keeps_the_words(client: TestClient):
    page = Elements(client.get("/?q=lung+cancer&page=x").text)
    assert page.all("input", id="q")[0]["value"] == "lung cancer"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("/?q=a", "The index holds none"),
        ("/?q=a&license=CC0", "Take a filter away"),
        ("/?q=a&page=9", "No more figures"),
    ],
)
def test_a_search_without_result_says_what_to_do(place: str, words: str):
    page = client_of([]).get(place)
    assert page.status_code == 200
    assert words in page.text


def test_a_figure_without_label_year_doi_or_licence_is_shown():
    bare = figure(1, label="", year=None, doi=None, license="", title="", journal="")
    page = client_of([bare]).get("/?q=a")
    assert page.status_code == 200
    assert "licence unknown" in page.text
    assert "doi.org" not in page.text
    assert "None" not in page.text


# --- exports -------------------------------------------------------------------------------------


def test_what_was_found_is_taken_along_as_json_and_csv(client: TestClient):
    page = Elements(client.get("/?q=lung&image_type=X-ray&page=2").text)
    json_place, csv_place = (page.links(f"/export.{kind}")[0] for kind in ("json", "csv"))
    told = client.get(json_place).json()
    assert len(told["results"]) == 30
    assert {one["image_type"] for one in told["results"]} == {"X-ray"}
    lines = client.get(csv_place).text.splitlines()
    assert len(lines) == 31
    assert told["results"][0]["pair_id"] in lines[1]


def test_the_export_of_a_picture_is_that_of_its_page(client: TestClient):
    page = posted(client)
    buttons = {button.get("formaction") for button in page.all("button")}
    assert buttons >= {"/export.json", "/export.csv"}
    answer = client.post("/export.json", **as_form(page.hidden()))
    names = [one["pair_id"].split(".")[0] for one in answer.json()["results"]]
    [first] = page.links("https://pmc")[:1]
    assert first.endswith(f"/{names[0]}/")


# --- safety --------------------------------------------------------------------------------------


def test_what_articles_and_people_write_is_never_markup():
    texts = dict.fromkeys(("caption", "label", "title", "journal", "license", "pmcid"), EVIL)
    other = dict.fromkeys(("attribution", "image_type", "article_type", "panel_label"), EVIL)
    one = figure(1, **texts, **other, pair_id=EVIL, doi=EVIL, figure_license=EVIL, folded=(EVIL,))
    client = client_of([one])
    filtered = {"q": EVIL, "license": EVIL, "journal": EVIL}
    for params in ({"q": EVIL}, {"like": EVIL}, {"q": "a", "page": EVIL}, filtered):
        page = Elements(client.get("/", params=params).text)
        assert [script.get("src") for script in page.all("script")] == ["/static/page.js"]
        assert not any(name.startswith("on") for _, attrs in page.found for name in attrs)
        sources = [img["src"] or "" for img in page.all("img")]
        assert all(source.startswith("/images/") for source in sources)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300), st.sampled_from(["x", '"x"', "é", "x; charset=none", ""]))
def test_any_form_is_answered(client: TestClient, body: bytes, boundary: str):
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    kind = f"multipart/form-data; boundary={boundary}".encode()
    for content in (body, head + body, head + body + b"\r\n--x--\r\n"):
        assert client.post("/", content=content, headers={"content-type": kind}).status_code < 500


NAMES = ("q", "like", "page", "mix", "by", "license", "part", "first_year", "drop", "vector")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.text()), max_size=6))
def test_any_address_is_answered(client: TestClient, pairs: list[tuple[str, str]]):
    assert client.get("/", params=pairs).status_code < 500


@pytest.mark.parametrize(
    "place", ["/", "/?q=a", "/?like=none", "/images/none", "/static/page.css", "/x", "/export.csv"]
)
def test_every_answer_forbids_strangers_and_inline_code(client: TestClient, place: str):
    headers = client.get(place).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_the_page_has_no_inline_style_or_script_and_nothing_from_elsewhere(client: TestClient):
    for place in ("/", "/?q=a", "/?like=none"):
        page = Elements(client.get(place).text)
        assert page.all("style") == []
        assert not any("style" in attrs for _, attrs in page.found)
        loaded = [link["href"] for link in page.all("link")]
        loaded += [one["src"] for tag in ("img", "script") for one in page.all(tag)]
        assert all((address or "").startswith("/") for address in loaded)
        assert all(client.get(address or "").status_code == 200 for address in loaded)
    assert "url(" not in client.get("/static/page.css").text
    script = client.get("/static/page.js").text
    assert not re.search(r"innerHTML|eval\(|fetch\(|XMLHttp|https?:", script)


def test_every_field_has_a_label_and_every_id_is_there_once(client: TestClient):
    for page in (Elements(client.get("/?q=a").text), posted(client, q="a")):
        fields = [field for field in page.all("input") if field.get("type") != "hidden"]
        assert {field["id"] for field in fields} == {label["for"] for label in page.all("label")}
        ids = [attrs["id"] for _, attrs in page.found if "id" in attrs]
        assert len(ids) == len(set(ids))


def test_no_file_beside_the_static_ones_is_served(client: TestClient):
    for name in ("../page.py", "..%2fpage.py", "%2e%2e/page.py", "/etc/passwd"):
        assert client.get(f"/static/{name}").status_code == 404


def test_below_a_prefix_all_addresses_carry_it():
    outer = FastAPI()
    outer.mount("/search", client_of([figure(n) for n in range(20)]).app)
    client = TestClient(outer)
    like = quote(figure(1).pair_id)
    answer = client.post("/search/", files={"image": ("a.png", image_bytes())})
    pages = [
        client.get("/search/?q=a&license=CC+BY").text,
        client.get(f"/search/?like={like}").text,
    ]
    for page in (*pages, answer.text):
        own = re.findall(r'(?:href|src|action)="(/[^"]*)"', page)
        assert own
        assert all(address.startswith("/search/") for address in own)
    picture = next(
        address for address in re.findall(r'src="([^"]*)"', pages[0]) if "/images/" in address
    )
    assert client.get(picture).headers["content-type"] == "image/jpeg"
