"""Names from a source reach a terminal as text: they neither steer it nor pass for its lines."""

import io
import logging

from din_assets.command.saying import say
from din_assets.runs.story import Story
from din_assets.runs.terminal import Terminal

NAME = "a\x1b[31m\nWARNING b.csv"
SHOWN = "a\\x1b[31m\n  WARNING b.csv"


def test_file_that_is_named_in_a_warning_or_a_sentence_is_text(capsys):
    out = io.StringIO()
    story = Story(Terminal(out))
    for level, what in ((logging.INFO, "read"), (logging.WARNING, "gone")):
        record = logging.LogRecord("dagster", level, "", 0, f"{NAME} is {what}", None, None)
        story.hear(record, logging.INFO)
    story.tell(f"{NAME} is new")
    assert out.getvalue().splitlines() == [
        *f"  {SHOWN} is read".splitlines(),
        *f"WARNING {SHOWN} is gone".splitlines(),
        *f"din: {SHOWN} is new".splitlines(),
    ]
    say(NAME)
    assert capsys.readouterr().err == f"din: {SHOWN}\n"
