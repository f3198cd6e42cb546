"""The books: readings in, accounts that never fall out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroup_model.dialects import OomKills
from cgroup_model.engines import Identity
from cgroup_model.oom import Account, Victim
from cgroup_model.oom.ledger import KEPT_SECONDS, MOST_ACCOUNTS, PAGES, Ledger


def ledger() -> Ledger:
    """Make an empty one in which every cgroup's inode is its path's length."""
    return Ledger(len, lambda path, _inode: Identity("docker", path, path[1:], path))


def kills(books: Ledger) -> dict[str, int]:
    """Map path -> kills."""
    return {account.path: account.kills for account in books.accounts()}


def account(books: Ledger, path: str) -> Account:
    """Find one account."""
    return next(one for one in books.accounts() if one.path == path)


def own(count: int) -> OomKills:
    """Give a reading of v1."""
    return OomKills(count, None)


def test_a_kill_is_booked_in_the_cgroup_and_all_above() -> None:
    """Counts of v1 are local; accounts are of subtrees, like all other metrics."""
    books = ledger()
    assert books.observe("/a/b", 4, own(2), 10.0) == 2
    assert books.observe("/a/c", 4, own(1), 11.0) == 1
    assert kills(books) == {"/": 3, "/a": 3, "/a/b": 2, "/a/c": 1}
    assert books.attributed == 3
    assert account(books, "/a").own_kills == 0
    assert (account(books, "/a").first_epoch, account(books, "/a").last_epoch) == (10.0, 11.0)


def test_nothing_happened_makes_no_account() -> None:
    """A thousand cgroups without a kill take no room."""
    books = ledger()
    books.observe("/a", 2, own(0), 1.0)
    books.observe("/a", 2, OomKills(None, None), 1.0)
    books.depart("/a", 2, 2.0)
    assert books.accounts() == ()


def test_what_was_there_before_is_shown_but_not_attributed() -> None:
    """The kernel's counters began before the ledger."""
    books = ledger()
    books.observe("/a", 2, own(6), None)
    assert kills(books) == {"/": 6, "/a": 6}
    assert (books.attributed, account(books, "/a").first_epoch) == (0, None)
    books.observe("/a", 2, own(7), 5.0)
    assert (books.attributed, kills(books)["/a"]) == (1, 7)


def test_a_parent_of_v2_knows_more_than_its_children() -> None:
    """Where the kernel adds up, the larger of its sum and ours is true; nothing is counted twice."""
    books = ledger()
    books.observe("/a/b", 4, OomKills(1, 1), 1.0)
    books.observe("/a", 2, OomKills(0, 3), 1.0)
    assert kills(books)["/a"] == 3
    assert books.unexplained_below("/a") == 2
    books.depart("/a/c", 4, 2.0, more=2)
    assert (kills(books)["/a"], books.unexplained_below("/a")) == (3, 0)


def test_kernels_that_only_add_up() -> None:
    """Before Linux 5.2 what is not below is the cgroup's own."""
    books = ledger()
    books.observe("/a/b", 4, OomKills(None, 2), 1.0)
    books.observe("/a", 2, OomKills(None, 3), 1.0)
    assert (account(books, "/a").own_kills, kills(books)["/a"], books.attributed) == (1, 3, 3)


def test_a_cgroup_made_again_goes_on() -> None:
    """The count of a path never falls, though the kernel's begins anew."""
    books = ledger()
    books.observe("/a", 100, own(3), 1.0)
    books.depart("/a", 100, 2.0)
    assert account(books, "/a").departed
    assert account(books, "/a").gone_epoch == 2.0
    books.observe("/a", 200, own(0), 3.0)
    assert (kills(books)["/a"], account(books, "/a").departed) == (3, False)
    books.observe("/a", 200, own(2), 4.0)
    assert (kills(books)["/a"], kills(books)["/"], books.attributed) == (5, 5, 5)


def test_kills_found_out_late_belong_to_the_one_that_is_gone() -> None:
    """Also when a successor has the path already."""
    books = ledger()
    books.observe("/a", 100, own(1), 1.0)
    books.depart("/a", 100, 2.0)
    books.observe("/a", 200, own(1), 3.0)
    books.depart("/a", 100, 4.0, more=1)
    assert kills(books)["/a"] == 3
    assert not account(books, "/a").departed


def test_victims_find_their_account() -> None:
    """By path, before or after the kill is counted; without one, where only one account lacks a victim."""
    books = ledger()
    named, nameless = Victim(10.0, 1, "x", cgroup="/a"), Victim(10.0, 2, "y")
    books.add_victim(named)
    assert books.unplaced() == (named,)
    books.observe("/a", 2, own(2), 10.5)
    books.add_victim(nameless)
    assert account(books, "/a").victims == (named, nameless)
    assert books.unplaced() == ()


def test_a_victim_that_may_be_of_two_is_of_none() -> None:
    """Nobody is blamed by guessing."""
    books = ledger()
    books.observe("/a", 2, own(1), 10.0)
    books.observe("/b", 2, own(1), 10.0)
    books.add_victim(Victim(10.0, 2, "y"))
    assert account(books, "/a").victims == account(books, "/b").victims == ()


def test_departed_accounts_are_kept_for_pages_and_time() -> None:
    """Two looks at least, and a quarter of an hour; ancestors keep the sum."""
    books = ledger()
    books.observe("/a/b", 100, own(1), 0.0)
    books.depart("/a/b", 100, 0.0)
    for _ in range(PAGES + 3):
        books.expire(KEPT_SECONDS)
    assert "/a/b" in kills(books)
    books.expire(KEPT_SECONDS + 1)
    assert kills(books) == {"/": 1, "/a": 1}


def test_pages_count_even_when_time_is_over() -> None:
    """A scraper that comes once an hour sees it twice."""
    books = ledger()
    books.observe("/a", 100, own(1), 0.0)
    books.depart("/a", 100, 0.0)
    for page in range(PAGES):
        assert "/a" in kills(books), page
        books.expire(1e9)
    assert "/a" in kills(books)
    books.expire(1e9)
    assert "/a" not in kills(books)


def test_there_is_an_end_of_accounts() -> None:
    """Cgroups that come, die of OOM and go do not fill the memory; the newest are kept."""
    books = ledger()
    for number in range(MOST_ACCOUNTS + 50):
        books.observe(f"/{number}", 5000, own(1), float(number))
        books.depart(f"/{number}", 5000, float(number))
    accounts = books.accounts()
    assert len(accounts) <= MOST_ACCOUNTS
    assert f"/{MOST_ACCOUNTS + 49}" in kills(books)
    assert "/0" not in kills(books)
    assert kills(books)["/"] == MOST_ACCOUNTS + 50


@given(st.lists(st.tuples(st.sampled_from(["/a", "/a/b", "/a/c"]), st.integers(0, 3), st.booleans()), max_size=40))
def test_counts_never_fall(steps: list[tuple[str, int, bool]]) -> None:
    """Whatever cgroups do, no account falls, and what was attributed is what was booked."""
    books = ledger()
    counters = {"/a": [1, 0], "/a/b": [2, 0], "/a/c": [3, 0]}  # path -> inode, kernel's counter
    happened = 0
    before: dict[str, int] = {}
    for epoch, (path, new, removed) in enumerate(steps):
        state = counters[path]
        state[1] += new
        happened += new
        books.observe(path, state[0], own(state[1]), float(epoch))
        if removed:
            books.depart(path, state[0], float(epoch))
            state[0], state[1] = state[0] + 10, 0
        now = kills(books)
        assert all(now[one] >= count for one, count in before.items())
        before = now
    assert books.attributed == happened
    assert before.get("/", 0) == happened


@pytest.mark.parametrize("more", [0, 2])
def test_departing_twice_is_departing_once(more: int) -> None:
    """The kernel may tell it twice."""
    books = ledger()
    books.observe("/a", 100, own(1), 1.0)
    books.depart("/a", 100, 2.0, more)
    books.depart("/a", 100, 3.0)
    assert (kills(books)["/a"], account(books, "/a").gone_epoch) == (1 + more, 2.0)
