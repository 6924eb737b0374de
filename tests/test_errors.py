import pytest

from raml.errors import ConfigError, DataError, InputError, RamlError


@pytest.mark.parametrize(("error", "exit_code"), [(RamlError, 1), (InputError, 2), (ConfigError, 2), (DataError, 2)])
def test_exit_codes(error: type[RamlError], exit_code: int) -> None:
    assert error("what").exit_code == exit_code
    assert issubclass(error, RamlError)
