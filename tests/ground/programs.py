"""A light list of programs under the real supervisor, as a process of its own: `programs.py RUN_DIR`."""

import os
import sys
from pathlib import Path

from armor.programs import Program, StepFailed, Stopped, Supervisor

# ignores SIGTERM and has a child of its own: the worst that can be under a supervisor
STUBBORN = (
    "import signal,subprocess,time; signal.signal(15, signal.SIG_IGN); subprocess.Popen(['sleep','600'])"
)
WAIT = "; print('up', flush=True); time.sleep(600)"


def main() -> None:
    run_dir = Path(sys.argv[1])
    programs = [
        Program("steady", [sys.executable, "-c", "import time" + WAIT]),
        Program("stubborn", [sys.executable, "-c", STUBBORN + WAIT]),
    ]
    with Supervisor(folder=run_dir, env=dict(os.environ), run_dir=run_dir, polite_seconds=2) as supervisor:
        for program in programs:
            supervisor.start(program)
        try:
            supervisor.step("good step", [sys.executable, "-c", "print('stepping')"])
            try:
                supervisor.step("bad step", [sys.executable, "-c", "raise SystemExit(3)"])
            except StepFailed as error:
                supervisor.say(str(error))
            supervisor.forever()
        except Stopped:
            supervisor.say("stopping")


if __name__ == "__main__":
    main()
