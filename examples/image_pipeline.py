"""Images resized by a pool of supervised processes, since Pillow does not load in a subinterpreter.

`isolation="process"` is the one word to add: channels, leases and supervision stay as they are.  A crash of C code, here made on
purpose, ends one process; the lease gives its image back, and the supervisor starts the next life.
"""

import signal
import sys
from importlib.util import find_spec
from io import BytesIO

import csp
from csp import RecvChannel, SendChannel, actor
from csp.sync import AtomicInt

IMAGES, WORKERS = 12, 2


@actor(isolation="process")
def thumbnail(images: RecvChannel, thumbnails: SendChannel, bugs: AtomicInt) -> None:
    from PIL import Image

    while True:
        with images.lease() as (n, png):  # goes back if this life ends here
            if n == 5 and bugs.add(-1) == 0:  # one integer for all processes
                signal.raise_signal(signal.SIGSEGV)  # what a bug in C code does
            with Image.open(BytesIO(png)) as image:
                small = image.convert("L").resize((image.width // 8, image.height // 8), Image.Resampling.BOX)
            jpeg = BytesIO()
            small.save(jpeg, "JPEG", quality=95)
            thumbnails.send((n, jpeg.getvalue()))


def generated(n: int) -> bytes:
    """A PNG file: a square whose lightness grows from left to right, more or less steeply."""
    from PIL import Image

    image = Image.linear_gradient("L").rotate(90).point(lambda light: light * (n + 1) // IMAGES).convert("RGB")
    png = BytesIO()
    image.save(png, "PNG")
    return png.getvalue()


def is_right(n: int, jpeg: bytes) -> bool:
    """Small, grey, and as light in the middle as the original."""
    from PIL import Image

    with Image.open(BytesIO(jpeg)) as image:
        return (image.format, image.mode, image.size) == ("JPEG", "L", (32, 32)) and abs(image.getpixel((16, 16)) - 128 * (n + 1) / IMAGES) < 8


def main() -> None:
    images, thumbnails = csp.Channel(4), csp.Channel(IMAGES)
    pool = csp.ChildSpec(thumbnail, args=(images.receiver, thumbnails.sender, AtomicInt(1)), id="thumbnail", count=WORKERS)
    with csp.Supervisor([pool]) as tree:
        for n in range(IMAGES):
            images.send((n, generated(n)))
        found = dict(thumbnails.recv(timeout=30) for _ in range(IMAGES))
        crash = next(event.exit for event in tree.events if isinstance(event, csp.Exited))

    right = sum(is_right(n, jpeg) for n, jpeg in found.items())
    print("one worker crashed:", crash.remote.message)
    print(len(found), "thumbnails,", right, "of them right")
    if right != IMAGES:
        raise SystemExit("a thumbnail is wrong")


if __name__ == "__main__":
    if find_spec("PIL") is None:
        print("this example needs Pillow: pip install pillow")
        sys.exit()
    main()
