"""The layers of the package: who may import whom, which libraries stand where, and what starting costs."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "lastfm_dask"
LAYERS = (
    "errors",
    "display",
    "events",
    "memory",
    "progress",
    "engine",
    "sources",
    "interactions",
    "dataset",
    "download",
    "ingestion",
    "training",
    "recommender",
    "evaluation",
    "synthesis",
    "profile",
    "serve",
    "cli",
)
# The package's own front door names what stands behind it, and `python -m` is the command line.
ABOVE_ALL = {"__init__", "__main__"}
HOMES = {
    "dask": ("engine", "interactions.frame", "dataset.frames"),
    "distributed": ("engine", "interactions.frame"),
    "pandas": ("interactions.frame", "dataset.frames"),
    "implicit": ("training",),
    "optuna": ("evaluation",),
    "bokeh": ("profile",),
}
LATE = ("pandas", "dask", "distributed", "implicit", "optuna", "bokeh", "rich")
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 380
MOST_FUNCTION_LINES = 60


def name_of(path: Path) -> str:
    """Return a module's dotted name without the package's: `dataset.store`, `dataset` for its `__init__`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imports(tree: ast.AST):
    """Yield (module, names, node) for every import in a tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, (), node
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield node.module, tuple(alias.name for alias in node.names), node


def at_import_time(tree: ast.Module):
    """Yield the statements that run when the module is imported: not functions, not `if TYPE_CHECKING`."""
    queue = list(tree.body)
    while queue:
        node = queue.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            queue += node.orelse
            continue
        yield node
        queue += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]


def own_layers(module: str, names: tuple[str, ...]) -> set[str]:
    """Return the layers that an import of this package's modules reaches."""
    parts = module.split(".")
    if len(parts) > 1:
        return {parts[1]}
    return {name for name in names if name in LAYERS}


@pytest.mark.parametrize("path", [path for path in MODULES if name_of(path) not in ABOVE_ALL], ids=name_of)
def test_a_module_imports_only_its_own_layer_and_earlier_ones(path):
    layer = name_of(path).split(".")[0]
    allowed = set(LAYERS[: LAYERS.index(layer) + 1])
    for module, names, node in imports(ast.parse(path.read_text(encoding="utf-8"))):
        if module.split(".")[0] == "lastfm_dask":
            assert own_layers(module, names) <= allowed, f"{path}:{node.lineno}: {layer} is below {module}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_library_is_imported_in_its_home_alone(path):
    name = name_of(path)
    for module, _, node in imports(ast.parse(path.read_text(encoding="utf-8"))):
        homes = HOMES.get(module.split(".")[0])
        if homes is not None:
            found = any(name == home or name.startswith(f"{home}.") for home in homes)
            assert found, f"{path}:{node.lineno}: {module} belongs to {', '.join(homes)}"


def imported_at_once(path: Path) -> set[str]:
    """Return the modules that importing this one imports, those of this package without its name."""
    found = set()
    for statement in at_import_time(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for module, names, _ in imports(statement):
                own = module.partition("lastfm_dask.")[2]
                found |= (
                    {f"{own}.{name}" for name in names} | {own} if own else {module.split(".")[0], *names}
                )
    return found


def test_a_heavy_library_is_imported_only_when_it_is_used():
    """It stands inside a function, or at the top of a module that itself is imported only inside functions."""
    at_once = {name_of(path): imported_at_once(path) for path in MODULES}
    heavy = {name for name, found in at_once.items() if found & {*LATE}}
    assert not heavy & {"cli", "errors", "engine", "__init__"}
    for name, found in at_once.items():
        assert not found & heavy, f"{name} imports {found & heavy} at its top, and with it a heavy library"


def imported_by(path: Path) -> set[str]:
    """Return the package's modules that a module imports, at its top or inside functions."""
    known, found = {name_of(module) for module in MODULES}, set()
    queue = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while queue:
        node = queue.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            queue += node.orelse
            continue
        queue += ast.iter_child_nodes(node)
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "lastfm_dask":
            own = node.module.partition(".")[2]
            for name in (alias.name for alias in node.names):
                module = f"{own}.{name}".strip(".")
                found.add(module if module in known else own or "__init__")
    return found - {name_of(path)}


def test_no_modules_import_each_other():
    """Imports inside functions count, which only put a circle off; those for type checkers do not."""
    graph = {name_of(path): imported_by(path) - ABOVE_ALL for path in MODULES}
    assert graph["cli"], "the command line imports its commands' parts"
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail("a circle of imports: " + " <- ".join(error.args[1]))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_fits_in_a_few_screens(path):
    n_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert n_lines <= MOST_LINES, (
        f"{path} has {n_lines} lines, allowed are {MOST_LINES}: divide it by purpose"
    )


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_function_fits_on_a_screen(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            n_lines = node.end_lineno - node.lineno + 1
            assert n_lines <= MOST_FUNCTION_LINES, (
                f"{path}:{node.lineno}: {node.name} has {n_lines} lines, allowed are {MOST_FUNCTION_LINES}:"
                " divide it by ideas"
            )


def test_every_layer_stands():
    assert {name_of(path).split(".")[0] for path in MODULES} - ABOVE_ALL == set(LAYERS)


def test_nothing_pickles_by_hand():
    for path in MODULES:
        for module, _, node in imports(ast.parse(path.read_text(encoding="utf-8"))):
            assert module.split(".")[0] not in ("pickle", "cloudpickle", "joblib"), f"{path}:{node.lineno}"


@pytest.mark.parametrize("module", ["lastfm_dask", "lastfm_dask.cli"])
def test_starting_loads_no_library_of_weight(module):
    code = f"import {module}, sys; print(*(m for m in sys.modules if '.' not in m))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert not {*LATE, "numpy", "scipy", "pyarrow", "fsspec", "rapidfuzz", "psutil"} & set(out.split())
