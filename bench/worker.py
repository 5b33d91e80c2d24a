"""A process that does due renewals as one of Celery's would; it imports nothing of Django's before that is set up."""

import cProfile
import os
import resource
from typing import Any


def work(go: Any, done: Any) -> None:
    """Each time it is told to go, works until nothing is due, and answers with the most memory it has held, in MiB.

    With PROFILE set to the name of a file, leaves there where its time went.
    """
    import django

    django.setup()
    from apps.core import due

    # What the run plans, the sending of charges, is not measured here, and nobody is there to take them.
    due._CLAIM = due._CLAIM.replace("{partner}", "AND kind = 'billing.renew' {partner}")
    due.waiting()
    profile = cProfile.Profile() if "PROFILE" in os.environ else None
    done.put(0.0)
    while go.get() is not None:
        if profile:
            profile.enable()
        while rows := due.claim(20):
            for row in rows:
                due.run(row)
        if profile:
            profile.disable()
            profile.dump_stats(os.environ["PROFILE"])
        done.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def run_lanes(go: Any, done: Any) -> None:
    """The same for lanes: each time it is told to go, calls outside and records until nothing is left."""
    import django

    django.setup()
    from apps.core import lanes

    profile = cProfile.Profile() if "PROFILE" in os.environ else None
    done.put(0.0)
    while go.get() is not None:
        if profile:
            profile.enable()
        before = resource.getrusage(resource.RUSAGE_SELF)
        lanes.Runner().run()
        after = resource.getrusage(resource.RUSAGE_SELF)
        if "CPU" in os.environ:
            print("cpu", after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime, flush=True)
        if profile:
            profile.disable()
            profile.dump_stats(os.environ["PROFILE"])
        done.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
