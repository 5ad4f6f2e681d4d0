"""SharedBuffer and actors in processes of their own: one memory, mapped by both, counted as everywhere."""

import gc
import os
import sys
from typing import Any

import pytest

import csp
from tests.unit import process_memory_bodies as bodies

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.skipif(sys.platform != "linux", reason="a memory file is what Linux has"),
]


def made(n: int = 5000) -> Any:
    return csp.SharedBuffer(n, mapped=True)


def test_memory_is_one() -> None:
    """What the process writes is seen here, and what it sees is what is here; parts, indices and closing are the same."""
    buffer = made()
    buffer[:4] = b"\1\2\3\4"
    seen = bodies.use.spawn(buffer).result(20)
    assert seen[:7] == [5000, 5000, False, False, b"\1\2\3\4", 1, buffer.id]
    assert seen[7:11] == [b"abc", True, True, b"bc"] and seen[11] in ("file", "hugetlb")
    assert seen[12:] == ["SharedBuffer", "the SharedBuffer has 1 exported buffer", True]
    assert bytes(buffer[:6]) == b"\1\7Abc\0"
    assert buffer.statistics()[:3] == (5000, 1, 0)


def test_parts_and_read_only_ones() -> None:
    """They are in the process what they are here."""
    buffer = made()
    assert bodies.write.spawn(buffer[10:]).result(20) == "written" and buffer[10] == 1
    assert "read-only" in bodies.write.spawn(buffer.toreadonly()).result(20)


def test_made_in_the_process() -> None:
    """It outlives the process, sent and as a result."""
    ch = csp.Channel(1)
    ref = bodies.make.spawn(ch.sender, 3 << 20)
    buffer = ch.recv(20)["made"]
    part = ref.result(20)
    part[0] = ord("y")
    assert bytes(buffer[:4]) == b"xyxx" and bytes(part) == b"yx"


def test_handles_are_counted_across() -> None:
    """What the process holds counts, and is given up when it is killed; what comes back is a handle to the same memory."""
    ins, outs = csp.Channel(), csp.Channel()
    ref = bodies.give_back.spawn(ins.receiver, outs.sender)
    buffer = made()
    for _ in range(20):
        ins.send(buffer, 20)
        one, two = outs.recv(20)
        assert one == two == buffer
        del one, two
    csp.testing.wait_until(lambda: gc.collect() >= 0 and buffer.statistics().handles == 1)
    ins.send(csp.move(buffer), 20)
    [back, _] = outs.recv(20)
    assert buffer.closed and back.statistics().handles >= 1
    ref.kill()
    del _
    csp.testing.wait_until(lambda: back.statistics().handles == 1)


def test_what_is_in_no_file_is_refused() -> None:
    """The error says what to do."""
    with pytest.raises(csp.ActorStartError, match="mapped=True"):
        bodies.write.spawn(csp.SharedBuffer(10, mapped=False))


def test_numpy_on_both_sides() -> None:
    """An array there and one here stand on the same memory."""
    pytest.importorskip("numpy")
    buffer = made(80)
    here = buffer.to_numpy("f8", (5, 2))
    here[:, 0] = 1
    assert bodies.with_numpy.spawn(buffer).result(30) == 20.0
    assert here[:, 1].tolist() == [3.0] * 5


def files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_more_buffers_in_a_message_than_the_kernel_passes_files_at_once() -> None:
    """None is lost, and no file is left open."""
    ins, outs = csp.Channel(), csp.Channel()
    ref = bodies.first_bytes.spawn(ins.receiver, outs.sender)
    before = files()
    buffers = [made(1) for _ in range(450)]
    for i, buffer in enumerate(buffers):
        buffer[0] = i % 256
    for _ in range(2):
        ins.send(buffers, 20)
        assert outs.recv(20) == [i % 256 for i in range(450)]
    ins.send([csp.SharedBuffer(1, mapped=False)], 20)
    assert "mapped=True" in outs.recv(20)
    del buffer
    buffers.clear()
    ins.close()
    ref.join(20)
    csp.testing.wait_until(lambda: csp.testing.census()["buffers"] == 0)
    assert files() <= before + 16  # so many are kept for the next buffers


def test_memory_outlives_its_closing_while_it_is_used() -> None:
    """In the process as here: whoever has made an array of a handle may use it, although the handle is closed."""
    pytest.importorskip("numpy")
    ins, out = csp.Channel(), csp.Channel()
    ref = bodies.close_under_an_array.spawn(ins.receiver, out.sender)
    ins.send(made(100), 20)
    assert out.recv(20) is True and csp.testing.census()["buffers"] == 1
    ins.send(None, 20)
    assert out.recv(20) == 7 and out.recv(20) == "gone"
    csp.testing.wait_until(lambda: csp.testing.census()["buffers"] == 0)
    ref.kill()
