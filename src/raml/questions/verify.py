"""The question families by name, and the one verifier that every trajectory meets."""

from collections.abc import Mapping
from typing import Any

from raml.answers.compare import same_answer
from raml.errors import ConfigError
from raml.questions.family import Family
from raml.questions.gym import NUMBER_SORTING
from raml.questions.program_tests import tests_of
from raml.questions.rows import ROWS, ROWS_SORT, ROWS_TOP
from raml.questions.spelling import SPELL_BACKWARD
from raml.questions.sums import CHAIN_SUM, LEG_COUNTING, WORD_PROBLEM
from raml.questions.trees import PATH, PATH_BACK

IN_MICRO_WORDS = (ROWS, ROWS_TOP, ROWS_SORT, PATH, PATH_BACK, NUMBER_SORTING)  # the micro tokenizer's
IN_ENGLISH = (CHAIN_SUM, LEG_COUNTING, WORD_PROBLEM, SPELL_BACKWARD)
FAMILIES = {family.name: family for family in (*IN_MICRO_WORDS, *IN_ENGLISH)}


def family_of(name: str) -> Family:
    """The family called `name`.

    Raises:
        ConfigError: there is none.
    """
    if name not in FAMILIES:
        raise ConfigError(f"unknown question family {name!r}; allowed: {', '.join(sorted(FAMILIES))}")
    return FAMILIES[name]


def verify(question: Mapping[str, Any], answer: str) -> bool:
    """Whether `answer` answers `question` (a row of `schemas.Question`), by its family's own verifier.

    Questions of data sets without a family (mathematical answers) are compared with their gold answer; programs are
    run on their tests.
    """
    family = FAMILIES.get(question["family"])
    if family is None:
        gold = tests_of(question) if question["answer_type"] == "code" else question["answer"]
        return same_answer(answer, gold, question["answer_type"])
    return family.verify(question, answer)
