import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, unquote

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_fakes import FakeEncoder, image_bytes, row_of
from small_index import always

from figclip.serving.limits import Limits
from figclip.serving.page import EXAMPLES, search_app
from figclip.serving.search import FigureSearch

EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\""
LIMITS = Limits(body_bytes=3_000_000, results=40)


def client_of(rows: list[dict[str, Any]]) -> TestClient:
    encoder = FakeEncoder()
    search = FigureSearch(always(rows), encoder.embed_texts, encoder.embed_images, LIMITS)
    app = search_app(search, about="60 figures", num_results=12)
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture(scope="module")
def client() -> TestClient:
    return client_of([row_of(n) for n in range(60)])


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

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for found, attrs in self.found if found == tag]


def test_the_empty_page_offers_examples_that_work(client: TestClient):
    page = client.get("/")
    links = [a["href"] or "" for a in Elements(page.text).all("a") if "?q=" in (a["href"] or "")]
    assert [unquote(link.removeprefix("/?q=")) for link in links] == list(EXAMPLES)
    assert all(client.get(link).status_code == 200 for link in links)


def test_each_figure_has_picture_caption_licence_and_links(client: TestClient):
    page = Elements(client.get("/?q=lung").text)
    pictures = page.all("img")
    assert len(pictures) == 12
    for picture in pictures:
        assert picture["alt"]
        answer = client.get(picture["src"] or "")
        assert answer.headers["content-type"] == "image/jpeg"
    links = [a.get("href") or "" for a in page.all("a")]
    assert sum(link.startswith("https://pmc.ncbi.nlm.nih.gov/articles/PMC") for link in links) == 24
    assert sum(link.startswith("https://doi.org/10.1000/") for link in links) == 12
    assert page.text.count("CC BY") == 12


def test_more_like_this_leads_to_the_neighbours_of_that_figure(client: TestClient):
    page = Elements(client.get("/?q=lung").text)
    like = next(a["href"] or "" for a in page.all("a") if "?like=" in (a["href"] or ""))
    answer = client.get(like)
    assert answer.status_code == 200
    assert "Figures like Figure 1 of PMC" in answer.text
    assert answer.text.count('class="tile"') == 12


def test_a_page_can_be_shared_by_its_address(client: TestClient):
    query = "H&E + “β-actin” 100 %"
    page = client.get(f"/?q={quote(query)}&k=3")
    assert page.text.count('class="tile"') == 3
    [box] = [field for field in Elements(page.text).all("input") if field["name"] == "q"]
    assert box["value"] == query
    assert client.get("/", params={"q": query, "k": 3}).text == page.text


def test_more_figures_are_shown_until_the_limit(client: TestClient):
    counts = []
    place = "/?q=lung"
    while place:
        page = client.get(place)
        counts.append(page.text.count('class="tile"'))
        more = [a["href"] for a in Elements(page.text).all("a") if "k=" in (a["href"] or "")]
        place = more[0] if more else None
    assert counts == [12, 24, 40]


def test_what_articles_and_people_write_is_never_markup():
    texts = dict.fromkeys(("caption", "label", "title", "journal", "license", "pmcid"), EVIL)
    client = client_of([row_of(1, **texts, pair_id=EVIL, doi=EVIL, figure_license=EVIL)])
    for params in ({"q": EVIL}, {"like": EVIL}, {"q": "a", "k": EVIL}, {"like": EVIL + "?"}):
        page = Elements(client.get("/", params=params).text)
        assert page.all("script") == []
        assert not any(name.startswith("on") for _, attrs in page.found for name in attrs)
        sources = [img["src"] or "" for img in page.all("img")]
        assert all(source.startswith("/images/") for source in sources)


def test_a_long_caption_is_cut_and_shown_whole_on_demand():
    caption = "word " * 100 + "the very end"
    page = client_of([row_of(1, caption=caption)]).get("/?q=a").text
    assert re.search(r"<summary>.*?word…</span></summary>\s*<p>.*the very end</p>", page, re.DOTALL)


def test_a_figure_without_label_year_doi_or_licence_is_shown(client: TestClient):
    bare = row_of(1, label="", year=None, doi=None, license="")
    page = client_of([bare]).get("/?q=a")
    assert page.status_code == 200
    assert "licence unknown" in page.text
    assert "doi.org" not in page.text
    assert "None" not in page.text


def test_a_search_without_result_says_so():
    assert "No figure was found" in client_of([]).get("/?q=a").text


def test_an_uploaded_picture_finds_figures_and_is_shown_small(client: TestClient):
    page = client.post("/", files={"image": ("a.png", image_bytes(size=(900, 700)), "image/png")})
    first = Elements(page.text).all("img")[0]
    assert (first["src"] or "").startswith("data:image/jpeg;base64,")
    assert page.text.count('class="tile"') == 12


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


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=300), st.sampled_from(["x", '"x"', "é", "x; charset=none", ""]))
def test_any_form_is_answered(client: TestClient, body: bytes, boundary: str):
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    kind = f"multipart/form-data; boundary={boundary}".encode()
    for content in (body, head + body, head + body + b"\r\n--x--\r\n"):
        assert client.post("/", content=content, headers={"content-type": kind}).status_code < 500


@settings(deadline=None, max_examples=100)
@given(st.text(), st.text(), st.text(max_size=8))
def test_any_address_is_answered(client: TestClient, q: str, like: str, k: str):
    params = {"q": q, "like": like, "k": k}
    for some in (params, {"q": q}, {"like": like}, {"q": "a", "k": k}):
        assert client.get("/", params=some).status_code < 500


@pytest.mark.parametrize("k", ["0", "-1", "many", "41", "1e3", "٣", "9" * 5000])
def test_a_count_that_cannot_be_is_an_error_page(client: TestClient, k: str):
    page = client.get("/", params={"q": "a", "k": k})
    assert page.status_code == 400
    assert 'role="alert"' in page.text


@pytest.mark.parametrize(
    "place", ["/", "/?q=a", "/?like=none", "/images/none", "/static/page.css", "/x"]
)
def test_every_answer_forbids_scripts_and_strangers(client: TestClient, place: str):
    policy = client.get(place).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_the_page_has_no_inline_style_or_script_and_nothing_from_elsewhere(client: TestClient):
    for place in ("/", "/?q=a", "/?like=none"):
        page = Elements(client.get(place).text)
        assert page.all("script") == page.all("style") == []
        assert not any("style" in attrs for _, attrs in page.found)
        loaded = [link["href"] for link in page.all("link")] + [i["src"] for i in page.all("img")]
        assert all((address or "").startswith("/") for address in loaded)
        assert all(client.get(address or "").status_code == 200 for address in loaded)
    assert "url(" not in client.get("/static/page.css").text


def test_every_field_has_a_label(client: TestClient):
    page = Elements(client.get("/").text)
    assert {field["id"] for field in page.all("input")} == {
        label["for"] for label in page.all("label")
    }


def test_no_file_beside_the_static_ones_is_served(client: TestClient):
    for name in ("../page.py", "..%2fpage.py", "%2e%2e/page.py", "/etc/passwd"):
        assert client.get(f"/static/{name}").status_code == 404


def test_below_a_prefix_all_addresses_carry_it():
    outer = FastAPI()
    outer.mount("/search", client_of([row_of(n) for n in range(20)]).app)
    page = TestClient(outer).get("/search/?q=a").text
    own = re.findall(r'(?:href|src|action)="(/[^"]*)"', page)
    assert own
    assert all(address.startswith("/search/") for address in own)
    picture = next(address for address in own if "/images/" in address)
    assert TestClient(outer).get(picture).headers["content-type"] == "image/jpeg"
