import json
from typing import Any

import pytest
from report_results import Results

from raml.report import fig3, fig16


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Built once: tests that change a file work on their own copy of it."""
    results = Results(tmp_path_factory.mktemp("minimal"))
    results.draw_curves(fig3, "fig3")
    results.draw_curves(fig16, "fig16")
    results.draw_tab2()
    results.build()
    return results


@pytest.fixture(scope="session")
def page(results: Results) -> str:
    return (results.root / "report/index.html").read_text(encoding="utf-8")


@pytest.fixture
def exhibit_json(results: Results) -> dict[str, Any]:
    return dict(json.loads(results.exhibit("fig3").read_text(encoding="utf-8")))
