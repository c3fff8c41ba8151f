"""How downloads look on a terminal, in a pipe, and when nobody wants to see them."""

from __future__ import annotations

import io

from rich.console import Console

from recrun.report.terminal.download_progress import FetchView, fetched_report


def watched(*, is_terminal: bool, is_quiet: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=is_terminal, force_interactive=is_terminal, width=100)
    with FetchView(console, is_quiet) as view:
        for name, total in (("train.txt", 1000), ("test.txt", None)):
            for done in (500, 1000):
                view(name, done, total)
    return stream.getvalue()


def test_a_pipe_gets_one_line_for_each_file() -> None:
    assert watched(is_terminal=False) == "downloading train.txt (1,000 bytes)\ndownloading test.txt\n"


def test_a_terminal_gets_bars() -> None:
    drawn = watched(is_terminal=True)
    assert "train.txt" in drawn
    assert "1.0/1.0 kB" in drawn
    assert "downloading" not in drawn


def test_nothing_is_shown_when_quiet() -> None:
    assert watched(is_terminal=True, is_quiet=True) == watched(is_terminal=False, is_quiet=True) == ""


def test_the_report_names_files_notes_and_terms() -> None:
    stream = io.StringIO()
    file = {"name": "a.txt", "status": "missing", "is_verified": False, "path": None}
    document = {"files": [file], "notes": ["[bold] is no markup"], "terms": "Be kind."}
    Console(file=stream, width=80, markup=False).print(fetched_report(document))
    assert "a.txt  missing  -         -" in stream.getvalue()
    assert stream.getvalue().endswith("note: [bold] is no markup\nterms: Be kind.\n")
