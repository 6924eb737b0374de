"""Files that a model describes: one line says where a value does not fit."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from raml.errors import DataError

M = TypeVar("M", bound=BaseModel)


def parse(model: type[M], value: Any, what: str, hint: str = "") -> M:
    """`value` as a `model`.

    Raises:
        DataError: it is none; the message is `what`, the first problem and `hint`.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "(top level)"
        raise DataError(f"{what}: {where}: {problem['msg']}{hint}") from None
