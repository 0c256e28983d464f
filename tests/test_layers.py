"""Imports point one way: errors, jobs <- journal, ledger <- peers <- running <- output <- web <-
server; cli and programs use HTTP, settings and files only; executor knows nothing of the service.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What a part of the service may import, beside itself.
BOTTOM = {"errors", "checks", "jobs"}
MAY_IMPORT = {
    "errors": set(),
    "checks": {"errors"},
    "jobs": {"errors"},
    "settings": {"errors"},
    "state": {"errors"},
    "logs": set(),
    "proc": set(),
    "descriptors": set(),
    "connections": {"errors"},
    "tasks": {"errors"},
    "guard": {"errors"},
    "journal": BOTTOM,
    "ledger": BOTTOM,
    "metrics": BOTTOM,
    "peers": {"errors", "ledger", "proc", "state"},
    "running": BOTTOM | {"guard", "journal", "ledger", "peers", "proc", "settings", "tasks"},
    "output": BOTTOM | {"journal", "ledger", "peers", "running"},
    "web": BOTTOM
    | {
        "descriptors",
        "journal",
        "ledger",
        "metrics",
        "output",
        "peers",
        "running",
        "settings",
        "state",
        "tasks",
        "service",
    },
    "programs": {"descriptors", "errors", "proc", "settings", "state", "service"},
    "cli": BOTTOM | {"settings", "state", "programs", "service"},
}
ABOVE_ALL = {"server", "__main__", "__init__"}


def imports(path: Path) -> set[str]:
    """Return the full names of the modules that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def service_parts(path: Path) -> set[str]:
    """Return the parts of the service that a file imports."""
    parts = set()
    for name in imports(path):
        head, _, rest = name.partition(".")
        if head == "service" and rest:
            part = rest.split(".")[0]
            is_part = (ROOT / "service" / part).is_dir() or (ROOT / f"service/{part}.py").exists()
            parts.add(part if is_part else "service")
    return parts


SERVICE = sorted((ROOT / "service").rglob("*.py"))


@pytest.mark.parametrize("path", SERVICE, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_of_the_service_point_one_way(path):
    part = path.relative_to(ROOT / "service").parts[0].removesuffix(".py")
    if part in ABOVE_ALL:
        return
    assert service_parts(path) <= MAY_IMPORT[part] | {part}


@pytest.mark.parametrize("path", sorted((ROOT / "executor").rglob("*.py")), ids=lambda p: p.name)
def test_the_library_knows_nothing_of_the_service(path):
    assert not {name for name in imports(path) if name.split(".")[0] == "service"}


def test_only_the_ledger_knows_sql():
    for path in SERVICE:
        if "ledger" not in path.parts:
            assert not {name for name in imports(path) if name.split(".")[0] in ("apsw", "sqlite3")}


PACKAGES = [
    ROOT / "executor",
    *(path.parent for path in SERVICE if path.name == "__init__.py"),
]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_map_of_a_package_names_each_of_its_modules(package):
    told = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    modules = {path.stem for path in package.glob("*.py")} | {
        path.parent.name for path in package.glob("*/__init__.py")
    }
    words = set(re.findall(r"\w+", told))
    assert modules - {"__init__", "__main__"} <= words, "modules that the map leaves out"


def test_no_constructor_repeats_its_parameters_in_words():
    """What a caller may rely on is worth a docstring, not that something is taken."""
    for path in (*SERVICE, *(ROOT / "executor").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                told = ast.get_docstring(node) or ""
                assert not told.startswith("Take "), f"{path}:{node.lineno}"
