"""What the sources may not do, by their syntax trees: unpickle, load YAML with tags, run a model's own code."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    [*(ROOT / "src").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py"), *(ROOT / "workflow").rglob("*.py")]
)
RULES = sorted(
    [ROOT / "Snakefile", *(ROOT / "workflow").rglob("*.smk"), *(ROOT / "scripts").glob("*"), ROOT / "Makefile"]
)

MODULES = {
    *("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle", "imp"),
    *("multiprocessing", "xmlrpc", "telnetlib", "ftplib"),
}
NAMES = {"eval", "exec", "__import__", "ProcessPoolExecutor"}
CALLS = {
    *("torch.load", "torch.save", "torch.hub.load", "np.load", "numpy.load", "pl.read_pickle", "pd.read_pickle"),
    *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "yaml.Loader", "yaml.FullLoader"),
    *("yaml.UnsafeLoader", "os.system", "os.popen", "shutil.unpack_archive", "tempfile.mktemp"),
}
METHODS = {"extractall", "read_pickle", "to_pickle"}
# Programs of models are run in a sandbox, and that is the module that does it.
ALLOWED = {("answers/sandbox_child.py", "exec"), ("answers/sandbox_child.py", "__import__")}


def offences(tree: ast.AST) -> Iterator[str]:
    """Names of what a module uses and may not."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names if name.name.split(".")[0] in MODULES)
            case ast.ImportFrom(module=str(module), names=names):
                yield from (module for _ in [0] if module.split(".")[0] in MODULES)
                dotted = {f"{module}.{name.name}" for name in names}
                yield from dotted & CALLS
                yield from {name.name for name in names} & NAMES
            case ast.Attribute(attr=attr):
                if ast.unparse(node) in CALLS or attr in METHODS:
                    yield ast.unparse(node)
            case ast.Name(id=name) if name in NAMES:
                yield name
            case ast.keyword(arg="trust_remote_code", value=value) if ast.unparse(value) != "False":
                yield "trust_remote_code"
            case ast.keyword(arg="allow_pickle" | "shell", value=value) if ast.unparse(value) != "False":
                yield str(node.arg)
            case ast.keyword(arg="weights_only", value=value) if ast.unparse(value) != "True":
                yield "weights_only"


@pytest.mark.parametrize(
    ("source", "offence"),
    [
        ("import pickle", "pickle"),
        ("from joblib import load", "joblib"),
        ("torch.load(path)", "torch.load"),
        ("from torch import load", "torch.load"),
        ("np.load(path, allow_pickle=True)", "allow_pickle"),
        ("yaml.load(text)", "yaml.load"),
        ("yaml.load(text, Loader=yaml.Loader)", "yaml.Loader"),
        ("AutoModel.from_pretrained(name, trust_remote_code=trusted)", "trust_remote_code"),
        ("subprocess.run(command, shell=True)", "shell"),
        ("archive.extractall(folder)", "archive.extractall"),
        ("eval(text)", "eval"),
    ],
)
def test_offences_are_found(source: str, offence: str) -> None:
    assert offence in offences(ast.parse(source))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_sources_have_none(path: Path) -> None:
    found = set(offences(ast.parse(path.read_text(encoding="utf-8"))))
    own = {name for file, name in ALLOWED if path.as_posix().endswith(file)}
    assert found - own == set()


def test_rules_and_scripts_have_none() -> None:
    words = re.compile(r"\b(pickle|joblib|dill|torch\.load|yaml\.(unsafe_)?load|trust.remote.code|eval|unsafe)\b")
    for path in RULES:
        if found := words.search(path.read_text(encoding="utf-8").replace("unsafe-best-match", "")):
            raise AssertionError(f"{path}: {found[0]}")


def test_pickles_are_looked_at_in_one_place_only() -> None:
    using = [path.name for path in SOURCES if "pickletools" in path.read_text(encoding="utf-8")]
    assert using == ["code.py"]


def calls(path: Path, name: str) -> list[ast.Call]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(name)]


def test_models_come_from_safetensors() -> None:
    for path in SOURCES:
        for call in calls(path, "AutoModelForCausalLM.from_pretrained"):
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            assert given.get("use_safetensors") == "True" or "gguf_file" in given, f"{path}: {ast.unparse(call)}"


@pytest.mark.parametrize(
    "module",
    ["transformers.trainer", "transformers.trainer_utils", "accelerate.checkpointing", "accelerate.utils.fsdp_utils"],
)
def test_checkpoints_are_resumed_from_plain_weights(module: str) -> None:
    """What the pinned libraries read with torch.load, a checkpoint's optimizer and random state, builds no objects."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    for call in calls(Path(spec.origin), "torch.load"):
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert given.get("weights_only") == "True", ast.unparse(call)
