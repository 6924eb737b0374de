"""The paper's cleaning of training questions: what each filter drops, what it leaves, and what is stripped."""

import polars as pl
import pytest

from raml.answers.parsable import parsable
from raml.questions.cleaning import ANSWER_FILTERS, EXAMPLES, FILTERS, NOT_VERIFIABLE, Raw, clean, counts
from raml.questions.cleaning_table import markdown
from raml.questions.stripping import strip
from raml.schemas import CleaningCount, column_types

GOOD = [
    "What is $2 + 2$?",
    "Find the area of the figure bounded by $y = x^2$ and $y = 4$.",
    "Compute $1 + \\frac12 + \\frac14 + \\cdots$",
    "A shirt costs $20 and a hat costs $5.50; how much do 3 shirts cost?",
    "The sum of the digits of a three-digit number is",
    "Find the number of two-digit figures.",
    "Point $A$ is the image of $B$ under a rotation. Find $A$ if $B = (1, 2)$.",
    "Let $a < b$ and $b > c$. If $a<b>c$, find the largest of the three numbers.",
    "How many students solved the last problem, if 20 solved all others and 5 none?",
    "The table is:\n| a | b |\n| 1 | 2 |\nWhat is the sum in the table above?",
    "求 $x + 1 = 3$ 的解",
    "In a group of 120 people, 90 have an age of more than 30 years. How many are left?",
    "Find the radius of the circle shown to be tangent to $y = 1$ by Euler.",
]
BAD = {
    "incomplete": [
        "", "  ", "Find x.", "Problem 3.", "Let $x$ be such that", "Given that $a + b = 5 and $a$ is even, what is b",
        "If $x = 3$ and", "Consider the numbers 1, 2, 3, ...", "Find the sum of [missing]",
        "Solve the system \\begin{cases} x = 1", "The question is incomplete but asks for the sum of digits.",
        "<p></p>", "https://example.org/question/12345",
    ],
    "needs a picture": [
        "In the figure, $AB = 5$. Find $BC$.", "What is the area of the shaded region in the diagram below?",
        "See ![](https://a.org/b.png) and count.",
        "How many triangles are there? <img src='a.gif'>", "[asy] draw((0,0)--(1,1)); [/asy] What is the length?",
        "Find the angle pictured below in degrees.", "如图所示, 求角的度数是多少",
        "The following table below lists sales. How many were sold in May?", "What is the perimeter of the figure?",
        "Using the given picture, find the number of cubes in total.", "Look at Fig. 3 and find $x$ in degrees.",
    ],
    "needs outside information": [
        "Using the result of the previous problem, find the sum of all roots.",
        "Use Theorem 4 to find the value of $x + y$.",
        "According to the article, how many whales were counted?",
        "Find the answer for the numbers of Exercise 12 in base 7.", "What is the current year modulo 7 and modulo 9?",
    ],
}  # fmt: skip
NO_ANSWER = ["", " ", "None", "n/a.", "unknown", "?", "...", "$$", "-", "see solution", r"\text{none}", "无"]
ANSWERS = ["0", "-1", "no solution", "n", "none of the above 4", r"\frac{1}{2}", "x", "-x", "3.5", r"\emptyset"]


def first_filter(question: str, answer: str = "1") -> str | None:
    return next((one.name for one in FILTERS if one.applies(question, answer)), None)


@pytest.mark.parametrize("question", GOOD)
def test_good_questions_are_kept(question: str) -> None:
    assert first_filter(question) is None


@pytest.mark.parametrize(("name", "question"), [(name, one) for name, some in BAD.items() for one in some])
def test_bad_questions_are_dropped_by_their_filter(name: str, question: str) -> None:
    assert first_filter(question) == name


@pytest.mark.parametrize("answer", NO_ANSWER)
def test_answers_that_are_none_are_dropped(answer: str) -> None:
    assert first_filter(GOOD[0], answer) == "no answer"


@pytest.mark.parametrize("answer", ANSWERS)
def test_answers_are_kept(answer: str) -> None:
    assert first_filter(GOOD[0], answer) is None


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        ("<p>What is x<sup>2</sup> for x<sub>1</sub> = 3?</p>", "What is x^{2} for x_{1} = 3?"),
        (
            "See [this site](https://example.org/a_(b)?c=d) or https://a.b/c.\nWhat is 2?",
            "See this site or .\nWhat is 2?",
        ),
        ("(from www.example.org)", "(from )"),
        ("a &lt; b &amp;&amp; c&nbsp;&gt; d", "a < b && c > d"),
        ("$a<b$ and $c>d$", "$a<b$ and $c>d$"),
        ("x <y> z, 1<2, <i>n</i> <3>", "x <y> z, 1<2, n <3>"),
        ("one<br/>two<br>three<hr>", "one\ntwo\nthree"),
        ("a<!-- hidden --><script>alert(1 < 2)</script> b", "a b"),
        ('<a href="https://x.y/z">link</a> text', "link text"),
        ("<div class='a'><span style=\"b\">inner</span></div>", "inner"),
        ("tab\t and   blanks  \n\n\n next", "tab and blanks\nnext"),
        ("&amp;lt;b&amp;gt;", ""),
    ],
)
def test_urls_and_html_are_stripped(text: str, stripped: str) -> None:
    assert strip(text) == stripped


def raw_questions() -> list[Raw]:
    bad = [(one, "1") for some in BAD.values() for one in some]
    pairs = [*((one, "3") for one in GOOD), *bad, (GOOD[0], ""), (GOOD[0], "10 { 5"), (BAD["incomplete"][2], "")]
    return [Raw(number, question, answer) for number, (question, answer) in enumerate(pairs)]


def test_each_question_is_dropped_once_by_the_first_filter() -> None:
    questions = raw_questions()
    cleaned = clean(questions, FILTERS, lambda answers: parsable(answers, "reading"))
    dropped = {name: len(some) for name, some in cleaned.dropped.items()}
    assert list(dropped) == ["incomplete", "no answer", "needs a picture", "needs outside information", NOT_VERIFIABLE]
    expected = {**{name: len(some) for name, some in BAD.items()}, "no answer": 1, NOT_VERIFIABLE: 1}
    assert dropped == {**expected, "incomplete": len(BAD["incomplete"]) + 1}
    kept = [raw.number for raw in cleaned.kept]
    assert kept == list(range(len(GOOD)))
    numbers = [raw.number for some in cleaned.dropped.values() for raw in some]
    assert sorted([*kept, *numbers]) == [raw.number for raw in questions]


def test_sets_that_others_have_cleaned_lose_only_what_is_empty() -> None:
    cleaned = clean(raw_questions(), ANSWER_FILTERS, None)
    assert {name: len(some) for name, some in cleaned.dropped.items()} == {"empty": 4}


def test_the_table_counts_and_shows() -> None:
    cleaned = clean(raw_questions(), FILTERS, lambda answers: parsable(answers, "reading"))
    rows = counts(cleaned, lambda raw: -raw.number)
    table = pl.DataFrame(rows, schema=column_types(CleaningCount))
    CleaningCount.validate(table)
    assert table["left"].to_list()[-1] == len(GOOD)
    assert table["dropped"].sum() + len(GOOD) == len(raw_questions())
    assert all(len(row["examples"]) == min(EXAMPLES, row["dropped"]) for row in rows)
    assert rows[0]["examples"][0]["row"] == len(raw_questions()) - 1
    text = markdown(rows, "owner/name train")
    assert "| needs a picture | a picture is linked, drawn or spoken of | 11 |" in text
    assert f"| {len(GOOD)} |" in text and "## Needs a picture" in text
    assert markdown([], "nothing").startswith("# What was left out of nothing")
