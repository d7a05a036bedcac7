"""The program a worker process runs, and a template.

Arguments: pool's name, slot, descriptors of mail, report and liveness; of a template the pool's name,
"template", descriptors of control and liveness.
"""

import os
import sys

# Not so when `multiprocessing`, used by a task, loads its process's main module in a child.
if __name__ == "__main__":
    # The directory of this file must not shadow anything; the pool's own search path follows.
    sys.path[:] = [entry for entry in sys.path if entry != os.path.dirname(__file__)]
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(__file__))))

    if sys.argv[2] == "template":
        from workpool._worker.template import main as be_template

        be_template(int(sys.argv[3]), int(sys.argv[4]))
    else:
        from workpool._worker.boot import main

        main(int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
