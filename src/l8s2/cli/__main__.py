"""``python -m l8s2.cli``."""

import os

from l8s2.cli import main

if __name__ == "__main__":
    if "L8S2_ENDS_WITH_STDIN" in os.environ:  # started by a batch
        from l8s2.batch.child import end_with_stdin

        end_with_stdin()
    main()
