"""Formats of kernel files."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cgroup_model import parse
from cgroup_model.parse import ParseError
from cgroup_model.snapshot import UNLIMITED, PressureLine

PARSERS: list[Callable[[bytes], object]] = [
    parse.integer,
    parse.signed,
    parse.limit,
    parse.boolean,
    parse.percent,
    parse.line,
    parse.words,
    parse.flat_keyed,
    parse.device,
    parse.device_keyed,
    parse.id_list,
    parse.pids,
    parse.pressure,
    parse.proc_cgroup,
]

FRAGMENTS = st.sampled_from(
    b"8:16|rbytes=12|some avg10=0.5 avg60=1.00 avg300=2.00 total=3|0-3|1,2|max|-|7|=|:|0::/a|4:memory:/b|\n| |\0|"
    b"\xff|1_0|\xd9\xa3|99999999999999999999999|1.5|.".split(b"|")
)
CONTENT = st.one_of(st.binary(), st.lists(FRAGMENTS).map(b"".join), st.lists(FRAGMENTS).map(b" ".join))


def test_every_parser_of_a_file_is_fuzzed() -> None:
    """A new parser joins the list above: each public function of bytes alone is in it."""
    public = {
        name
        for name, function in vars(parse).items()
        if callable(function) and not name.startswith("_") and inspect.unwrap(function).__module__ == parse.__name__
        if list(inspect.signature(function).parameters) in (["data"], ["token"])
    }
    assert public == {parser.__name__ for parser in PARSERS}


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.__name__)
@given(data=CONTENT)
@example(data=b"")
@example(data=b"\0")
@example(data=b"-1\n")
@example(data=b"+1\n")
@example(data=b"1_000\n")
@example(data=b"1" * 5000)  # more digits than int() takes
@example(data="\u0663\n".encode())  # a digit, to str.isdigit()
@example(data=b"\xff\xfe\n")
@example(data=b"max max\n")
@example(data=b"anon 18446744073709551616\nanon 1\n")
@example(data=b"some avg10=nan avg60=1e999 avg300= total=\n")
@example(data=b"0-4294967295\n")  # a list that would not fit in memory
@example(data=b"8:0 rbytes=\n8: wbytes=1\n:0 x\n")
@example(data=b"0::/../..\n\n1:name=\n")
def test_any_bytes_give_a_value_or_a_parse_error(parser: Callable[[bytes], object], data: bytes) -> None:
    """Whatever a file holds, the only exception is `ParseError`."""
    with suppress(ParseError):
        parser(data)


@given(number=st.integers(0, 2**64 - 1))
def test_integer_reads_every_number_the_kernel_prints(number: int) -> None:
    """All of u64, with or without a newline."""
    assert parse.integer(b"%d\n" % number) == parse.integer(b"%d" % number) == number


@pytest.mark.parametrize("data", [b"", b"\n", b"1 2", b"+1", b"1_0", b"0x1", b"-1", b"1.0", b"9" * 21, "٣".encode()])
def test_integer_refuses_what_the_kernel_does_not_print(data: bytes) -> None:
    """Python's int() reads more than the kernel writes; all of that is malformed."""
    with pytest.raises(ParseError):
        parse.integer(data)


def test_limit_keeps_unlimited_and_zero_apart() -> None:
    """``max`` is `UNLIMITED`, 0 is zero."""
    assert parse.limit(b"max\n") is UNLIMITED
    assert parse.limit(b"0\n") == 0


def test_signed_reads_negative_numbers() -> None:
    """-1, as v1 writes for no quota."""
    assert parse.signed(b"-1\n") == -1


def test_boolean_refuses_other_numbers() -> None:
    """A flag is 0 or 1; 2 is malformed."""
    assert [parse.boolean(b"0\n"), parse.boolean(b"1\n")] == [False, True]
    with pytest.raises(ParseError):
        parse.boolean(b"2\n")


def test_error_quotes_the_line_and_bounds_it() -> None:
    """The message shows the offending line, not a megabyte of it."""
    with pytest.raises(ParseError, match="b'rubbish x y'"):
        parse.flat_keyed(b"anon 1\nrubbish x y\n")
    with pytest.raises(ParseError) as caught:
        parse.integer(b"x" * 1_000_000)
    assert len(str(caught.value)) < 200


def test_flat_keyed_keeps_values_as_bytes() -> None:
    """Unknown keys may hold anything: only known ones are converted."""
    assert parse.flat_keyed(b"anon 4096\nnew what\n") == {b"anon": b"4096", b"new": b"what"}


def test_flat_keyed_reads_files_without_a_last_newline() -> None:
    """The slow path gives the same as the fast one."""
    assert parse.flat_keyed(b"a 1\n\nb 2") == parse.flat_keyed(b"a 1\nb 2\n")


LINES = st.sampled_from(
    [b"anon 1", b"file 2", b"file 30", b"new what", b"anon x", b"anon", b"anon 1 2", b"", b"file 1_0"]
)


@given(files=st.lists(st.lists(LINES, max_size=4), min_size=2, max_size=4))
def test_flat_numbers_are_those_of_the_slow_way(files: list[list[bytes]]) -> None:
    """Whatever file came before, a file gives the same numbers, or the same error, as line by line."""
    fields = {b"anon": "anon", b"file": "file", b"absent": "absent"}
    fast = parse.FlatNumbers(fields)
    for lines in [*files, *files]:
        data = b"".join(line + b"\n" for line in lines)
        try:
            expected = parse.numbers(parse.flat_keyed(data), fields)
        except ParseError:
            with pytest.raises(ParseError):
                fast(data)
        else:
            assert fast(data) == expected


@pytest.mark.parametrize(
    ("line", "zero"),
    [
        (b"SwapTotal:             0 kB\n", True),
        (b"SwapTotal:            10 kB\n", False),
        (b"SwapTotal: none\n", False),
        (b"MySwapTotal:           0 kB\n", False),
    ],
)
def test_only_a_plain_zero_says_zero(line: bytes, zero: bool) -> None:  # noqa: FBT001
    """What is not spelled as the kernel spells 0 is not known to be 0."""
    assert parse.says_zero(b"MemFree:             100 kB\n" + line, b"SwapTotal") is zero


@pytest.mark.parametrize("data", [b"a 1\nb\n", b"a 1 2\n", b"a\nb 1 c\n", b"a b c\n"])
def test_flat_keyed_refuses_lines_that_are_no_pair(data: bytes) -> None:
    """A line of one or three words is malformed, also where the number of words in the file is even."""
    with pytest.raises(ParseError):
        parse.flat_keyed(data)


def test_numbers_refuses_a_malformed_known_value_only() -> None:
    """Known keys must be numbers; the message has key and value."""
    assert parse.numbers({b"a": b"1", b"b": b"x"}, {b"a": "A", b"c": "C"}) == {"A": 1}
    with pytest.raises(ParseError, match="b x"):
        parse.numbers({b"b": b"x"}, {b"b": "B"})


def test_device_keyed_starts_a_device_at_its_number() -> None:
    """Kernels have written a device without counters and without a newline before the next one."""
    assert parse.device_keyed(b"8:0 8:16 rbytes=1 wbytes=2\n") == {
        (8, 0): {},
        (8, 16): {b"rbytes": b"1", b"wbytes": b"2"},
    }


def test_device_keyed_drops_an_unfinished_last_line() -> None:
    """The kernel has cut the file at a page: a cut number would be a wrong one."""
    assert parse.device_keyed(b"8:0 rbytes=1\n8:16 rbytes=12") == {(8, 0): {b"rbytes": b"1"}}


def test_id_list_is_sorted_and_unique() -> None:
    """Ranges may overlap and come in any order; an empty file is an empty list."""
    assert parse.id_list(b"8,0-2,1-3\n") == (0, 1, 2, 3, 8)
    assert parse.id_list(b"\n") == ()


@pytest.mark.parametrize("data", [b"3-1", b"0-99999999", b"1,,2", b"0-10:2/4", b"a"])
def test_id_list_refuses_hostile_ranges(data: bytes) -> None:
    """A list that would fill memory, or is none, is malformed."""
    with pytest.raises(ParseError):
        parse.id_list(data)


@given(ids=st.sets(st.integers(0, 300)))
def test_format_id_list_inverts_id_list(ids: set[int]) -> None:
    """What is written is what was read."""
    assert parse.id_list(parse.format_id_list(ids).encode()) == tuple(sorted(ids))


def test_pressure_reads_both_lines_and_skips_unknown_ones() -> None:
    """``some`` and ``full``, new kinds and keys ignored, the file kept as it was."""
    some = b"some avg10=1.50 avg60=0.10 avg300=0.00 total=42 new=1\n"
    data = some + b"half x\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
    resource = parse.pressure(data)
    assert resource.some == PressureLine(1.5, 0.1, 0.0, 42)
    assert resource.full == PressureLine(0.0, 0.0, 0.0, 7)
    assert resource.raw == data


def test_pressure_of_old_kernels_has_no_full_line() -> None:
    """cpu.pressure before Linux 5.13: ``full`` is unknown, not zero."""
    assert parse.pressure(b"some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n").full is None


def test_pressure_refuses_a_line_without_total() -> None:
    """A known line must be whole."""
    with pytest.raises(ParseError, match="total"):
        parse.pressure(b"some avg10=0.00 avg60=0.00 avg300=0.00\n")


def test_proc_cgroup_keeps_colons_of_paths() -> None:
    """A path may hold colons and bytes that are no UTF-8."""
    v1, v2 = parse.proc_cgroup(b"4:cpu,cpuacct:/a:b\n0::/c\xff d\n")
    assert v1.controllers == {"cpu", "cpuacct"}
    assert (v1.version, v1.path) == (1, "/a:b")
    assert (v2.version, v2.path) == (2, "/c\udcff d")
