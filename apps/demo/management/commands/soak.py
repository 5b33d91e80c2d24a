"""A long simulation against the running system, its worker killed at random between the months."""

import os
import random
import signal
from collections.abc import Callable
from typing import Any

from apps.demo import controls
from apps.demo.management.commands.simulate import Command as Simulate
from apps.demo.world import World


class Command(Simulate):
    help = __doc__
    partners, customers, months = 3, 60, 24

    def after_month(self, here: World, options: dict[str, Any]) -> Callable[[], None]:
        dice = random.Random(options["seed"] + 1)

        def kill() -> None:
            pid = controls.worker_pid() if here.has_workers else None
            if pid is not None and dice.random() < 0.5:
                os.kill(pid, signal.SIGKILL)
                self.say(f"воркер {pid} убит")

        return kill
