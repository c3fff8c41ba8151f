"""Tables of a comparison in every format: what they hold, what is escaped, and that they are well formed."""

from __future__ import annotations

import csv as files
import io
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from recrun.compare.comparison import Comparison, GroupResult, TestResult
from recrun.compare.formats import latex as of_latex
from recrun.compare.formats.blocks import blocks
from recrun.compare.formats.captions import captions
from recrun.compare.formats.csv import HEADS, csv
from recrun.compare.formats.figures import Figures, effect_text, p_text
from recrun.compare.formats.html import html
from recrun.compare.formats.latex import latex
from recrun.compare.formats.markdown import markdown
from recrun.compare.formats.sheet import means_sheet, sheet_of_tests
from recrun.compare.parts import Part

BEST = GroupResult("bprmf", ("a", "b"), 2, {"ndcg@20": 0.41234, "loss": 321.5}, {"ndcg@20": 0.0123, "loss": 2.0})
EVIL = 'a|b_c*d &<i>%$#{}~^\\"\x1b[31m\n中†'
OTHER = GroupResult(EVIL, ("c",), 1, {"ndcg@20": 0.4, "loss": None}, {"ndcg@20": None, "loss": None})
THIRD = GroupResult("ease", ("d",), 1, {"ndcg@20": 0.1, "loss": 400.0}, {"ndcg@20": None, "loss": None})


def _test(group: str, metric: str, p: float | None, over: str = "users") -> TestResult:
    interval = (None, None) if p is None else (-0.03, 0.00004)
    difference = None if p is None else -0.01234
    return TestResult(group, metric, difference, interval, p, p, -0.5, "t", over, 943, (1, 2), is_paired=False)


TESTS = (
    _test(EVIL, "ndcg@20", 0.2),
    _test("ease", "ndcg@20", 1e-9),
    _test(EVIL, "loss", None, "seeds"),
    _test("ease", "loss", 0.01),
)
COMPARISON = Comparison(
    "test",
    ("ndcg@20", "loss"),
    (BEST, OTHER, THIRD),
    "bprmf",
    TESTS,
    "holm",
    {"ndcg@20": "bprmf", "loss": "bprmf"},
    {"ndcg@20": (EVIL,), "loss": ()},
    ("a note with <b> and _ and %",),
)
DESCRIPTION = replace(COMPARISON, baseline=None, tests=(), undistinguished={})


def test_numbers_have_as_many_decimals_as_their_metric_needs() -> None:
    assert Figures.of(COMPARISON, "ndcg@20").decimals == 4
    assert Figures.of(COMPARISON, "loss").decimals == 1
    for value, decimals in ((0.0042, 6), (0.00999, 6), (0.01, 4), (9.99, 4), (12.3, 2), (5e4, 0), (0.0, 4), (1e-30, 9)):
        group = replace(BEST, mean={"x": value})
        assert Figures.of(replace(COMPARISON, groups=(group,)), "x").decimals == decimals
    assert Figures(0).number(-1.23456e200, signed=True) == "-1.235e+200"
    assert Figures(2).number(-0.001, signed=True) == "+0.00"
    assert Figures(2).number(-0.001) == "0.00"
    assert (p_text(0.00009), p_text(0.0001), p_text(1.0)) == ("<1e-4", "0.0001", "1.0000")
    assert (effect_text(None), effect_text(-0.001), effect_text(1.5)) == ("-", "-0.00", "+1.50")


def _rows_of_markdown(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]


def test_markdown_has_the_best_bold_and_marks_what_is_close() -> None:
    rows = _rows_of_markdown(markdown(COMPARISON))
    assert [cell.strip() for cell in rows[0]] == ["group", "seeds", "ndcg@20", "loss"]
    assert [cell.strip() for cell in rows[2]] == ["bprmf", "2", "**0.4123** (0.0123)", "**321.5** (2.0)"]
    assert rows[3][2].strip() == "0.4000 †"
    assert rows[3][3].strip() == "-"


def test_markdown_escapes_what_it_would_read() -> None:
    text = markdown(COMPARISON)
    for block in (text.split("\n\n")[0], text.split("\n\n")[1]):
        assert len({len(row) for row in _rows_of_markdown(block)}) == 1
    assert r"a\|b_c\*d &amp;&lt;i&gt;%\$\#\{\}\~^\\" in text
    assert "\x1b" not in text


def test_latex_is_balanced_and_escapes_what_it_would_obey() -> None:
    text = latex(COMPARISON)
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    assert r"\textbf{0.4123} (0.0123)" in text
    assert r"0.4000$^{\dagger}$" in text
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert not re.search(r"(?<!\\)[%#_]", body)
    assert "中" not in text
    assert r"a\textbar{}b\_c*d \&\textless{}i\textgreater{}\%\$\#\{\}\textasciitilde{}\textasciicircum{}" in text
    for row in [line for line in text.splitlines() if line.endswith(r"\\")]:
        assert len(re.findall(r"(?<!\\)&", row)) in (3, 6)
        assert not row.startswith("[")
    assert of_latex.escaped('"Müller" ŁÖ ±ð«') == "''Müller'' ŁÖ (U+00B1)(U+00F0)(U+00AB)"
    assert of_latex.escaped("a\nb") == r"a\textbackslash{}nb"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles_with_booktabs_and_sets_every_character(tmp_path: Path) -> None:
    text = latex(COMPARISON, replace(COMPARISON, part=Part("gender=F|_%", "users")))
    page = f"\\documentclass{{article}}\n\\usepackage{{booktabs}}\n\\begin{{document}}\n{text}\\end{{document}}\n"
    (tmp_path / "page.tex").write_text(page, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "LaTeX Warning: Command" not in done.stdout
    assert (tmp_path / "page.pdf").is_file()


def test_the_caption_of_latex_says_how_it_was_tested() -> None:
    caption = re.search(r"\\caption\{(.*)\}", latex(COMPARISON))
    assert caption is not None
    for text in ("943 users", "1 to 2 seeds", "t test over users", "Holm's method for 3 tests", r"95 \% intervals"):
        assert text in caption[1]


class _Tags(HTMLParser):
    """Gathers the text of cells, and checks that tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.bold: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "meta":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data
        if self.open and self.open[-1] == "b":
            self.bold.append(data)


def test_html_is_well_formed_and_escaped() -> None:
    found = _Tags()
    found.feed(html(COMPARISON))
    assert found.open == []
    assert found.rows[0] == ["group", "seeds", "ndcg@20", "loss"]
    assert found.rows[2][0] == EVIL.replace("\x1b", "\\x1b").replace("\n", "\\n")
    assert found.rows[2][2] == "0.4000 †"
    assert found.bold == ["0.4123", "321.5"]
    assert "<i>" not in html(COMPARISON)
    assert "a note with &lt;b&gt; and" in html(COMPARISON)


def test_csv_holds_all_numbers_unrounded() -> None:
    rows = list(files.DictReader(io.StringIO(csv(COMPARISON))))
    assert len(rows) == 6
    assert tuple(rows[0]) == HEADS
    first, second = rows[:2]
    assert (first["group"], first["mean"], first["sd"], first["is_best"]) == ("bprmf", "0.41234", "0.0123", "true")
    assert (first["baseline"], first["p"]) == ("", "")
    assert (second["group"], second["low"], second["p"], second["is_close"]) == (EVIL, "-0.03", "0.2", "true")
    assert (rows[4]["mean"], rows[4]["p"], rows[4]["difference"]) == ("", "", "")


def test_many_metrics_are_rows() -> None:
    names = tuple(f"m@{k}" for k in range(1, 9))
    groups = tuple(replace(each, mean=dict.fromkeys(names, 0.5), sd=dict.fromkeys(names)) for each in (BEST, THIRD))
    wide = replace(DESCRIPTION, metrics=names, groups=groups, best={})
    sheet = means_sheet(wide)
    assert sheet.heads == ("metric", "bprmf", "ease")
    assert [row[0].text for row in sheet.rows] == list(names)
    assert sheet_of_tests(wide) is None


def test_without_tests_there_is_one_table_and_no_word_of_tests() -> None:
    for write in (markdown, latex, html):
        text = write(DESCRIPTION)
        assert "difference" not in text
        assert "distinguishable" not in text
        assert "Holm" not in text


@pytest.mark.parametrize(
    ("correction", "head", "text"),
    [
        ("holm", "p Holm", "corrected by Holm's method for 3 tests"),
        ("bh", "p BH", "corrected by the method of Benjamini and Hochberg for 3 tests"),
        ("none", "p", "not corrected for the number of tests"),
    ],
)
def test_the_correction_is_named(correction: str, head: str, text: str) -> None:
    found = replace(COMPARISON, correction=correction)
    sheet = sheet_of_tests(found)
    assert sheet is not None
    assert sheet.heads.count(head) == 1
    assert sheet.heads.count("p") == 1
    assert text in " ".join(captions(found, "Bold", "†"))
    assert [name for name, _ in next(iter(blocks(found))).heads].count(head) == 1


def test_the_caption_says_why_tests_are_over_users_and_seeds() -> None:
    both = replace(COMPARISON, tests=tuple(replace(test, over="both", n_seeds=(2, 2)) for test in TESTS))
    text = " ".join(captions(both, "★", "~"))
    assert "t test over users and seeds (943 users, 2 seeds, different seeds)" in text
    assert "over users alone, or seeds alone, tests find differences too often" in text
    assert "in standard deviations of the users' differences" in text


def test_a_terminal_has_a_table_for_each_metric_with_the_best_first() -> None:
    first, second = blocks(replace(COMPARISON, best={"ndcg@20": "ease", "loss": "bprmf"}))
    assert [row[1] for row in first.rows] == ["ease", "bprmf", EVIL]
    assert [row[0] for row in first.rows] == ["★", "", "~"]
    assert first.title == "ndcg@20"
    assert second.rows[0][:3] == ("★", "bprmf", "321.5")
    assert len({len(row[2]) for row in first.rows}) == 1
