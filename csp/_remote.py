"""What is left of an exception once it has crossed: text, frames, and, where it can be had, the original again.

The snapshot is made where the exception was raised, and made cheaply: frames are collected by walking the traceback, and
the text is formatted by whoever reads it (importing `traceback` costs an actor 7 to 17 ms).
"""

from csp import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

_MESSAGE_MAX = 16384
_CHAIN_MAX = 20
_FRAMES_MAX = 200
_REFUSED = "does not support loading in subinterpreters"

# Exceptions that are their class and args and nothing else: no pickle needed.
_PLAIN = frozenset(
    """ArithmeticError AssertionError BaseException BufferError EOFError Exception FloatingPointError IndexError
    KeyError KeyboardInterrupt LookupError MemoryError NotImplementedError OverflowError RecursionError RuntimeError
    SystemExit TypeError ValueError ZeroDivisionError""".split()
)
_PLAIN_ARGS = (str, int, float, bool, bytes, type(None))

# file, line, function, end line, column, end column; the last three may be None
if TYPE_CHECKING:
    Frame = tuple[str, int, str, int | None, int | None, int | None]


class RemoteError(tuple):  # type: ignore[type-arg]
    """A snapshot of an exception raised in another interpreter: nothing of that interpreter is referenced.

    `type_name` is the class, with its module unless it is a builtin; `message` its `str()` (cut at 16 KiB); `notes` a
    tuple of strings; `cause` and `context` are snapshots too, or None; `traceback` is the formatted text, remote
    frames included, formatted when first asked for.
    """

    __slots__ = ()
    __module__ = "csp"

    if TYPE_CHECKING:

        def __new__(cls, fields: tuple[object, ...]) -> Self: ...

    @property
    def type_name(self) -> str:
        """The class of the exception: `ValueError`, `package.module.Error`."""
        return self[0]  # type: ignore[no-any-return]

    @property
    def message(self) -> str:
        """What `str()` said of it."""
        return self[1]  # type: ignore[no-any-return]

    @property
    def notes(self) -> "tuple[str, ...]":
        """What `add_note` added."""
        return self[3]  # type: ignore[no-any-return]

    @property
    def cause(self) -> "RemoteError | None":
        """Snapshot of `__cause__`."""
        return self[4]  # type: ignore[no-any-return]

    @property
    def context(self) -> "RemoteError | None":
        """Snapshot of `__context__`; None if it was suppressed."""
        return self[5]  # type: ignore[no-any-return]

    @property
    def traceback(self) -> str:
        """The formatted traceback, as Python prints it, with the remote frames."""
        return "".join(_format(self))

    def original(self) -> "BaseException | None":
        """The exception itself, rebuilt here, without its traceback; None if it could not cross by value."""
        return _rebuild(self)

    def __str__(self) -> str:
        return f"{self[0]}: {self[1]}" if self[1] else self[0]

    def __repr__(self) -> str:
        return f"<RemoteError {self}>"


_core.set_record_type(1, RemoteError)


# --- where it was raised ---


def snapshot(exc: BaseException) -> RemoteError:
    """Take a snapshot of an exception and of the chain behind it."""
    return _snapshot(exc, set())


def _snapshot(exc: BaseException, seen: "set[int]") -> RemoteError:
    outermost = not seen
    seen.add(id(exc))
    cause, context = exc.__cause__, exc.__context__
    if exc.__suppress_context__:
        context = None
    return RemoteError(
        (
            _type_name(type(exc)),
            _message(exc),
            _frames(exc.__traceback__),
            _notes(exc),
            _snapshot(cause, seen) if _goes_on(cause, seen) else None,  # type: ignore[arg-type]
            _snapshot(context, seen) if _goes_on(context, seen) else None,  # type: ignore[arg-type]
            _portable(exc) if outermost else None,
        )
    )


def _goes_on(link: "BaseException | None", seen: "set[int]") -> bool:
    return link is not None and id(link) not in seen and len(seen) < _CHAIN_MAX


def _type_name(cls: "type[BaseException]") -> str:
    module = cls.__module__
    if module == "__mp_main__":  # the program, run once more in an actor's interpreter: its reader knows it as __main__
        module = "__main__"
    return cls.__qualname__ if module in ("builtins", None) else f"{module}.{cls.__qualname__}"


def _message(exc: BaseException) -> str:
    try:
        text = str(exc)
    except BaseException:
        return f"<the str() of a {type(exc).__name__} failed>"
    return text if len(text) <= _MESSAGE_MAX else text[:_MESSAGE_MAX] + "... (cut)"


def _notes(exc: BaseException) -> "tuple[str, ...]":
    notes = getattr(exc, "__notes__", ())
    if not isinstance(notes, (list, tuple)):
        return ()
    return tuple(str(note)[:_MESSAGE_MAX] for note in notes if isinstance(note, str))


def _frames(tb: "TracebackType | None") -> "tuple[Frame, ...]":
    frames: list[Frame] = []
    while tb is not None:
        code = tb.tb_frame.f_code
        if code.co_filename.startswith("<frozen importlib"):  # as Python itself leaves them out
            tb = tb.tb_next
            continue
        end_line = column = end_column = None
        for index, position in enumerate(code.co_positions()):
            if index == tb.tb_lasti // 2:
                _, end_line, column, end_column = position
                break
        frames.append((code.co_filename, tb.tb_lineno, code.co_name, end_line, column, end_column))
        tb = tb.tb_next
    if len(frames) > _FRAMES_MAX:  # deep recursion: its two ends tell the story
        del frames[_FRAMES_MAX // 2 : -_FRAMES_MAX // 2]
    return tuple(frames)


def _portable(exc: BaseException) -> "tuple[str, tuple[object, ...]] | bytes | None":
    cls = type(exc)
    if cls.__module__ == "builtins" and cls.__name__ in _PLAIN and exc.__dict__.keys() <= {"__notes__"}:
        if all(type(arg) in _PLAIN_ARGS for arg in exc.args):
            return (cls.__name__, exc.args)
    try:
        from csp._pickling import dumps, loads

        data, parts = dumps(exc)
        if parts:  # it holds a handle or memory, and a snapshot must not
            return None
        loads(data, parts)  # an exception whose __init__ does not fit its args pickles, and fails to load
    except BaseException:
        return None
    return data


# --- where it is read ---


def _format(error: RemoteError, seen: int = 0) -> "list[str]":
    from traceback import FrameSummary, StackSummary

    lines: list[str] = []
    if error.cause is not None:
        lines += _format(error.cause, seen + 1)
        lines.append("\nThe above exception was the direct cause of the following exception:\n\n")
    elif error.context is not None:
        lines += _format(error.context, seen + 1)
        lines.append("\nDuring handling of the above exception, another exception occurred:\n\n")
    if error[2]:
        lines.append("Traceback (most recent call last):\n")
        frames = [
            FrameSummary(file, line, name, end_lineno=end_line, colno=column, end_colno=end_column)
            for file, line, name, end_line, column, end_column in error[2]
        ]
        lines += StackSummary.from_list(frames).format()
    lines.append(f"{error}\n")
    lines += [f"{note}\n" for note in error.notes]
    return lines


def refused_module(error: "RemoteError | BaseException") -> str | None:
    """The extension module that refuses subinterpreters, if one is behind the error.

    Packages wrap that refusal in long ImportErrors of their own, numpy's even begins with an empty line.
    """
    link: Any = error
    for _ in range(_CHAIN_MAX):
        if link is None:
            break
        if isinstance(link, RemoteError):
            text, behind = link.message, link.cause or link.context
        else:
            text, behind = _message(link), link.__cause__ or link.__context__
        before, refused, _ = text.partition(_REFUSED)
        if refused:
            return before.rpartition("module ")[2].strip() or "an extension module"
        link = behind
    return None


def in_words(error: RemoteError) -> str:
    """The error as our messages tell it: what it says; but of a module that refuses subinterpreters, what to do about it."""
    module = refused_module(error)
    if module is None or "isolation=" in error.message:  # a DecodeError says it by itself
        return str(error)
    advice = f"{module} does not load in a subinterpreter: give the actor that needs it isolation='process', or 'thread'"
    return f"{error.type_name}: {advice}" if error.type_name in ("ImportError", "ModuleNotFoundError") else f"{error} [{advice}]"


def _rebuild(error: RemoteError) -> "BaseException | None":
    portable = error[6]
    try:
        if isinstance(portable, tuple):
            import builtins

            exc = getattr(builtins, portable[0])(*portable[1])
            for note in error.notes:
                exc.add_note(note)
            return exc  # type: ignore[no-any-return]
        if isinstance(portable, bytes):
            from csp._pickling import loads

            exc = loads(portable, [])
            return exc if isinstance(exc, BaseException) else None
    except Exception:  # its class does not import here, or refuses
        pass
    return None
