"""The digest of a step's own code and the packages that matter: part of what its result depends on.

Snakemake receives `code_digest` as a parameter of each rule, so an edited function reruns the steps
that import it and an edited comment reruns nothing. This module stays light: every parse of the
Snakefile imports it.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path
from typing import Final

import raml

SOURCE = Path(raml.__file__).parent

PACKAGES: Final = (
    *("accelerate", "datasets", "math-verify", "numpy", "peft", "polars", "pyarrow", "reasoning-gym", "scipy"),
    *("tokenizers", "torch", "transformers", "trl"),
)
"""Of which a new version may change results, tokenisation and the reward's judgement included."""


@cache
def code_digest(module: str, unused: frozenset[str] = frozenset()) -> str:
    """First 12 hex digits of the SHA-256 over the syntax trees of `module` and all that it imports of raml.

    Comments, docstrings and layout do not count. Other packages are pinned by the lock. Modules that are `unused`,
    because nothing in them is called, are left out with what they alone import.

    Raises:
        ModuleNotFoundError: there is no such module below `SOURCE`.
    """
    digest = hashlib.sha256()
    for name in sorted(_transitive(module, unused)):
        digest.update(name.encode())
        digest.update(_meaning(name))
    return digest.hexdigest()[:12]


def _transitive(module: str, unused: frozenset[str]) -> set[str]:
    seen: set[str] = set()
    waiting = [module, *_parents(module)]
    while waiting:
        name = waiting.pop()
        if name not in seen and name not in unused:
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
    found.update([parent for name in found for parent in _parents(name)])
    return tuple(sorted(name for name in found if _path(name)))


def _parents(module: str) -> list[str]:
    """The packages around `module`, whose `__init__` Python runs before it."""
    return [module.rsplit(".", depth)[0] for depth in range(1, module.count(".") + 1)]


def _path(module: str) -> Path | None:
    if module != "raml" and not module.startswith("raml."):
        return None
    base = SOURCE.joinpath(*module.split(".")[1:])
    candidates = [base / "__init__.py"] if base == SOURCE else [base / "__init__.py", base.with_suffix(".py")]
    return next((path for path in candidates if path.is_file()), None)


@cache
def _tree(module: str) -> ast.Module:
    path = _path(module)
    if path is None:
        raise ModuleNotFoundError(f"no module {module!r} below {SOURCE}")
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _meaning(module: str) -> bytes:
    """The syntax tree of `module` without its docstrings."""
    tree = _tree(module)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [statement for statement in node.body if not _is_docstring(statement)] or [ast.Pass()]
    return ast.dump(tree).encode()


def _is_docstring(statement: ast.stmt) -> bool:
    """Whether `statement` is a bare string: a docstring, or one after a name, which does nothing either."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
