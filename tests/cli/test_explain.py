"""Messages of jsonargparse that no configuration in the other tests provokes, and those of other versions."""

from __future__ import annotations

import pytest

from gnnlab.cli._explain import explain, with_hint


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("the following arguments are required: data.dataset, model.model", "missing value: data.dataset, model.model"),
        (
            'Parser key "model.model":\n  Not a valid subclass of A. Got value: None\n  Subclass types expect one of:',
            "model.model: missing value",
        ),
        ("unrecognized arguments: one two", "unexpected 'one two'\n  settings are written --key=value, files -c NAME"),
        ("Something new went wrong", "Something new went wrong"),
        ('Parser key "a":\n  - Expected a path but b either not accessible or invalid\n  - told so', "a: told so"),
    ],
)
def test_short_and_complete(message: str, expected: str) -> None:
    assert str(explain(message)) == expected


def test_a_very_long_message_is_cut() -> None:
    assert len(str(explain("x" * 10_000))) == 400


def test_the_innermost_parser_gives_the_hint() -> None:
    inner = with_hint("Option 'widht' is not accepted", ["width", "width.help"])
    outer = with_hint(f"Parser key \"model\":\n  Problem with given class_path 'a.B':\n    {inner}", ["widhts"])
    assert str(explain(outer)) == "model: unknown key 'widht' of a.B\n  did you mean 'width'?"
    assert with_hint("Expected a <class 'int'>", ["width"]) == "Expected a <class 'int'>"
