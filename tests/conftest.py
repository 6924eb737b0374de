"""How the tests are spread over processes (`make test`)."""

import pytest


@pytest.hookimpl(tryfirst=True)  # before the plugin reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share costly fixtures stay in one process: those of a file, and all on the finished DAG."""
    for item in items:
        on_dag = {"built", "copy_of_built"} & set(getattr(item, "fixturenames", ()))
        item.add_marker(pytest.mark.xdist_group("built" if on_dag else str(item.path)))
