"""nginx, supervisord and the processes as one thing: up, down, status, reload.

    starting  stopping  rolling  health     what the four do, each a short story
    conf        the committed configuration files, with what is in force filled in
    environment what `squall up` was given, for the processes and for `reload`
    supervisord nginx                       the two others
    front       what supervisord starts as nginx
    files       where they keep what; the lock
    processes   ports                       what /proc shows of this machine
    errors      what can go wrong, in a line each

It knows the service by HTTP, settings and files only.
"""

from service.programs.errors import NotUp, ProgramError, Stopping
from service.programs.health import Process, Progress, status
from service.programs.rolling import reload
from service.programs.starting import up
from service.programs.stopping import down

__all__ = [
    "NotUp",
    "Process",
    "ProgramError",
    "Progress",
    "Stopping",
    "down",
    "reload",
    "status",
    "up",
]
