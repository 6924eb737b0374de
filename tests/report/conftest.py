import json
from typing import Any

import pytest

from report_results import Results


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Built once: tests that change a file work on their own copy of it."""
    results = Results(tmp_path_factory.mktemp("minimal"))
    results.lay_out_trajectories()
    results.build()
    return results


@pytest.fixture(scope="session")
def pages(results: Results) -> dict[str, str]:
    """The report's pages by name, the viewer's among them."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted((results.root / "report").glob("*.html"))}


@pytest.fixture
def exhibit_json(results: Results) -> dict[str, Any]:
    return dict(json.loads(results.exhibit("fig3").read_text(encoding="utf-8")))
