"""`CITATION.cff`: what this is called, which version it is, and the paper that it reproduces."""

from datetime import date
from pathlib import Path

from pydantic import BaseModel, Field

from raml.config.reading import read_yaml
from raml.errors import ConfigError, DataError
from raml.lineage.checked import checked


class Person(BaseModel):
    """An author of the paper."""

    family: str = Field(alias="family-names")
    given: str = Field(alias="given-names")

    @property
    def name(self) -> str:
        """As it is read."""
        return f"{self.given} {self.family}"


class Group(BaseModel):
    """Those who maintain this."""

    name: str


class Paper(BaseModel):
    """The paper."""

    title: str
    authors: list[Person] = Field(min_length=1)
    year: int
    url: str


class Citation(BaseModel):
    """The parts of the file that other descriptions repeat."""

    title: str
    abstract: str
    version: str
    released: date = Field(alias="date-released")
    authors: list[Group] = Field(min_length=1)
    references: list[Paper] = Field(min_length=1)

    @property
    def paper(self) -> Paper:
        """The paper that is reproduced."""
        return self.references[0]


def read_citation(path: Path) -> Citation:
    """Read `CITATION.cff`.

    Raises:
        DataError: the file is missing, no YAML, or lacks what is needed here.
    """
    try:
        return checked(Citation, read_yaml(path), str(path))
    except ConfigError as error:
        raise DataError(str(error)) from None
