"""The flat encoding: what crosses natively arrives exact, keeps its shape of references, and costs no C stack."""

import math
import struct
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import csp
from csp import _core

crossed = _core.copy_by_crossing


def canonical(value: object) -> str:
    """Text that is the same for equal values of equal types, down to the bits of a NaN; a set has no order.  Not for cycles."""
    kind = type(value).__name__
    if isinstance(value, (float, complex)):
        return f"{kind} {struct.pack('dd', value.real, value.imag).hex()}"
    if isinstance(value, (tuple, list)):
        return f"{kind}[{', '.join(map(canonical, value))}]"
    if isinstance(value, (set, frozenset)):
        return f"{kind}[{', '.join(sorted(map(canonical, value)))}]"
    if isinstance(value, dict):
        return f"{kind}{canonical(list(value.items()))}"
    return f"{kind} {hex(value) if isinstance(value, int) else ascii(value)}"


def how(value: object) -> str:
    return _core.inspect_encoded(_core.encode(value))[0]


NATIVE: list[Any] = [
    None,
    True,
    False,
    *(sign * (2**bits + off) for bits in (0, 6, 7, 8, 15, 16, 30, 31, 32, 60, 62, 63, 64, 1000) for off in (-1, 0, 1) for sign in (1, -1)),
    10**5000,
    -(10**5000),
    0.0,
    -0.0,
    1.5,
    5e-324,
    sys.float_info.max,
    math.inf,
    -math.inf,
    1j,
    complex(-0.0, -0.0),
    complex(math.inf, -1.5),
    "",
    "a",
    "é",
    "€",
    "ab",
    "éé",
    "a\0b",
    "x€",
    "😀",
    "x😀",
    "\ud800",
    "\udfff\ud800",
    "a\udc80",
    "x" * 300,
    "ÿ" * 70_000,
    "€" * 70_000,
    "😀" * 70_000,
    b"",
    b"\0",
    b"ab",
    bytes(range(256)) * 300,
    (),
    (1,),
    ((), ((),)),
    [],
    [[]],
    [None] * 300,
    {},
    {"": 1},
    {"b": 1, "a": 2, 3: 4, None: 5, (1, "x"): 6, 1.5: 7, b"k": 8, frozenset({1}): 9},
    set(),
    {1, "a", None, (2, 3)},
    frozenset(),
    frozenset({frozenset({frozenset()})}),
    [{"a": ({1: [2, {3}]}, frozenset({"x"}))}],
]


@pytest.mark.parametrize("value", NATIVE, ids=lambda v: type(v).__name__)
def test_native_value_arrives_exact(value: object) -> None:
    """What the contract calls native arrives equal and of the same type, without pickle."""
    assert how(value) in ("inline", "short", "blob")
    inside = [value, (value,), {"k": value}]
    assert canonical(crossed(value)) == canonical(value)
    assert canonical(crossed(inside)) == canonical(inside)


def test_native_values_need_no_pickle_module() -> None:
    """Nothing imports csp._pickling until a value needs it."""
    import subprocess

    code = (
        "import sys; from csp import _core; _core.copy_by_crossing([1, 2.5, 'x', b'y', {'a': {1}}, memoryview(b'z')]);"
        "assert 'csp._pickling' not in sys.modules and '_pickle' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "inline"),
        (True, "inline"),
        (0, "inline"),
        (-(2**63), "inline"),
        (2**63, "short"),
        (1.0, "inline"),
        ("x" * 54, "short"),
        ("x" * 55, "blob"),
        (b"x" * 54, "short"),
        ((1, 2.0, "three"), "short"),
        ({"a": [1, 2]}, "short"),
        (list(range(100)), "blob"),
    ],
)
def test_small_values_need_no_blob(value: object, expected: str) -> None:
    """Scalars lie in the message, encodings of up to 56 bytes too; only larger ones take memory."""
    assert how(value) == expected


@pytest.mark.parametrize("bits", [0x7FF0000000000001, 0x7FF8000000000000, 0xFFF8DEADBEEF0001, 0x7FFFFFFFFFFFFFFF, 0xFFF0000000000001])
def test_payload_of_a_nan_is_kept(bits: int) -> None:
    """A NaN arrives with all its bits, alone, in a container, and in a complex number."""
    nan = struct.unpack("<d", bits.to_bytes(8, "little"))[0]
    before = struct.pack("<d", nan)
    assert struct.pack("<d", crossed(nan)) == before
    assert struct.pack("<d", crossed([nan])[0]) == before
    both = complex(nan, nan)
    got = crossed([both])[0]
    assert struct.pack("<dd", got.real, got.imag) == struct.pack("<dd", both.real, both.imag)


def test_order_of_a_dict_is_kept() -> None:
    """Also after keys were deleted and inserted again."""
    value = {i: str(i) for i in range(1000)}
    for i in range(0, 1000, 3):
        del value[i]
    for i in range(0, 1000, 6):
        value[i] = "again"
    assert list(crossed(value).items()) == list(value.items())


def test_colliding_keys() -> None:
    """Keys of equal hash stay apart."""
    step = sys.hash_info.modulus
    value = {i * step: i for i in range(1, 500)}
    assert len({hash(key) for key in value}) == 1
    assert crossed(value) == value
    assert crossed(set(value)) == set(value)


def test_nan_keys_stay_apart() -> None:
    """Two NaN objects are two keys."""
    value = {float("nan"): 1, float("nan"): 2}
    assert list(crossed(value).values()) == [1, 2]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 31, 32, 33, 100])
def test_keys_that_look_alike_are_not_mixed_up(length: int) -> None:
    """The cache of keys never takes one for another: same length, one character different, in any place."""
    keys = ["".join("b" if i == j else "a" for i in range(length)) for j in range(length)]
    value = {key: n for n, key in enumerate(keys)}
    for _ in range(3):
        assert list(crossed(value).items()) == list(value.items())


def test_more_keys_than_the_cache_holds() -> None:
    """Keys push each other out of the cache, and all arrive."""
    for start in range(0, 3000, 500):
        value = {f"key number {i}": i for i in range(start, start + 1000)}
        assert crossed(value) == value


# --- identity ---


def test_copy_is_no_alias() -> None:
    """What arrives is another object, in one interpreter too."""
    value: list[Any] = [[1], {"a": 1}, {1}]
    got = crossed(value)
    assert got is not value
    assert all(a is not b for a, b in zip(got, value, strict=True))


@pytest.mark.parametrize(
    "make",
    [
        lambda: [1],
        lambda: {"a": 1},
        lambda: {1, 2},
        lambda: frozenset({"f"}),
        lambda: (1, [2]),
        lambda: "a long text" * 3,
        lambda: "€",
        lambda: b"some bytes" * 3,
        lambda: complex(1, 2),
        lambda: memoryview(b"abc"),
        lambda: [],
        lambda: {},
        lambda: set(),
        lambda: csp.Channel(1),
    ],
)
def test_shared_object_is_shared_at_arrival(make: Any) -> None:
    """An object that is met twice arrives as one object, wherever it is met."""
    shared = make()
    got = crossed([shared, {"k": shared}, (shared, [shared])])
    assert got[0] is got[1]["k"] is got[2][0] is got[2][1][0]
    assert got[0] is not shared


def test_equal_objects_stay_apart() -> None:
    """Equality is not identity."""
    got = crossed([[1], [1]])
    assert got[0] is not got[1]


def test_shared_key_and_value() -> None:
    """A key may be the same object as a value, or as a key of another dictionary."""
    key = ("a", frozenset({1}))
    got = crossed([{key: key}, {key: 1}, {key}])
    first = next(iter(got[0]))
    assert got[0][first] is first is next(iter(got[1])) is next(iter(got[2]))


def test_objects_shared_in_great_number() -> None:
    """References far apart find their objects."""
    leaves = [[i] for i in range(20_000)]
    got = crossed([leaves, leaves[::-1], {i: leaf for i, leaf in enumerate(leaves)}])
    assert all(a is b for a, b in zip(got[0], reversed(got[1]), strict=True))
    assert all(got[2][i] is leaf for i, leaf in enumerate(got[0]))


def test_list_in_itself() -> None:
    """A list that contains itself."""
    value: list[Any] = []
    value.append(value)
    got = crossed(value)
    assert got[0] is got
    assert len(got) == 1


def test_cycles_through_every_container() -> None:
    """Tuples and frozensets keep their place in cycles that lists and dictionaries close."""
    root: dict[str, Any] = {}
    ring: list[Any] = [root]
    inside = (ring, frozenset({"x"}))
    ring.append(inside)
    root.update(ring=ring, tuple=inside, self=root, pair=(root, root))
    got = crossed(root)
    assert got["self"] is got
    assert got["ring"][0] is got
    assert got["ring"][1] is got["tuple"]
    assert got["tuple"][0] is got["ring"]
    assert got["pair"][0] is got["pair"][1] is got


def test_tuple_that_is_reached_from_inside_itself() -> None:
    """A tuple in a list in the tuple."""
    inner: list[Any] = []
    value = (inner, 1)
    inner.append(value)
    got = crossed(value)
    assert got[0][0] is got
    assert got[1] == 1


# --- depth and size ---

DEEP = 1_000_000


def nested(kind: str) -> Any:
    value: Any = 1
    for _ in range(DEEP):
        value = [value] if kind == "list" else {"k": value} if kind == "dict" else (value,) if kind == "tuple" else frozenset({value})
    return value


@pytest.mark.parametrize("kind", ["list", "dict", "tuple", "frozenset"])
def test_depth_is_bounded_by_memory(kind: str) -> None:
    """A million containers inside each other cross, whatever the C stack."""
    got = crossed(nested(kind))
    depth = 0
    while got != 1 if kind != "frozenset" else isinstance(got, frozenset):
        got = got["k"] if kind == "dict" else next(iter(got))
        depth += 1
    assert depth == DEEP


def test_deep_value_in_a_small_thread() -> None:
    """Nor does a thread with a small stack mind."""
    import threading

    value, got = nested("list"), []
    old = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=lambda: got.append(crossed(value)))
        thread.start()
    finally:
        threading.stack_size(old)
    thread.join()
    assert len(got) == 1


@pytest.mark.parametrize("make", [lambda t: {t: 1}, lambda t: {t}, lambda t: frozenset({t}), lambda t: [1, {(0, t): 1}]])
def test_key_too_deep_to_hash_is_an_error_and_no_crash(make: Any) -> None:
    """Python hashes tuples recursively: a tuple that is deeper than any stack is sure to bear is refused as a key."""
    key: Any = (1,)
    for _ in range(3000):
        key = (key,)
    with pytest.raises(csp.DecodeError, match="nested 30.. deep") as caught:
        crossed(make(key))
    assert isinstance(caught.value.__cause__, RecursionError)


def test_key_of_moderate_depth() -> None:
    """A depth that any stack bears is fine, and frozensets in between start anew."""
    key: Any = 1
    for _ in range(1000):
        key = (key,)
    assert crossed({key: key}) == {key: key}
    for _ in range(5000):
        key = frozenset({(key,)})
    assert crossed({key}) is not None


def test_shared_tuple_keeps_its_depth() -> None:
    """A key that reaches its depth through a reference is measured too."""
    part: Any = ()
    for _ in range(1500):
        part = (part,)
    whole: Any = part
    for _ in range(1500):
        whole = (whole,)
    with pytest.raises(csp.DecodeError):
        crossed([part, {whole: 1}])


def test_large_value_crosses_whole() -> None:
    """Lengths beyond each form of a size."""
    value = [b"x" * 253, b"x" * 254, b"x" * 70_000, "y" * (1 << 21), list(range(300_000)), {i: None for i in range(70_000)}]
    assert crossed(value) == value


# --- properties ---

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**200), max_value=2**200),
    st.floats(),
    st.complex_numbers(),
    st.text(st.characters()),
    st.text(st.characters(categories=["Cs", "Lu"])),
    st.binary(),
)
hashables = st.recursive(scalars, lambda inner: st.one_of(st.tuples(inner, inner), st.frozensets(inner, max_size=4)), max_leaves=6)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.tuples(inner, inner),
        st.dictionaries(hashables, inner, max_size=6),
        st.sets(hashables, max_size=6),
        st.frozensets(hashables, max_size=6),
    ),
    max_leaves=20,
)


@given(values)
def test_any_native_value(value: object) -> None:
    """Whatever is made of native types arrives the same, in order, down to the bits."""
    assert how(value) != "pickle"
    assert canonical(crossed(value)) == canonical(value)


@given(values)
def test_keeping_a_message_decodes_the_same_again(value: object) -> None:
    """Under a lease a message is decoded again and again; a clone says the same."""
    message = _core.encode(value)
    clone = _core.clone_encoded(message)
    assert {canonical(_core.decode(m, keep=True)) for m in (message, message, clone)} == {canonical(value)}


@given(st.data())
def test_any_graph_of_references(data: st.DataObject) -> None:
    """Random graphs of lists, dictionaries and tuples, cycles included, arrive isomorphic."""
    n = data.draw(st.integers(1, 12))
    nodes: list[Any] = [[] if data.draw(st.booleans()) else {} for _ in range(n)]
    for node in nodes:
        for key in range(data.draw(st.integers(0, 3))):
            target = nodes[data.draw(st.integers(0, n - 1))]
            item = (target, target) if data.draw(st.booleans()) else target
            if isinstance(node, list):
                node.append(item)
            else:
                node[key] = item
    got = crossed(nodes)
    pairs: dict[int, object] = {}
    todo: list[tuple[Any, Any]] = [(nodes, got)]
    while todo:
        a, b = todo.pop()
        assert type(a) is type(b)
        if id(a) in pairs:
            assert pairs[id(a)] is b
            continue
        if type(a) is int:
            continue
        pairs[id(a)] = b
        assert len(a) == len(b)
        todo += zip(a.values(), b.values(), strict=True) if isinstance(a, dict) else zip(a, b, strict=True)
    assert len({id(b) for b in pairs.values()}) == len(pairs)


# --- through a channel ---


def test_value_is_encoded_at_the_send() -> None:
    """What the sender does to a value after the send does not show."""
    ch: csp.Channel[list[int]] = csp.Channel(1)
    value = [1]
    ch.send(value)
    value.append(2)
    assert ch.recv() == [1]


@pytest.mark.usefixtures("no_leaks")
def test_discarded_messages_are_freed() -> None:
    """What nobody receives, and what drop policies drop, gives back all that it holds."""
    ch: csp.Channel[Any] = csp.Channel(2, overflow="drop_oldest")
    for i in range(50):
        ch.send([i, "x" * 1000, csp.Channel(), memoryview(bytes(5000))])
    del ch
