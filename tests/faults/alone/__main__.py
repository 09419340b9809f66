"""`python -m tests.faults.alone`."""

import sys

from tests.faults.alone.run import main

sys.exit(main())
