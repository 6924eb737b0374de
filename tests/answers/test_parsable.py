import random

from raml.answers.compare import normalised
from raml.answers.parsable import _PLAIN, parsable
from raml.answers.supervisor import Supervisor

READ = ["7", "-3.50", "$12$", r"\frac{1}{2}", "x = 3", r"\{1, 2\}", "(1, 2)", r"50\%", "2^{10}"]
NOT_READ = ["", "  ", "$", "10 { 5", r"\frac{1}{"]


def test_answers_are_told_apart_and_repeats_asked_once() -> None:
    found = parsable([*READ, *NOT_READ, *READ], "reading")
    assert found == {**dict.fromkeys(READ, True), **dict.fromkeys(NOT_READ, False)}


def test_several_workers_find_what_one_finds() -> None:
    rng = random.Random(0)
    answers = [rng.choice([rf"\frac{{{n}}}{{7}}", f"{n} {{", f"x + {n}"]) for n in range(200)]
    one, three = (parsable(answers, "reading", workers=workers) for workers in (1, 3))
    assert one == three and set(one.values()) == {True, False}
    assert parsable([], "reading") == {}


def test_numbers_that_are_not_asked_for_are_parsed_by_math_verify() -> None:
    worker = Supervisor()
    rng = random.Random(0)
    numbers = [
        f"{rng.choice(['', '-'])}{'0' * rng.randint(0, 2)}{rng.randrange(10 ** rng.randint(1, 13))}" for _ in range(40)
    ]
    numbers += [f"{number}.{rng.randrange(10 ** rng.randint(1, 9))}" for number in numbers[:20]]
    try:
        for number in numbers:
            assert _PLAIN.fullmatch(normalised(number)) and worker.parses(number, 10)
    finally:
        worker.stop()
