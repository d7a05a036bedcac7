"""The program a worker process runs. Arguments: pool's name, slot, descriptor of the mail socket."""

import os
import sys

# The directory of this file must not shadow anything; the pool's own search path follows.
sys.path[:] = [entry for entry in sys.path if entry != os.path.dirname(__file__)]
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(__file__))))

from workpool._worker.boot import main  # noqa: E402

main(int(sys.argv[-1]))
