"""python -m appliance: the jackfield command."""

import sys

from .cli import main

sys.exit(main())
