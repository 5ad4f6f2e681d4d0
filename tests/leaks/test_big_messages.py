"""Memory stays flat over 10,000 big messages, whatever way they go."""

import pytest

from tests.leaks.test_counts import needs_proc, run

pytestmark = needs_proc

PROGRAM = """
from tests.leaks import parties

there, back = Channel(1), Channel(1)
ref = csp.spawn(parties.echo, there.receiver, back.sender, KIND == "move", isolation=ISOLATION)
data = bytearray(b"1") * (1 << 20)
buffer = csp.SharedBuffer(1 << 20)
WRAP = {
    "share": lambda: csp.share(data, writable=True),
    "memoryview": lambda: memoryview(data),
    "bytes": lambda: bytes(data[: 1 << 17]),
    "SharedBuffer": lambda: csp.SharedBuffer(1 << 20),
    "the same buffer": lambda: buffer,
    "move": lambda: csp.move(csp.SharedBuffer(1 << 20, zeroed=False)),
    "in a dict": lambda: {"rows": csp.share(data), "buffer": buffer[: 1 << 19], "copy": memoryview(data)},
}
wrap = WRAP[KIND]
spares = [csp.SharedBuffer(1 << 20) for _ in range(4)]  # the pool then has one, and its file, whenever one is asked for
del spares

def body():
    for _ in range(100):
        there.send(wrap())
        back.recv()

measure(body, MESSAGES // 100, growth=4 << 20)
there.close()
ref.join(10)
"""


@pytest.mark.parametrize("kind", ["share", "memoryview", "bytes", "SharedBuffer", "the same buffer", "move", "in a dict"])
def test_memory_is_flat_over_10000_messages_of_a_mebibyte(kind: str) -> None:
    """There and back between two interpreters, `bytes` of 128 KiB: the process grows by less than 400 bytes a message, and no handle is left."""
    run(f"KIND, ISOLATION, MESSAGES = {kind!r}, 'interpreter', 10_000\n{PROGRAM}")


@pytest.mark.parametrize("kind", ["memoryview", "SharedBuffer", "the same buffer"])
def test_memory_is_flat_over_messages_to_a_process(kind: str) -> None:
    """The same to a process actor, 500 times."""
    run(f"KIND, ISOLATION, MESSAGES = {kind!r}, 'process', 500\n{PROGRAM}")
