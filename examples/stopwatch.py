"""A stopwatch with commands, ticks and an alarm in one select: timers are channels, and cost no thread."""

import threading

import csp
from csp import EndOfChannel, RecvChannel, SendChannel

TICK = 0.01


def stopwatch(commands: RecvChannel, shows: SendChannel) -> None:
    """Count ticks while running.  "lap" shows how far it is, the end of the commands ends it."""
    ticks, running = csp.tick(TICK), False
    count = 0
    while True:
        try:
            # A case that is None is switched off: no ticks are counted while the watch stands still.
            channel, value = csp.select([commands, ticks if running else None], timeout=5.0)
        except EndOfChannel:
            shows.close()
            return
        if channel is ticks:
            count += 1
        elif value == "start":
            running, ticks = True, csp.tick(TICK)
        elif value == "stop":
            running = False
        elif value == "lap":
            shows.send(count)


def main() -> None:
    press, commands = csp.channel()
    shows, display = csp.channel()
    threading.Thread(target=stopwatch, args=(commands, shows)).start()

    press.send("lap")
    print("not started:", display.recv(), "ticks")

    press.send("start")
    csp.after(20 * TICK).recv()  # wait for a timer: a channel like any other
    press.send("stop")
    press.send("lap")
    stopped_at = display.recv()
    print("it ran:", stopped_at > 0)

    csp.sleep(5 * TICK)
    press.send("lap")
    print("it stands still:", display.recv() == stopped_at)

    alarm = csp.after(2 * TICK)
    channel, at = csp.select([display, alarm])
    print("the alarm rang first:", channel is alarm)
    press.close()
    print("the display has ended:", list(display) == [])


if __name__ == "__main__":
    main()
