"""`python -m service.guard --port 8885`: what supervisord runs; it runs the process."""

import sys

from service.guard.guard import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
