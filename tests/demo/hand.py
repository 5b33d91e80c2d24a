"""A worker's process of its own, that may be killed: `python -m tests.demo.hand worker|lanes …`."""

import sys
import time


def main(part: str) -> None:
    """Works off what comes, until it is killed."""
    import django

    django.setup()
    from apps.core import due, lane_runner, tasks

    while True:
        if part == "worker":
            tasks._work()
        elif due.lanes_due():
            lane_runner.Runner().run()
        time.sleep(0.02)


if __name__ == "__main__":
    main(sys.argv[1])
