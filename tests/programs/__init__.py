"""nginx, supervisord and the processes: the real ones."""
