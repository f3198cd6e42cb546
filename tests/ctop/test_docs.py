"""The page for users has every key and every column, from the tables that the program uses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ctop import keys
from ctop.columns import COLUMNS, DEFAULT

PAGE = Path(__file__).parents[2] / "docs" / "ctop.md"


def key_table() -> str:
    """Return the key map as Markdown."""
    lines = []
    for title, table in (
        ("Moving", keys.MOVING),
        ("The list", keys.LISTING),
        ("Doing", keys.DOING),
        ("Detail", keys.DETAIL),
    ):
        lines += ["", f"| {title} | |", "|---|---|"]
        for key in table:
            names = " ".join(f"`{keys.label(name)}`" for name in key.keys)
            lines.append(f"| {names} | {key.about} |")
    return "\n".join(lines[1:])


def column_table() -> str:
    """Return the columns as Markdown."""
    lines = ["| Column | Title | Field in JSON and CSV | Meaning |", "|---|---|---|---|"]
    for column in COLUMNS.values():
        name = f"**{column.name}**" if column.name in DEFAULT else column.name
        lines.append(f"| {name} | {column.title} | `{column.field}` | {column.about} |")
    return "\n".join([*lines, "", "Bold: shown when nobody chose."])


@pytest.mark.parametrize(("section", "table"), [("keys", key_table()), ("columns", column_table())])
def test_page_is_up_to_date(section: str, table: str, *, update_golden: bool) -> None:
    """What is between the markers is what the program knows."""
    pattern = re.compile(rf"(<!-- {section}: [^>]*-->\n).*?(<!-- end -->)", re.DOTALL)
    page = PAGE.read_text(encoding="utf-8")
    written = pattern.sub(lambda found: f"{found[1]}\n{table}\n\n{found[2]}", page)
    if update_golden:
        PAGE.write_text(written, encoding="utf-8")
        return
    assert page == written, "run `make golden`"
