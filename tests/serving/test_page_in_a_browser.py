"""The page as people meet it: one Chromium, the page served, keys pressed, pictures pasted."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from browsing import needs_chromium
from fake_search import FakeSearch, figure
from serving_fakes import image_bytes

from figclip.serving.page.page import Page as SearchPage
from figclip.serving.page.page import page_app
from figclip.serving.routes.limits import Limits
from jobs.devtools import Browser, BrowserFault, Page, running_browser
from jobs.screenshots import paste
from jobs.served_here import served_here

pytestmark = needs_chromium

LONG = "word " * 60 + "and a nodule at the end."
FIGURES = [
    figure(1, caption=LONG, marks=((307, 313),), folded=("PMC7.1/f/a.jpg", "PMC8.1/f/b.jpg")),
    figure(2, license="CC BY-NC", attribution="© Somebody"),
    figure(3, license="", year=None, label="Figure 12—figure supplement with a long label"),
    *(figure(n, journal=f"Journal number {n} of Quite Long Names") for n in range(4, 40)),
]
ASKED = ("/", "/?q=lung", "/?q=nothing&page=9", "/?q=lung&license=CC+BY&first_year=2011", "/no")
TYPING = "document.activeElement?.id"


@pytest.fixture(scope="module")
def search() -> FakeSearch:
    return FakeSearch(FIGURES)


@pytest.fixture(scope="module")
def url(search: FakeSearch) -> Iterator[str]:
    page = SearchPage(search, limits=Limits(), about="39 figures", size=12)
    with served_here(page_app(page)) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture
def window(browser: Browser) -> Iterator[Page]:
    with browser.page(width=1280, height=900) as page:
        yield page


def html(page: Page) -> str:
    """Of the page as it stands, read without its scripts."""
    root = page.call("DOM.getDocument")["root"]["nodeId"]
    return str(page.call("DOM.getOuterHTML", nodeId=root)["outerHTML"])


def node(page: Page, selector: str) -> int:
    root = page.call("DOM.getDocument")["root"]["nodeId"]
    return int(page.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"])


def click(page: Page, selector: str) -> None:
    found = node(page, selector)
    page.call("DOM.scrollIntoViewIfNeeded", nodeId=found)
    quad = page.call("DOM.getContentQuads", nodeId=found)["quads"][0]
    x, y = sum(quad[0::2]) / 4, sum(quad[1::2]) / 4
    for kind in ("mousePressed", "mouseReleased"):
        page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


def typed(page: Page, text: str) -> None:
    page.call("Input.insertText", text=text)


def no_scripts(browser: Browser) -> AbstractContextManager[Page]:
    return browser.page(width=1280, height=900, runs_scripts=False)


# --- without a script ----------------------------------------------------------------------------


def test_words_are_searched_for_without_a_script(browser: Browser, url: str):
    with no_scripts(browser) as page:
        page.open(url)
        typed(page, "lung & more")
        with page.loading():
            page.press("Enter")
        assert page.requested.count(f"{url}/?q=lung+%26+more") == 1
        assert html(page).count('class="tile"') == 12
        assert not page.complaints


def test_a_file_is_searched_with_and_refined_without_a_script(
    browser: Browser, url: str, search: FakeSearch, tmp_path: Path
):
    picture = tmp_path / "mine.png"
    picture.write_bytes(image_bytes())
    with no_scripts(browser) as page:
        page.open(url)
        page.call("DOM.setFileInputFiles", nodeId=node(page, "#image"), files=[str(picture)])
        with page.loading():
            click(page, "#picture button")
        assert "Figures like your picture" in html(page)
        click(page, "#license-1")
        with page.loading():
            click(page, ".apply")
        assert "Figures like your picture" in html(page)
        assert search.queries[-1].filters.licenses == ("CC BY",)
        assert search.queries[-1].vector is not None


# --- pictures ------------------------------------------------------------------------------------


def test_a_pasted_picture_finds_figures_and_words_steer_it(
    window: Page, url: str, search: FakeSearch
):
    window.open(f"{url}/?q=lung&license=CC+BY")
    paste(window, image_bytes())
    query = search.queries[-1]
    assert query.vector is not None
    assert query.filters.licenses == ("CC BY",)
    assert window.value("document.querySelector('.subject img').naturalWidth") > 0
    assert window.value("location.href") == f"{url}/"
    window.press("/")
    typed(window, "bone")
    with window.loading():
        window.press("Enter")
    assert search.queries[-1].text == "bone"
    slide = "const m = document.getElementById('mix'); m.value = 80;"
    window.value(f"{slide} m.dispatchEvent(new Event('input'))")
    assert window.value("document.querySelector('output[for=mix]').value") == "80 %"
    with window.loading():
        window.value("document.getElementById('ask').requestSubmit()")
    assert search.queries[-1].weights.text == 0.8
    assert not window.complaints


def test_words_that_are_pasted_stay_words(window: Page, url: str):
    window.open(f"{url}/?q=lung")
    loads = len(window.events("Page.loadEventFired"))
    window.value(
        "const d = new DataTransfer(); d.setData('text/plain', 'liver');"
        "document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: d, bubbles: true}))"
    )
    window.value("new Promise((done) => setTimeout(done, 200))")
    assert len(window.events("Page.loadEventFired")) == loads


DRAG = """
    (() => {
      const held = new DataTransfer();
      held.items.add(new File([%s], "x", { type: "%s" }));
      const facts = { dataTransfer: held, bubbles: true, cancelable: true };
      const over = new DragEvent("dragover", facts);
      document.body.dispatchEvent(over);
      const shown = document.body.className;
      document.body.dispatchEvent(new DragEvent("drop", facts));
      return [over.defaultPrevented, shown];
    })()
"""


def test_a_dropped_picture_finds_figures(window: Page, url: str, search: FakeSearch):
    window.open(f"{url}/?q=lung")
    data = f"new Uint8Array({list(image_bytes())})"
    with window.loading():
        is_taken, shown = window.value(DRAG % (data, "image/png"))
    assert is_taken
    assert "dropping" in shown
    assert search.queries[-1].vector is not None
    assert "like your picture" in window.value("document.querySelector('h2').textContent")


def test_a_dropped_file_that_is_no_picture_is_said_to_be_none(window: Page, url: str):
    window.open(url)
    window.value(DRAG % ("'words'", "text/plain"))
    assert "no picture" in window.value("document.getElementById('news').textContent")


def test_a_broken_picture_ends_in_a_page_with_a_remedy(window: Page, url: str):
    window.open(url)
    paste(window, image_bytes("JPEG", (64, 64))[:700])
    assert "broken or ends early" in window.value(
        "document.querySelector('[role=alert]').innerText"
    )


# --- keys ----------------------------------------------------------------------------------------


def test_the_keyboard_walks_through_the_figures(window: Page, url: str):
    window.open(f"{url}/?q=lung")
    at = "[...document.querySelectorAll('.picture')].indexOf(document.activeElement)"
    in_a_row = window.value(
        "[...document.querySelectorAll('.tile')]"
        ".filter((t, _, all) => t.offsetTop === all[0].offsetTop).length"
    )
    assert in_a_row > 2
    window.press("/")
    assert window.value(TYPING) == "q"
    walk = [
        ("ArrowDown", 0),
        ("ArrowRight", 1),
        ("ArrowDown", 1 + in_a_row),
        ("ArrowLeft", in_a_row),
    ]
    walk += [("ArrowUp", 0), ("End", 11), ("ArrowRight", 11), ("Home", 0)]
    for key, expected in walk:
        window.press(key)
        assert window.value(at) == expected, key
    ring = window.value("getComputedStyle(document.activeElement).outlineStyle")
    assert ring == "solid"
    window.value(
        "document.addEventListener('click', (e) => {"
        " window.opened = e.target.closest('a').href; e.preventDefault(); })"
    )
    window.press("Enter")
    assert re.fullmatch(
        r"https://pmc\.ncbi\.nlm\.nih\.gov/articles/PMC\d+/", window.value("opened")
    )
    window.press("Escape")
    assert window.value(TYPING) == "q"
    window.press("/")  # a letter like any other, while one types
    assert window.value("document.getElementById('q').value").count("/") == 1


def test_arrows_stay_with_the_fields_that_need_them(window: Page, url: str):
    window.open(f"{url}/?q=lung")
    window.value("document.getElementById('by-both').focus()")
    window.press("ArrowDown")
    assert window.value(TYPING) == "by-pictures"


def test_escape_closes_the_box_for_pictures(window: Page, url: str):
    window.open(f"{url}/?q=lung")
    click(window, "details.picture-box > summary")
    assert window.value("document.querySelector('details.picture-box').open")
    window.press("Escape")
    assert not window.value("document.querySelector('details.picture-box').open")


def test_tab_meets_the_skip_link_first_and_it_leads_to_the_results(window: Page, url: str):
    window.open(f"{url}/?q=lung")
    window.press("Tab")
    assert window.value("document.activeElement.className") == "skip"
    assert window.value("document.activeElement.getBoundingClientRect().width") > 50
    window.press("Enter")
    assert window.value(TYPING) == "results"


# --- safety --------------------------------------------------------------------------------------


def test_nothing_is_asked_of_another_origin_and_no_policy_is_broken(window: Page, url: str):
    for place in ASKED:
        window.open(url + place)
        window.value("scrollTo(0, document.body.scrollHeight)")
    assert not [one for one in window.requested if not one.startswith((f"{url}/", "data:"))]
    assert not [one for one in window.complaints if "404" not in one]


def test_code_and_style_that_slipped_in_would_be_stopped_and_seen(window: Page, url: str):
    window.open(url)
    with pytest.raises(BrowserFault, match="TrustedScript"):
        window.value("document.body.setAttribute('onclick', 'window.ran = 1')")
    window.value("document.body.setAttribute('style', 'color: red')")
    assert window.value("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
    assert any("Content Security Policy" in one for one in window.complaints)


# --- for everybody -------------------------------------------------------------------------------

FAULTS = """
    (() => {
      const faults = [];
      const say = (what, element) => faults.push(`${what}: ${element.outerHTML.slice(0, 120)}`);
      for (const image of document.images) if (!image.alt) say("no alt", image);
      for (const field of document.querySelectorAll("input:not([type=hidden])"))
        if (!field.labels.length) say("no label", field);
      for (const thing of document.querySelectorAll("a, button, summary"))
        if (!thing.textContent.trim() && !thing.querySelector("img[alt]")) say("no name", thing);
      for (const name of ["main", "header", "footer", "h1", "[role=search]"])
        if (!document.querySelector(name)) faults.push(`no ${name}`);
      const levels = [...document.querySelectorAll("h1, h2, h3")].map((h) => +h.tagName[1]);
      const skips = levels.filter((level, n) => level - (levels[n - 1] ?? 0) > 1);
      faults.push(...skips.map((level) => `h${level} skips a level`));
      const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
      if (new Set(ids).size < ids.length) faults.push("an id stands twice");
      if (!document.documentElement.lang) faults.push("no language");
      return faults;
    })()
"""

CONTRASTS = """
    (() => {
      const parse = (text) => text.match(/[\\d.]+/g).map(Number);
      const over = ([r, g, b, a = 1], under) =>
        [r, g, b].map((value, n) => a * value + (1 - a) * under[n]);
      const ground = (element) => {
        if (!element) return [255, 255, 255];
        const own = parse(getComputedStyle(element).backgroundColor);
        const under = ground(element.parentElement);
        return own[3] === 0 ? under : over(own, under);
      };
      const light = (colour) => {
        const [r, g, b] = colour.map((value) => {
          const part = value / 255;
          return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const found = {};
      const judge = (element, style, under) => {
        const [a, b] = [light(over(parse(style.color), under)), light(under)].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        const name = `${element.tagName}.${element.className}`;
        found[name] = Math.min(found[name] ?? 99, ratio);
      };
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.textContent.trim() || !element.checkVisibility()) continue;
        judge(element, getComputedStyle(element), ground(element));
      }
      for (const field of document.querySelectorAll("input[placeholder]"))
        judge(field, getComputedStyle(field, "::placeholder"), ground(field));
      return found;
    })()
"""


def test_everything_has_a_name_and_the_headings_follow_one_another(window: Page, url: str):
    for place in ASKED:
        window.open(url + place)
        assert window.value(FAULTS) == [], place


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(browser: Browser, url: str, is_dark: bool):
    """WCAG 2.2, 1.4.3: at least 4.5 to 1."""
    with browser.page(is_dark=is_dark) as page:
        for place in ("/", "/?q=lung&license=CC+BY", "/no"):
            page.open(url + place)
            page.value("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
            ratios: dict[str, Any] = page.value(CONTRASTS)
            assert len(ratios) > 4
            assert {name: ratio for name, ratio in ratios.items() if ratio < 4.5} == {}, place


@pytest.mark.parametrize("width", [320, 820, 1440])
def test_nothing_runs_out_of_the_window(browser: Browser, url: str, width: int):
    with browser.page(width=width, height=800) as page:
        for place in (*ASKED, "/?like=PMC4.1%2Ffig-1%2Fa+b%264.jpg&q=lung"):
            page.open(url + place)
            page.value("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
            wide = page.value("document.documentElement.scrollWidth")
            assert wide <= width, (place, wide)


def test_filters_are_folded_on_a_phone_and_open_on_a_desk(browser: Browser, url: str):
    seen = "document.querySelector('.filters-body').checkVisibility({contentVisibilityAuto: true})"
    for width, expected in ((390, False), (1440, True)):
        with browser.page(width=width, height=800) as page:
            page.open(f"{url}/?q=lung")
            assert page.value(seen) is expected
