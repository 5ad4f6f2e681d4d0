"""Functions and classes of the main program cross too: of a script, of `python -m`, of `-c`, of standard input."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import csp

PROGRAM = """
import dataclasses, enum, sys
import csp
from csp import _core, interpreters

print("run as", __name__, flush=True)

@dataclasses.dataclass
class Point:
    x: int
    def moved(self): return Point(self.x + 1)

class Color(enum.Enum):
    RED = 1

class Outer:
    class Inner:
        def method(self): return "inner"

class Oops(Exception):
    pass

class Single:
    def __reduce__(self): return "SINGLE"
SINGLE = Single()

def double(x): return 2 * x
def move(point): return point.moved(), type(point) is Point, point.x
def same(value): return value
def fail(): raise Oops("from there")
def is_single(value): return value is SINGLE, value

def main():
    # in one interpreter: the very same objects
    back = _core.copy_by_crossing([Point(1), Color.RED, Outer.Inner, double, SINGLE])
    assert type(back[0]) is Point and back[1] is Color.RED and back[2] is Outer.Inner and back[3](2) == 4, back
    assert BY_VALUE or back[3] is double and back[4] is SINGLE
    # to another interpreter and back
    with interpreters.create() as child:
        moved, there, x = child.run(move, Point(5))
        assert (type(moved), moved.x, there, x) == (Point, 6, True, 5)
        assert child.run(same, [Color.RED])[0] is Color.RED
        assert child.run(same, Outer.Inner) is Outer.Inner
        assert child.run(same, double)(4) == 8
        assert BY_VALUE or child.run(same, double) is double
        try:
            child.run(fail)
        except interpreters.RunFailed as error:
            assert isinstance(error.__cause__, Oops), repr(error.__cause__)
            assert error.remote.type_name == "__main__.Oops", error.remote
        else:
            raise AssertionError
        assert BY_VALUE or child.run(is_single, SINGLE) == (True, SINGLE)
        assert BY_VALUE or child.run(is_single, SINGLE)[1] is SINGLE
        child.run("here = 1; assert 'Point' not in globals()")
        child.run("assert here == 1")
    # an object of the child's own __main__ goes by value
    ch = csp.Channel(1)
    with interpreters.create() as child:
        child.run("class Mine:\\n  def hello(self): return 'mine'\\nch.send(Mine())", ch=ch)
        assert ch.recv().hello() == "mine"
    for bad in BAD:
        try:
            _core.copy_by_crossing([bad])
        except csp.NotShareable as error:
            assert str(error).startswith("value[0]"), error
        else:
            raise AssertionError(bad)
    print("done")

BY_VALUE = __name__ == "__main__" and "by value" in sys.argv
BAD = [sys.stdout] if BY_VALUE else [lambda: 0, (lambda: (lambda: 0))()]
if __name__ == "__main__":
    main()
"""


def run(arguments: list[str], text: str = "", **options: object) -> list[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(csp.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-u", *arguments],  # each interpreter has a buffer of its own, and the order of the lines is looked at
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_script(tmp_path: Path) -> None:
    """The child runs a script once more under another name, once, when it first needs it; main keeps its own objects."""
    script = tmp_path / "some script.py"
    script.write_text(PROGRAM)
    assert run([str(script)]) == ["run as __main__", "run as __mp_main__", "done"]


def test_script_by_a_relative_path(tmp_path: Path) -> None:
    """The working directory may change after the start."""
    (tmp_path / "script.py").write_text(PROGRAM.replace("def main():", "def main():\n    import os; os.chdir('/')"))
    assert run(["script.py"], cwd=tmp_path)[-1] == "done"


def test_script_imports_its_neighbour_in_the_child(tmp_path: Path) -> None:
    """The script's directory is on the child's path."""
    (tmp_path / "neighbour_of_the_script.py").write_text("value = 7\n")
    script = tmp_path / "script.py"
    script.write_text(PROGRAM.replace("import csp\n", "import csp, neighbour_of_the_script\n", 1))
    assert run([str(script)])[-1] == "done"


def test_module_run_by_name(tmp_path: Path) -> None:
    """`python -m package.module`: found by that name in the child, relative imports included."""
    package = tmp_path / "a_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "other.py").write_text("value = 7\n")
    (package / "program.py").write_text(PROGRAM.replace("import csp\n", "import csp\nfrom .other import value\n", 1))
    assert run(["-m", "a_package.program"], cwd=tmp_path) == ["run as __main__", "run as __mp_main__", "done"]


def test_command_line() -> None:
    """`python -c`: by value, with everything that the functions and classes need."""
    assert run(["-c", PROGRAM, "by value"]) == ["run as __main__", "done"]


def test_standard_input() -> None:
    """A program from standard input, as a REPL's: by value."""
    assert run(["-", "by value"], PROGRAM) == ["run as __main__", "done"]


def test_package_that_runs_as_a_program(tmp_path: Path) -> None:
    """A package's __main__.py has no guard by nature, so it is never run again: by value."""
    package = tmp_path / "a_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(PROGRAM)
    assert run(["-m", "a_package", "by value"], cwd=tmp_path) == ["run as __main__", "done"]


def test_script_that_cannot_be_run_again(tmp_path: Path) -> None:
    """What the program raises when it is run again in the child is the cause of the receiver's error."""
    script = tmp_path / "script.py"
    script.write_text(
        "import csp\nfrom csp import interpreters\n"
        "if __name__ != '__main__': raise ZeroDivisionError('not again')\n"
        "class Point: pass\n"
        "ch = csp.Channel(1)\nch.send(Point())\n"
        "with interpreters.create() as child:\n"
        "    for _ in range(2):\n"
        "        child.run('''import csp\ntry: ch.recv()\nexcept csp.DecodeError as e: print(repr(e.__cause__))''', ch=ch)\n"
        "        ch.send(Point())\n"
    )
    assert run([str(script)]) == ["ZeroDivisionError('not again')"] * 2


@pytest.mark.parametrize("by_value", [True, False])
def test_closures_and_lambdas(tmp_path: Path, by_value: bool) -> None:
    """They have no name to be found by: by value where the program has no file, else NotShareable."""
    code = (
        "import csp, functools\nfrom csp import _core\n"
        "def outer(n):\n    def inner(x): return x + n\n    return inner\n"
        "ch = csp.Channel(1)\n"
        "def sends(): ch.send(5)\n"
        "for f in (outer(2), lambda x: x + 2, functools.partial(outer(1), 1)):\n"
        "    try: print(_core.copy_by_crossing({'f': f})['f'](*((1,) if not isinstance(f, functools.partial) else ())))\n"
        "    except csp.NotShareable as e: print(str(e).partition(':')[0])\n"
        "_core.copy_by_crossing([sends])[0](); print(ch.recv())\n"
    )
    if by_value:
        assert run(["-c", code]) == ["3", "3", "2", "5"]
    else:
        (tmp_path / "script.py").write_text(code)
        assert run([str(tmp_path / "script.py")]) == ["value['f']", "value['f']", "value['f'].__reduce_ex__(5)[2][0]", "5"]
