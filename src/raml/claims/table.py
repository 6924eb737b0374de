"""Reading `results/<scale>/claims.json` back."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from raml.claims.result import ClaimResult
from raml.errors import DataError
from raml.storage import read_json

RESULTS = TypeAdapter(Annotated[list[ClaimResult], Field(min_length=1)])


def load_results(path: Path) -> list[ClaimResult]:
    """The decided claims, in the registry's order.

    Raises:
        DataError: the file is missing, not JSON, or not a list of at least one claim result.
    """
    try:
        return RESULTS.validate_python(read_json(path))
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"]) or "(top level)"
        raise DataError(f"{path} is no list of claim results: {place}: {problem['msg']}; decide again") from None
