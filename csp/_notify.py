"""What a service manager is told, by the protocol of systemd's sd_notify(3): datagrams over the socket that it named."""

import os
import socket

_LEAST_PERIOD = 0.001


class Notifier:
    """Tells the service manager, if there is one; `period` is how often it wants to hear WATCHDOG=1, in seconds, or None."""

    def __init__(self) -> None:
        name = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name
        self._ours = name[:1] in ("/", "@") and hasattr(socket, "AF_UNIX")
        self.period = _watchdog_period() if self._ours else None

    def tell(self, state: str) -> None:
        """Send one state, such as "READY=1".  Nobody is held up, and nothing is raised, if the manager does not listen."""
        if not self._ours:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.setblocking(False)
                channel.sendto(os.fsencode(state), os.fsencode(self._address))
        except OSError:
            pass


def _watchdog_period() -> float | None:
    """Half of WATCHDOG_USEC, as sd_watchdog_enabled(3) advises; None if it is not set, or meant for another process."""
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not (usec.isascii() and usec.isdecimal() and int(usec) > 0):
        return None
    if pid and pid != str(os.getpid()):
        return None
    return max(_LEAST_PERIOD, int(usec) / 2e6)
