"""The program a worker process runs. Arguments: pool's name, slot, descriptor of the mail socket."""

import os
import sys

# Not so when `multiprocessing`, used by a task, loads its process's main module in a child.
if __name__ == "__main__":
    # The directory of this file must not shadow anything; the pool's own search path follows.
    sys.path[:] = [entry for entry in sys.path if entry != os.path.dirname(__file__)]
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(__file__))))

    from workpool._worker.boot import main

    main(int(sys.argv[-1]))
