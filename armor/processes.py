"""What the launchers ask of Linux: a child that ends with its parent, however the parent ends."""

import ctypes
import os
import signal
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def die_with_parent(number: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn` after which the child receives this signal when the thread that started it ends.

    The libc handle is made before the fork: in the child nothing may be imported that could lock.
    """
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def prepare() -> None:
        # a mask blocked by the parent would be inherited and keep the child deaf
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare
