"""Dependencies point down only: every import statement of the package is read and held against one table."""

import ast
from pathlib import Path

import pytest

_LEVELS = [
    {"errors"},
    {"config", "shapes", "files", "chance", "pages"},
    {"data", "text", "synthetic"},
    {"nn", "losses", "saliency"},
    {"methods", "checkpoints"},
    {"train", "evaluate", "gallery", "explain", "video", "export"},
    {"serve", "study", "cluster"},
    {"cli"},
]
_SAME_LEVEL = {
    ("config", "files"),
    ("chance", "shapes"),
    ("data", "text"),
    ("synthetic", "data"),
    ("synthetic", "text"),
    ("checkpoints", "methods"),
    ("train", "evaluate"),
    ("explain", "evaluate"),
}
"""Edges inside a level: the left may import the right."""
_FORBIDDEN = {
    ("gallery", "train"),
    ("gallery", "methods"),
    ("gallery", "checkpoints"),
    ("gallery", "nn"),
    ("serve", "train"),
    ("losses", "data"),
    ("losses", "text"),
    ("saliency", "data"),
    ("saliency", "text"),
    ("nn", "data"),
    ("nn", "text"),
}
"""Edges that point down and are refused all the same: galleries know an `Encoder`, losses know tensors."""


def _level(part: str) -> int:
    return next(i for i, names in enumerate(_LEVELS) if part in names)


def _imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide the direction"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "pickout"}


def _edges(package: Path) -> dict[tuple[str, str], str]:
    parts = {path.stem for path in package.iterdir() if path.is_dir() or path.suffix == ".py"}
    edges: dict[tuple[str, str], str] = {}
    for file in package.rglob("*.py"):
        here = file.relative_to(package).parts[0].removesuffix(".py")
        if here in ("__init__", "__main__"):
            continue
        for name in _imports(file):
            there = f"{name}.".split(".")[1]
            if there in parts and there != here:
                edges[here, there] = f"{file.relative_to(package.parent)} imports {name}"
    return edges


def _is_allowed(here: str, there: str) -> bool:
    if (here, there) in _FORBIDDEN:
        return False
    return _level(there) < _level(here) or (here, there) in _SAME_LEVEL


def test_every_part_of_the_package_has_a_level(repository: Path) -> None:
    parts = {p.stem for p in (repository / "pickout").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert parts - {"__init__", "__main__"} <= set().union(*_LEVELS)


def test_imports_point_down(repository: Path) -> None:
    wrong = [why for edge, why in _edges(repository / "pickout").items() if not _is_allowed(*edge)]
    assert wrong == []


@pytest.mark.parametrize("edge", [("data", "nn"), ("losses", "methods"), ("gallery", "train"), ("evaluate", "train")])
def test_the_table_refuses_an_upward_edge(edge: tuple[str, str]) -> None:
    assert not _is_allowed(*edge)


def test_files_of_one_package_do_not_import_each_other_in_a_circle(repository: Path) -> None:
    package = repository / "pickout"
    graph: dict[str, set[str]] = {}
    for file in package.rglob("*.py"):
        name = ".".join(file.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        graph[name] = set()
        for target in _imports(file):
            graph[name].add(
                target if (package.parent / (target.replace(".", "/") + ".py")).exists() else target.rpartition(".")[0]
            )
    for start in graph:
        seen: set[str] = set()
        stack = [n for n in graph[start] if n in graph and n != start]
        while stack:
            node = stack.pop()
            assert node != start, f"{start} imports itself through {sorted(seen)}"
            if node not in seen:
                seen.add(node)
                stack += [n for n in graph[node] if n in graph and n != node]


def _bound(file: Path) -> set[str]:
    """The names that a module has, by its text."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


@pytest.mark.parametrize("folder", ["benchmarks", "models"])
def test_what_stands_beside_the_package_imports_what_is_there(repository: Path, folder: str) -> None:
    """No other test runs the scripts that measure and that make the models."""
    lost = []
    for file in sorted((repository / folder).rglob("*.py")):
        for name in _imports(file):
            module, _, what = name.rpartition(".")
            place = repository / module.replace(".", "/")
            there = place / what
            if there.is_dir() or there.with_suffix(".py").exists():
                continue
            source = place.with_suffix(".py") if place.with_suffix(".py").exists() else place / "__init__.py"
            if not source.exists() or what not in _bound(source):
                lost.append(f"{file.relative_to(repository)}: {name}")
    assert lost == []


_ROOMS = ["audit", "vectors", "storage", "approximate", "intake", "search", "calibration", "changes", "portable"]
"""Rooms of a gallery: each may import those before it."""


def test_a_gallerys_rooms_import_only_those_before_them(repository: Path) -> None:
    gallery = repository / "pickout" / "gallery"
    assert {path.name for path in gallery.iterdir() if (path / "__init__.py").exists()} == set(_ROOMS)
    wrong = []
    for file in gallery.rglob("*.py"):
        room = file.relative_to(gallery).parts[0]
        if room not in _ROOMS:
            continue
        for name in _imports(file):
            there = f"{name}.".removeprefix("pickout.gallery.").split(".")[0]
            open_to_all = not name.startswith("pickout.gallery.") or there in ("encoder",)
            if not open_to_all and (there not in _ROOMS or _ROOMS.index(there) > _ROOMS.index(room)):
                wrong.append(f"{file.relative_to(gallery)} imports {name}")
    assert wrong == []


_ENDINGS = ("ing", "ings", "er", "ers", "ed", "s", "es", "ion", "ions", "ation", "al")
_KNOWN = {
    ("train", "training"),
    ("explain", "explanation"),
    ("adapt", "adaptation"),
    ("case", "cases"),
    ("page", "pages"),
    ("transformer", "transforms"),
}
"""A package and the noun it makes; a command, which is its file's name, and what it is about; the field's own words."""


def _stem(name: str) -> str:
    endings = sorted((each for each in _ENDINGS if name.endswith(each)), key=len, reverse=True)
    return name.removesuffix(endings[0]).removesuffix("e") if endings else name.removesuffix("e")


def test_no_two_files_have_names_that_differ_by_an_ending(repository: Path) -> None:
    package = repository / "pickout"
    names = {path.stem for path in package.rglob("*.py")} | {path.name for path in package.rglob("*") if path.is_dir()}
    stems: dict[str, set[str]] = {}
    for name in sorted(names - {"__init__", "__main__", "__pycache__"}):
        stems.setdefault(_stem(name), set()).add(name)
    twins = {tuple(sorted(each)) for each in stems.values() if len(each) > 1}
    assert twins <= _KNOWN, twins - _KNOWN
