"""What a step's result depends on: the digest of its own code.

Snakemake receives `code_digest` as a parameter of each rule, so an edited function reruns the steps
that import it and an edited comment reruns nothing.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

import raml
from raml.config import Section, config_hash
from raml.storage import Provenance

SOURCE = Path(raml.__file__).parent


def provenance(scale: str, section: Section, module: str, *, seed: int | None, model_hash: str | None) -> Provenance:
    """The provenance of a file that `module` writes under the configuration `section`."""
    return Provenance(
        scale=scale,
        config_hash=config_hash(section),
        code_version=f"{raml.__version__}+{code_digest(module)}",
        seed=seed,
        model_hash=model_hash,
    )


@cache
def code_digest(module: str) -> str:
    """First 12 hex digits of the SHA-256 over the syntax trees of `module` and all that it imports of raml.

    Comments, docstrings and layout do not count. Other packages are pinned by the lock.
    """
    digest = hashlib.sha256()
    for name in sorted(_transitive(module)):
        digest.update(name.encode())
        digest.update(ast.dump(_without_docstrings(_tree(name))).encode())
    return digest.hexdigest()[:12]


def _transitive(module: str) -> set[str]:
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(_imports(name))
    return seen


@cache
def _imports(module: str) -> tuple[str, ...]:
    """Modules of raml that `module` imports, anywhere in its body, packages' `__init__` included."""
    found: set[str] = set()
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    parents = {name.rsplit(".", depth)[0] for name in found for depth in range(1, name.count(".") + 1)}
    return tuple(sorted(name for name in found | parents if _path(name)))


def _path(module: str) -> Path | None:
    if module != "raml" and not module.startswith("raml."):
        return None
    base = SOURCE.joinpath(*module.split(".")[1:])
    candidates = [base / "__init__.py", base.with_suffix(".py")] if base != SOURCE else [SOURCE / "__init__.py"]
    return next((path for path in candidates if path.is_file()), None)


@cache
def _tree(module: str) -> ast.Module:
    path = _path(module)
    if path is None:
        raise ModuleNotFoundError(f"no module {module!r} below {SOURCE}")
    return ast.parse(path.read_text(encoding="utf-8"))


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return tree
