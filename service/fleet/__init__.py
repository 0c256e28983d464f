"""nginx, supervisord and the processes as one thing: up, down, status, reload.

    starting  stopping  rolling  health     what the four do, each a short story
    conf        the committed configuration files, with what is in force filled in
    given       what `squall up` was given, for the processes and for `reload`
    supervisord  nginx                      the two programs
    files       where the fleet keeps what; the lock
    link        supervisor/run, by which supervisorctl finds the fleet
    ports  processes  waiting  progress     small things

It knows the service by HTTP, settings and files only.
"""

from service.fleet.errors import FleetError, NotUp, Stopping
from service.fleet.health import Process, status
from service.fleet.progress import Progress
from service.fleet.rolling import reload
from service.fleet.starting import up
from service.fleet.stopping import down

__all__ = [
    "FleetError",
    "NotUp",
    "Process",
    "Progress",
    "Stopping",
    "down",
    "reload",
    "status",
    "up",
]
