"""RO-Crate, `codecheck.yml` and `CITATION.cff`: valid by their own tools, and of the files that are there."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from requests.adapters import HTTPAdapter
from rocrate.rocrate import ROCrate
from rocrate_validator import services
from rocrate_validator.utils.http import HttpRequester
from urllib3 import HTTPResponse

import raml
from raml.config import load_scale
from raml.errors import DataError
from raml.lineage.citation import read_citation
from raml.lineage.codecheck import RESULTS, SPECIFICATION, text
from raml.lineage.crate import describe
from raml.lineage.environment import environment
from raml.storage import file_hash, read_provenance, write_json

ROOT = Path(__file__).parents[2]
CITATION = ROOT / "CITATION.cff"


class Packaged(HTTPAdapter):
    """RO-Crate's context as the package rocrate has it, so that the validator needs no network."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """The context, whatever is asked for below its address."""
        context = files("rocrate").joinpath("data/ro-crate.jsonld").read_bytes()
        kind = {"Content-Type": "application/ld+json"}
        answer = HTTPResponse(io.BytesIO(context), kind, 200, preload_content=False, request_url=request.url)
        return self.build_response(request, answer)


@pytest.fixture
def problems(tmp_path: Path) -> Iterator[Any]:
    """What the validator finds in a crate's folder, by what the specification requires."""
    cache = str(tmp_path / "cache")
    HttpRequester.initialize_cache(cache_path=cache)
    session = HttpRequester().session
    session.mount("https://w3id.org/ro/crate/", Packaged())
    assert HttpRequester().get("https://w3id.org/ro/crate/1.3/context").status_code == 200

    def find(folder: Path) -> list[str]:
        settings = {
            "rocrate_uri": str(folder),
            "profile_identifier": "ro-crate-1.3",
            "requirement_severity": "REQUIRED",
            "offline": True,
            "cache_path": cache,
        }
        return [f"{issue.violatingEntity}: {issue.message}" for issue in services.validate(settings).get_issues()]

    yield find
    HttpRequester.reset()


@pytest.fixture
def crate(tmp_path: Path) -> Path:
    """The committed micro results with a crate of their own."""
    folder = tmp_path / "results/micro"
    paths = ["claims.json", "tables/metrics.parquet", "tables/tab1.md", "figures/fig3.svg", "figures/fig3.json"]
    for name in paths:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((ROOT / RESULTS / name).read_bytes())
    described = describe(folder, [folder / name for name in paths], scale(), read_citation(CITATION), machine())
    write_json(described, folder / "ro-crate-metadata.json")
    return folder


def scale() -> Any:
    return load_scale("micro", folder=ROOT / "config/scales")


def machine() -> Any:
    return environment(ROOT / "requirements/core.lock")


def entities(folder: Path) -> dict[str, dict[str, Any]]:
    graph = json.loads((folder / "ro-crate-metadata.json").read_text())["@graph"]
    return {entity["@id"]: entity for entity in graph}


def test_the_crate_is_valid(crate: Path, problems: Any) -> None:
    assert problems(crate) == []


def test_the_crate_says_what_files_are_and_where_they_come_from(crate: Path) -> None:
    graph = entities(crate)
    for name in ("claims.json", "tables/metrics.parquet", "figures/fig3.svg"):
        assert graph[name]["sha256"] == file_hash(crate / name)
        assert int(graph[name]["contentSize"]) == (crate / name).stat().st_size
    assert graph["figures/fig3.svg"]["name"] == "Figure 3 as a figure"
    recorded = read_provenance(crate / "tables/metrics.parquet").config_hash
    assert graph["#tables/metrics.parquet/config_hash"]["value"] == recorded
    assert {part["@id"] for part in graph["#run"]["result"]} == {part["@id"] for part in graph["./"]["hasPart"]}
    assert machine().in_words() in graph["#run"]["description"]
    assert len(list(ROCrate(str(crate)).get_by_type("File"))) == 5  # and rocrate reads it


def test_files_of_another_scale_are_refused(crate: Path) -> None:
    other = load_scale("minimal", folder=ROOT / "config/scales")
    with pytest.raises(DataError, match="is of scale 'micro', but this crate is of scale 'minimal'"):
        describe(crate, [crate / "tables/metrics.parquet"], other, read_citation(CITATION), machine())


@pytest.mark.parametrize("metadata", sorted(ROOT.glob("results/*/ro-crate-metadata.json")), ids=str)
def test_committed_crates_are_of_the_committed_files(metadata: Path) -> None:
    for name, entity in entities(metadata.parent).items():
        if entity["@type"] == "File":
            assert file_hash(metadata.parent / name) == entity["sha256"], f"{name}: run the workflow again"


def test_the_citation_is_valid() -> None:
    program = Path(sys.executable).with_name("cffconvert")
    done = subprocess.run([program, "--validate", "-i", CITATION], capture_output=True, text=True)
    assert done.returncode == 0 and "valid according to schema version 1.2.0" in done.stdout, done.stderr
    assert read_citation(CITATION).version == raml.__version__


def test_a_citation_that_lacks_something_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "CITATION.cff"
    path.write_text("title: x")
    with pytest.raises(DataError, match="abstract: Field required"):
        read_citation(path)


def test_the_manifest_is_valid_and_of_the_committed_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    content = Path("codecheck.yml").read_text()
    assert content == text(read_citation(CITATION), RESULTS), "write it anew: python -m raml.lineage.codecheck"
    document = yaml.safe_load(content)
    # Codechecker, report and certificate are the codechecker's to add: nothing may look as if somebody had checked.
    assert document.keys() == {"version", "manifest", "paper"} and document["version"] == SPECIFICATION
    assert document["manifest"] and all(Path(item["file"]).is_file() for item in document["manifest"])
    assert document["paper"]["title"] and document["paper"]["reference"].startswith("https://")
    assert document["paper"]["authors"] and all(author["name"] for author in document["paper"]["authors"])
