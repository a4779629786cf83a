"""Plans, beside a definition in plain loops."""

from itertools import groupby

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from figclip.corpus.plan import LISTING_SCHEMA, fresh_plan, split_version_id, updated_plan

listings = st.dictionaries(
    st.tuples(st.integers(1, 12), st.integers(1, 2)), st.sampled_from("abc"), max_size=16
)


@st.composite
def days(draw: st.DrawFn) -> tuple[dict[tuple[int, int], str], dict[tuple[int, int], str]]:
    """A listing, and the next: mostly the same, so that shards lose, gain or change little."""
    old = draw(listings)
    gone = draw(st.sets(st.sampled_from(sorted(old)), max_size=3)) if old else set()
    edits = draw(
        st.dictionaries(st.tuples(st.integers(1, 15), st.integers(1, 2)), st.just("d"), max_size=2)
    )
    return old, {key: etag for key, etag in old.items() if key not in gone} | edits


def listing_of(versions: dict[tuple[int, int], str]) -> pa.Table:
    rows = sorted(versions.items())
    return pa.table(
        {
            "version_id": [f"PMC{pmcid}.{version}" for (pmcid, version), _ in rows],
            "etag": [etag for _, etag in rows],
        },
        schema=LISTING_SCHEMA,
    )


def by_article(plan: pa.Table) -> dict[str, list[dict]]:
    rows = sorted(plan.to_pylist(), key=lambda row: split_version_id(row["version_id"]))
    found = groupby(rows, key=lambda row: split_version_id(row["version_id"])[0])
    return {pmcid: list(group) for pmcid, group in found}


def state(plan: pa.Table) -> dict[str, list[tuple[str, str]]]:
    articles = by_article(plan).items()
    return {pmcid: [(row["version_id"], row["etag"]) for row in rows] for pmcid, rows in articles}


@given(listings, st.integers(1, 4))
@settings(deadline=None)
def test_a_fresh_plan_cuts_the_articles_into_shards_of_a_size(versions, size):
    plan = fresh_plan(listing_of(versions), size)
    assert plan["version_id"].to_pylist() == listing_of(versions)["version_id"].to_pylist()
    articles = list(dict.fromkeys(pmcid for pmcid, _ in sorted(versions)))
    shards = {f"PMC{pmcid}": n // size for n, pmcid in enumerate(articles)}
    for row in plan.to_pylist():
        assert row["shard"] == shards[split_version_id(row["version_id"])[0]]
        assert row["action"] == "read"


@given(
    days() | st.tuples(listings, listings),
    st.integers(1, 4),
    st.sets(st.integers(1, 12), max_size=2),
)
@settings(deadline=None)
def test_an_update_reads_what_differs_and_shares_the_shards_that_do_not(two_days, size, retry):
    old, new = two_days
    base = fresh_plan(listing_of(old), size)
    again = {f"PMC{n}" for n in retry}
    plan, changes = updated_plan(base, listing_of(new), size, retry=again)

    was, now, is_now = state(base), state(plan), state(fresh_plan(listing_of(new), size))
    assert now == is_now  # every listed version once, with its present mark
    changed = {p for p in was.keys() & now.keys() if was[p] != now[p]}
    retried = (was.keys() & now.keys() & again) - changed
    assert changes.new == sorted(now.keys() - was.keys())
    assert changes.removed == sorted(was.keys() - now.keys())
    assert (changes.changed, changes.retried) == (sorted(changed), sorted(retried))
    kept = (was.keys() & now.keys()) - changed - retried
    assert changes.num_kept == len(kept)

    home = {pmcid: rows[0]["shard"] for pmcid, rows in by_article(base).items()}
    read = changed | retried | (now.keys() - was.keys())
    written = {home[p] for p in changed | retried | (was.keys() - now.keys())}
    for pmcid, rows in by_article(plan).items():
        (place,) = {(row["shard"], row["action"]) for row in rows}
        if pmcid in was:
            action = "read" if pmcid in read else "copy" if home[pmcid] in written else "share"
            assert place == (home[pmcid], action)
        else:
            assert place[1] == "read"
            assert place[0] > max(home.values(), default=-1)


@given(listings, st.integers(1, 4))
@settings(deadline=None)
def test_an_update_to_the_same_listing_shares_everything(versions, size):
    base = fresh_plan(listing_of(versions), size)
    plan, changes = updated_plan(base, listing_of(versions), size)
    assert set(plan["action"].to_pylist()) <= {"share"}
    assert changes.num_kept == len(state(base))
    assert plan.drop(["action"]).equals(base.drop(["action"]))


def marked(**etags: str) -> pa.Table:
    ids = [name.replace("_", ".") for name in etags]
    return pa.table({"version_id": ids, "etag": list(etags.values())}, schema=LISTING_SCHEMA)


def test_a_version_without_a_mark_may_have_changed_but_one_that_is_not_there_has_not():
    base = fresh_plan(marked(PMC1_1="", PMC2_0="", PMC3_1="a", PMC4_10="b"), 1)
    same = marked(PMC1_1="", PMC2_0="", PMC3_1="", PMC4_10="b")
    _, changes = updated_plan(base, same, 1)
    assert (changes.changed, changes.num_kept) == (["PMC1", "PMC3"], 2)


def test_without_a_listing_only_what_is_named_is_read():
    base = fresh_plan(marked(PMC1_1="", PMC2_0="", PMC3_1="a"), 1)
    plan, changes = updated_plan(base, None, 1, retry={"PMC3"})
    assert (changes.changed, changes.retried, changes.num_kept) == ([], ["PMC3"], 2)
    assert plan["action"].to_pylist() == ["share", "share", "read"]


def test_versions_of_an_article_stay_together_and_in_the_listings_order():
    listing = pa.table(
        {"version_id": ["PMC2.1", "PMC2.10", "PMC10.1"], "etag": ["", "", ""]},
        schema=LISTING_SCHEMA,
    )
    assert fresh_plan(listing, 1)["shard"].to_pylist() == [0, 0, 1]
