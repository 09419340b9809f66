"""`python -m tests.faults.promotions`."""

import sys

from tests.faults.promotions.run import main

sys.exit(main())
