"""The Mandelbrot set as a PNG file, its rows computed by interpreters on every core into one shared buffer.

The buffer is laid out as PNG wants it, so what the actors write is what is compressed: no pixel is ever sent or copied.
Which row to compute next is all that goes through a channel.
"""

import argparse
import os
import struct
import zlib
from pathlib import Path

import csp
from csp import RecvChannel, SharedBuffer, actor

DEPTH = 100


@actor
def draw(rows: RecvChannel, picture: SharedBuffer, size: int) -> int:
    pixels, stride, drawn = memoryview(picture), 1 + 3 * size, 0
    for y in rows:  # whoever is free takes the next one
        start = y * stride + 1  # a row begins with the number of its filter, 0
        pixels[start : start + 3 * size] = b"".join(colour(complex(3 * x / size - 2.2, 3 * y / size - 1.5)) for x in range(size))
        drawn += 1
    return drawn


def colour(c: complex) -> bytes:
    """Black in the set, outside it by how soon it is left."""
    z = c
    for n in range(DEPTH):
        if z.real * z.real + z.imag * z.imag > 4:
            near = 255 * n // DEPTH
            return bytes((min(255, 4 * near), min(255, 2 * near), 64 + 191 * near // 255))
        z = z * z + c
    return bytes(3)


def write_png(path: Path, size: int, picture: SharedBuffer) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)  # 8 bits, RGB
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(picture)) + chunk(b"IEND", b""))


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the Mandelbrot set.")
    parser.add_argument("--size", type=int, default=160, help="pixels a side (default 160; 1000 is a nice one)")
    parser.add_argument("--output", type=Path, default=Path("mandelbrot.png"), help="default mandelbrot.png")
    parser.add_argument("--workers", type=int, default=os.process_cpu_count() or 1, help="default one a core")
    options = parser.parse_args()
    size = options.size

    picture = SharedBuffer(size * (1 + 3 * size))
    rows_out, rows_in = csp.channel(capacity=16)
    workers = [draw.spawn(rows_in, picture, size) for _ in range(options.workers)]
    rows_in.close()
    rows_out.send_many(range(size))
    rows_out.close()
    drawn = [ref.result() for ref in workers]

    write_png(options.output, size, picture)
    print(sum(drawn), "rows drawn, checksum", f"{zlib.crc32(picture):08x}")
    start = size // 2 * (1 + 3 * size) + 1
    axis = bytes(picture[start : start + 3 * size])  # the real one, of which the set has what is between -2 and 1/4
    inside = sum(axis[x : x + 3] == bytes(3) for x in range(0, 3 * size, 3))
    print(f"it has {3 * inside / size:.2f} of the real axis")
    if sum(drawn) != size or abs(3 * inside / size - 2.25) > 9 / size:
        raise SystemExit("this is not the Mandelbrot set")


if __name__ == "__main__":
    main()
