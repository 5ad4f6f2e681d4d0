"""The Python stack of an actor's process, asked from outside, also while it hangs: for csp.debug.stacks() and the watchdog.

The process has `faulthandler` write its main thread's stack into a memory file of its own when a signal comes: that needs no Python
code to run there, and nobody there to answer.  Who asks looks at that file by way of /proc, so this is Linux only.
"""

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from csp.debug import Frame

_NAME = "csp-stack"
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_PATIENCE = 1.0  # seconds, if the asker has no limit
_PAUSE = 0.0005
_OUTERMOST = os.path.join("_process", "boot.py")  # the frame that faulthandler writes last,
_MOST = 100  # unless there are more than it writes


def show() -> "int | None":
    """In the process: from now on it can be asked.  The number of the file here, or None."""
    import faulthandler
    import signal

    try:
        import fcntl

        fd = os.memfd_create(_NAME, os.MFD_CLOEXEC)
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)  # who asks empties it
        faulthandler.register(signal.SIGRTMAX, file=fd, all_threads=False, chain=False)
    except (AttributeError, ImportError, OSError):
        return None
    return fd


class _Question:
    """To one process.  A number may be somebody else's by now: the signal goes to the one whose file was opened, or to nobody."""

    def __init__(self, pid: int, file: int) -> None:
        self.path = f"/proc/{pid}/fd/{file}"
        self.text: str | None = None
        self.asked = False
        self.process = self.file = -1
        try:
            self.process = os.pidfd_open(pid)
            self.file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            self.over = _NAME not in os.readlink(self.path)
        except OSError:  # it has ended
            self.over = True

    def go_on(self) -> bool:
        """Ask, if nobody else does, or look for the answer; False: it is there, or never will be."""
        import fcntl
        import signal

        try:
            if not self.over and not self.asked:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # one asker at a time; given up with the file
                os.ftruncate(self.file, 0)
                signal.pidfd_send_signal(self.process, signal.SIGRTMAX)
                self.asked = True
            elif not self.over:
                text = os.pread(self.file, 1 << 20, 0).decode("ascii", "replace")
                if (text.endswith(" in <module>\n") and f'{_OUTERMOST}", line' in text) or text.count("\n") > _MOST:
                    self.text, self.over = text, True
        except BlockingIOError:
            pass
        except OSError:
            self.over = True
        return not self.over

    def close(self) -> None:
        for one in (self.process, self.file):
            if one >= 0:
                os.close(one)


def frames_of(processes: "list[tuple[int, int]]", timeout: "float | None") -> "list[tuple[Frame, ...] | None]":
    """Of each (pid, file): the outermost frame first, without those of csp at both ends; None: no answer within the time, for all together."""
    until = time.monotonic() + (_PATIENCE if timeout is None else timeout)
    questions = [_Question(*process) for process in processes]
    try:
        while any([question.go_on() for question in questions]) and time.monotonic() < until:
            time.sleep(_PAUSE)
        return [None if question.text is None else _parsed(question.text) for question in questions]
    finally:
        for question in questions:
            question.close()


def _parsed(text: str) -> "tuple[Frame, ...]":
    """Of lines `  File "name", line 12 in function`, the innermost first."""
    frames = []
    for line in text.splitlines():
        name, found, rest = line.partition('", line ')
        if found:
            number, _, function = rest.partition(" in ")
            frames.append((name.partition('"')[2], int(number) if number.isdecimal() else 0, function))
    while frames and frames[0][0].startswith(_PACKAGE):
        del frames[0]
    while frames and frames[-1][0].startswith(_PACKAGE):
        del frames[-1]
    return tuple(reversed(frames))
