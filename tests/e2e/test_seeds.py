"""Every row of seeds.py names tests that exist and run on Postfix, or says why there are none. Where SEEDS names the
list that seeds.py was made from, no row of it may be missing, and none may be left over."""
import ast
import os
import pathlib

import pytest

from seeds import ROWS

HERE = pathlib.Path(__file__).parent


def functions_in(name):
    """{test: its parameters} of a file."""
    tree = ast.parse((HERE / name).read_text(encoding="utf-8"))
    return {node.name: {argument.arg for argument in node.args.args} for node in tree.body
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def rows_of(text):
    """(ancestor, first column) of each row of the tables; a heading begins an ancestor's: "## Momentum: ..."."""
    rows, ancestor = set(), None
    for line in text.splitlines():
        if line.startswith("## "):
            ancestor = line[3:].partition(":")[0].strip()
        first = line.split("|")[1].strip() if line.startswith("|") else ""
        if first and not first.startswith("theirs") and set(first) != {"-"}:
            rows.add((ancestor, first))
    return rows


@pytest.mark.parametrize("row", ROWS, ids=["-".join(row).replace(" ", "_")[:60] for row in ROWS])
def test_row_is_shown(row):
    ancestor, _ = row
    if isinstance(ROWS[row], str):
        assert len(ROWS[row].split()) > 3, "say why"
        return
    assert ROWS[row]
    for test in ROWS[row]:
        name, _, function = test.partition("::")
        assert (HERE / name).exists(), test
        functions = functions_in(name)
        assert function in functions, test
        assert functions[function] & {"mta", "postfix"}, f"{test} does not run on Postfix"
    assert any(f"::test_{ancestor.lower()}_" in test for test in ROWS[row]), "none of them is named after the ancestor"


def test_each_test_of_an_ancestor_belongs_to_a_row():
    named = {test for tests in ROWS.values() if isinstance(tests, list) for test in tests}
    for ancestor in {row[0].lower() for row in ROWS}:
        for function in functions_in(f"test_{ancestor}.py"):
            assert f"test_{ancestor}.py::{function}" in named or function.endswith("_on_sendmail"), function


def test_no_row_is_missing():
    sample = "## Haraka: limit\n| theirs | ours |\n| --- | --- |\n| Redis | x |\n## Postfix: y\n| a | b |\n"
    assert rows_of(sample) == {("Haraka", "Redis"), ("Postfix", "a")}
    if "SEEDS" in os.environ:
        rows = rows_of(pathlib.Path(os.environ["SEEDS"]).read_text(encoding="utf-8"))
        assert sorted(rows - set(ROWS)) == [], "rows without an entry in seeds.py"
        assert sorted(set(ROWS) - rows) == [], "entries in seeds.py for rows that are not there"
