"""`CITATION.cff`: what this is called, which version it is, and the paper that it reproduces."""

from datetime import date
from pathlib import Path

from pydantic import AliasPath, BaseModel, Field

from raml.config.reading import read_yaml
from raml.lineage.parsing import parse


class Person(BaseModel):
    """An author of the paper."""

    family: str = Field(alias="family-names")
    given: str = Field(alias="given-names")

    @property
    def name(self) -> str:
        """As it is read."""
        return f"{self.given} {self.family}"


class Citation(BaseModel):
    """The parts of the file that other descriptions repeat."""

    title: str
    abstract: str
    version: str
    released: date = Field(alias="date-released")
    maintainers: str = Field(validation_alias=AliasPath("authors", 0, "name"))
    paper: str = Field(validation_alias=AliasPath("references", 0, "title"))
    authors: list[Person] = Field(min_length=1, validation_alias=AliasPath("references", 0, "authors"))
    year: int = Field(validation_alias=AliasPath("references", 0, "year"))
    url: str = Field(validation_alias=AliasPath("references", 0, "url"))


def read_citation(path: Path) -> Citation:
    """Read `CITATION.cff`.

    Raises:
        InputError: the file is missing, no YAML, or lacks what is needed here.
    """
    return parse(Citation, read_yaml(path), str(path))
