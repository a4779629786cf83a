import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from figclip.jats.dates import earliest_date


def date_of(*pub_dates: str) -> str:
    return earliest_date(etree.fromstring(f"<article-meta>{''.join(pub_dates)}</article-meta>"))


def pub_date(attributes: str = "", **parts: str) -> str:
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in parts.items())
    return f"<pub-date {attributes}>{inner}</pub-date>"


@pytest.mark.parametrize(
    ("parts", "date"),
    [
        ({"day": "17", "month": "11", "year": "2010"}, "2010-11-17"),
        ({"day": "7", "month": "1", "year": "2010"}, "2010-01-07"),
        ({"day": "07", "month": "01", "year": "2010"}, "2010-01-07"),
        ({"month": "November", "year": "2010"}, "2010-11"),
        ({"day": "3", "month": "Sept.", "year": "2010"}, "2010-09-03"),
        ({"month": "JUN", "year": "2010"}, "2010-06"),
        ({"year": "2010"}, "2010"),
        ({"season": "Winter", "year": "2010"}, "2010"),
        ({"season": "Jan-Mar", "year": "2010"}, "2010"),
        ({"month": "Jan-Feb", "year": "2010"}, "2010"),
        ({"month": "Ju", "year": "2010"}, "2010"),
        ({"month": "13", "year": "2010"}, "2010"),
        ({"month": "0", "year": "2010"}, "2010"),
        ({"day": "5", "year": "2010"}, "2010"),
        ({"day": "31", "month": "2", "year": "2010"}, "2010-02"),
        ({"day": "29", "month": "2", "year": "2012"}, "2012-02-29"),
        ({"day": "x", "month": "2", "year": "2010"}, "2010-02"),
        ({"day": "²", "month": "²", "year": "2010"}, "2010"),
        ({"day": "9" * 9000, "month": "2", "year": "2010"}, "2010-02"),
        ({"day": "17", "month": "11"}, ""),
        ({"day": "17", "month": "11", "year": "10"}, ""),
        ({}, ""),
    ],
)
def test_a_date_is_as_precise_as_stated(parts, date):
    assert date_of(pub_date(**parts)) == date


@pytest.mark.parametrize(
    ("words", "date"),
    [
        ("17 November 2010", "2010-11-17"),
        ("November 17, 2010", "2010-11-17"),
        ("Nov 2010", "2010-11"),
        ("17/11/2010", "2010"),
        ("Jan–Feb 2010", "2010"),
        ("in press", ""),
    ],
)
def test_a_date_in_words_is_read_where_it_means_one_thing(words, date):
    for inner in (words, f"<string-date>{words}</string-date>"):
        assert date_of(f"<pub-date>{inner}</pub-date>") == date


@pytest.mark.parametrize(
    ("iso", "date"),
    [
        ("2018-05-09", "2018-05-09"),
        ("2021-01-15T10:00", "2021-01-15"),
        ("2021-01", "2021-01"),
        ("20210115", ""),
        ("yesterday", ""),
    ],
)
def test_the_date_of_the_attribute_is_read(iso, date):
    assert date_of(pub_date(f'iso-8601-date="{iso}"')) == date


def test_of_several_dates_the_earliest_is_the_one():
    collection, print_, online = (
        pub_date(year="2010"),
        pub_date(month="12", year="2010"),
        pub_date(day="17", month="11", year="2010"),
    )
    assert date_of(collection, print_, online) == "2010-11-17"
    assert date_of(collection, print_) == "2010-12"
    assert date_of(online, pub_date(year="2009")) == "2009"
    assert date_of(pub_date('iso-8601-date="2010-11-17"', year="2010")) == "2010-11-17"


@pytest.mark.parametrize(
    "attributes",
    ['pub-type="nihms-submitted"', 'pub-type="hwp-received"', 'date-type="accepted"'],
)
def test_a_day_of_no_publication_is_none(attributes):
    assert date_of(pub_date(attributes, year="2001"), pub_date(year="2010")) == "2010"


@given(st.dictionaries(st.sampled_from(["day", "month", "year", "season"]), st.text()))
def test_a_damaged_date_never_raises(parts):
    meta = etree.Element("article-meta")
    element = etree.SubElement(meta, "pub-date")
    for name, text in parts.items():
        try:
            etree.SubElement(element, name).text = text
        except ValueError:  # no text of any XML
            return
    assert len(earliest_date(meta)) in (0, 4, 7, 10)
