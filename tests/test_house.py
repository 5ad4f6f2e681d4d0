"""The rules of the house that a machine can check: rooms and arrows, the public surface, what an import costs, what the tree may hold."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import csp

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "csp"

of_the_source = pytest.mark.skipif(
    not (SOURCE / "core.c").exists(), reason="these rules are about the source tree, and an installed wheel is being tested"
)

# --- C: rooms, lowest first.  A room may include its own level and what is below. ---

GROUND = {"mem", "status", "park", "lock"}
ENGINE = {
    "msg", "waiter", "queue", "loop", "chan", "bounds", "sync", "region", "slab",
    "select", "interp", "registry", "deadlock", "actor", "actor_table", "watchdog", "clock",
}
CROSSING = {"state", "codec", "flat", "crossing", "encode", "encode_view", "encoder", "decode", "buffer", "share", "shared_buffer", "move", "letter", "stack"}
LEVELS = [GROUND, ENGINE, CROSSING]  # everything else is the shell


def level(room: str) -> int:
    return next((n for n, rooms in enumerate(LEVELS) if room in rooms), len(LEVELS))


def c_files() -> list[Path]:
    return sorted([SOURCE / "core.c", *(SOURCE / "_core").glob("*.[ch]")])


def includes(path: Path) -> set[str]:
    """The rooms whose headers a file includes."""
    return {Path(name).stem for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.M)}


@of_the_source
@pytest.mark.parametrize("path", c_files(), ids=lambda path: path.name)
def test_includes_point_downwards(path: Path) -> None:
    """A C file includes rooms of its own level or below, never above."""
    upwards = {room for room in includes(path) if level(room) > level(path.stem)}
    assert not upwards, f"{path.name} includes {upwards}"


@of_the_source
@pytest.mark.parametrize("path", [p for p in c_files() if level(p.stem) <= 1], ids=lambda path: path.name)
def test_engine_does_not_know_python(path: Path) -> None:
    """Ground and engine neither include Python.h nor name a Python object's type."""
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.S)
    assert not re.search(r"Python\.h|\bPy[A-Z_]\w*", code)


@of_the_source
def test_channels_do_not_know_select() -> None:
    """chan is below select: both know the waiter only."""
    assert "select" not in includes(SOURCE / "_core/chan.c") | includes(SOURCE / "_core/chan.h")


@of_the_source
def test_headers_do_not_include_each_other_in_circles() -> None:
    """The header graph has no cycle."""
    graph = {path.stem: includes(path) for path in c_files() if path.suffix == ".h"}

    def walk(room: str, above: tuple[str, ...]) -> None:
        assert room not in above, " -> ".join((*above, room))
        for other in graph.get(room, ()):
            walk(other, (*above, room))

    for room in graph:
        walk(room, ())


@of_the_source
def test_no_static_python_objects() -> None:
    """Nothing in process-wide memory refers to a Python object: it would be shared by interpreters."""
    for path in c_files():
        found = re.findall(r"^(?:static\s+)?(?:PyObject|PyTypeObject)\s*\*?\s*\w+\s*(?:=|;|\[)", path.read_text(), re.M)
        assert not found, (path.name, found)
        assert "PyGILState_" not in re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S), path.name


@of_the_source
def test_every_c_file_is_built() -> None:
    """No C file lies beside the build."""
    listed = set(re.findall(r'^\s*"(csp/[\w/]+\.c)",$', (ROOT / "pyproject.toml").read_text(), re.M))
    assert listed == {path.relative_to(ROOT).as_posix() for path in c_files() if path.suffix == ".c"}


# --- Python: arrows, and what an actor pays for ---

ON_THE_ACTORS_PATH = {
    # module: what of csp it may import when it is itself imported
    "errors": set(),
    "select": {"errors", "_core"},
    "_main": {"errors", "_core"},
    "_remote": {"errors", "_core"},
    "_ref": {"errors", "select", "_core", "_main", "_remote"},
    "_calls": {"errors", "select", "_core", "_main", "_remote", "_ref"},
    "actors": {"errors", "select", "_core", "_main", "_remote", "_ref"},
    "_boot": {"errors", "select", "_core", "_main", "_remote", "_ref"},
    "_serving": {"errors", "select", "_core", "_main", "_remote", "_ref", "_calls"},
    "__init__": {"errors", "select", "_core"},
}
ALREADY_IN_A_BARE_INTERPRETER = {"sys", "time", "_thread", "abc", "marshal", "_weakref", "_collections_abc", "os", "atexit", "builtins"}


def imports(tree: ast.AST, *, eager_only: bool) -> set[str]:
    """Full names of the modules that a file of csp imports; eager ones are outside functions and TYPE_CHECKING."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, ["csp" if node.level else "", node.module or ""]))
            found |= {f"{base}.{alias.name}" for alias in node.names} if base == "csp" else {base}
        elif eager_only and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        elif eager_only and isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        else:
            found |= imports(node, eager_only=eager_only)
    return found


@of_the_source
@pytest.mark.parametrize("name", ON_THE_ACTORS_PATH)
def test_an_actor_pays_for_no_import(name: str) -> None:
    """Modules that every actor imports import only each other, in one direction, and what a bare interpreter has loaded."""
    path = SOURCE / f"{name}.py"
    eager = imports(ast.parse(path.read_text()), eager_only=True)
    ours = {module.split(".")[1] for module in eager if module.startswith("csp.")}
    others = {module for module in eager if not module.startswith("csp")}
    assert ours <= ON_THE_ACTORS_PATH[name]
    assert others <= ALREADY_IN_A_BARE_INTERPRETER


@of_the_source
@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_nothing_depends_on_the_command_line(path: Path) -> None:
    """Only the command line and the demo know the command line and the demo."""
    if path.relative_to(SOURCE).parts[0] in ("cli", "demo", "__main__.py"):
        return
    known = imports(ast.parse(path.read_text()), eager_only=False)
    assert not {module for module in known if module.startswith(("csp.cli", "csp.demo"))}


IMPORT_IN_A_CHILD = """
import _interpreters, os, sys
read, write = os.pipe()
child = _interpreters.create("isolated")
source = '''
import os, sys
sys.path[:] = PATH
before = set(sys.modules)
import csp
os.write(WRITE, " ".join(sorted(set(sys.modules) - before)).encode())
'''.replace("PATH", repr(sys.path)).replace("WRITE", str(write))
failure = _interpreters.exec(child, source)
assert failure is None, failure
os.close(write)
print(os.read(read, 65536).decode())
_interpreters.destroy(child)
"""


def test_what_import_csp_adds_in_a_fresh_interpreter() -> None:
    """`import csp` in a child interpreter loads csp's own light modules, and nothing else (atexit is built in)."""
    done = subprocess.run([sys.executable, "-c", IMPORT_IN_A_CHILD], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) - {"atexit"} == {"csp", "csp._core", "csp.errors", "csp.select"}


# --- the public surface ---


@pytest.mark.parametrize("name", csp.__all__)
def test_public_name(name: str) -> None:
    """A public name exists, says that it is csp's, and has a docstring."""
    value = getattr(csp, name)
    assert name in dir(csp)
    if isinstance(value, type) or callable(value):
        assert value.__module__ == "csp", value.__module__
        assert value.__name__ == name
    own = value.__dict__.get("__doc__") if isinstance(value, type) else value.__doc__
    assert own and own.strip()


def documented() -> set[str]:
    """Names that a reference page explains: in a heading, or first in a row of a table or list."""
    text = "\n".join(page.read_text() for page in sorted((ROOT / "docs/reference").glob("*.md")))
    return set(re.findall(r"^(?:#+ |\| |- )`(?:csp\.)?(\w+)", text, re.M))


@pytest.mark.parametrize("name", csp.__all__)
def test_public_name_has_a_reference_entry(name: str) -> None:
    """Every public name is in docs/reference."""
    assert name in documented()


@pytest.mark.parametrize("name", ["Channel", "SendChannel", "RecvChannel", "Selector", "ActorRef"])
def test_public_methods_have_docstrings(name: str) -> None:
    """Each public method and property of a class says what it does."""
    cls = getattr(csp, name)
    bare = [attribute for attribute in dir(cls) if not attribute.startswith("_") and not getattr(cls, attribute).__doc__]
    assert not bare


# --- the tree ---


def tracked() -> list[Path]:
    """Text files of the project; without git, what is not built."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, capture_output=True, text=True, cwd=ROOT) if shutil.which("git") else None
    if listing is not None and listing.returncode == 0:
        return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]
    folders = [ROOT / name for name in ("csp", "tests", "docs", "examples", "benchmarks", ".ci")]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in {".py", ".c", ".h", ".md", ".pyi", ".sh", ""}]
    return [path for path in (*files, *ROOT.glob("*.*")) if path.is_file()]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in tracked() if path.suffix not in {".png", ".so"}}


def test_files_are_short(texts: dict[str, str]) -> None:
    """No file of ours is over 700 lines."""
    assert {name: n for name, text in texts.items() if (n := text.count("\n")) > 700} == {}


def test_no_paths_of_a_machine(texts: dict[str, str]) -> None:
    """Nothing in the tree names somebody's home, or where packages come from on somebody's machine."""
    somebody = re.compile(r"(?<![\w.])/(?:home|Users|root|work|opt)/\w|[A-Z]:\\Users|(?:extra-)?index[-_]url *=|find-links *=", re.M)
    found = {(name, match[0]) for name, text in texts.items() for match in somebody.finditer(text) if name != "tests/test_house.py"}
    assert not found


def test_links_in_the_docs_lead_somewhere(texts: dict[str, str]) -> None:
    """Relative links in Markdown files name files that exist, and headings that exist in them."""
    broken = []
    for name, text in texts.items():
        if not name.endswith(".md"):
            continue
        prose = re.sub(r"```.*?```", "", text, flags=re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            if "://" in target:
                continue
            file, _, anchor = target.partition("#")
            path = (ROOT / name).parent / file if file else ROOT / name
            if not path.exists():
                broken.append((name, target))
            elif anchor and path.suffix == ".md":
                headings = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
                if anchor not in {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}:
                    broken.append((name, target))
    assert not broken
