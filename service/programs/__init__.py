"""nginx, supervisord and the processes as one thing: up, down, status, reload.

    starting  stopping  rolling  health     what the four do, each a short story
    conf        the committed configuration files, with what is in force filled in
    environment what `squall up` was given, for the processes and for `reload`
    supervisord  nginx  front               the two others; what supervisord starts as nginx
    files       where they keep what; the lock
    link        supervisor/run, by which supervisorctl finds the fleet
    ports  processes  waiting  progress  errors     small things

It knows the service by HTTP, settings and files only.
"""

from service.programs.errors import FleetError, NotUp, Stopping
from service.programs.health import Process, status
from service.programs.progress import Progress
from service.programs.rolling import reload
from service.programs.starting import up
from service.programs.stopping import down

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
