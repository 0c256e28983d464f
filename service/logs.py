"""Logging: one JSON object a line, in a file of its own for each process, never on the loop."""

from __future__ import annotations

import logging
import logging.handlers
import queue
import time
from pathlib import Path

import msgspec

FILE_BYTES = 10 * 1024 * 1024
FILES_KEPT = 5
# what can't be written in time is dropped: logging never holds memory, nor the loop
QUEUE_RECORDS = 10_000


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


class _DroppingQueueHandler(logging.handlers.QueueHandler):
    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            pass  # the disk is slower than we talk; the service goes on

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record  # it stays in this process: nothing needs to be made picklable


def start(file: Path, level: str) -> logging.handlers.QueueListener:
    """Send all records to a file, through a thread; stop the listener at the end."""
    handler = logging.handlers.RotatingFileHandler(
        file, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8"
    )
    handler.setFormatter(JsonFormatter())
    records: queue.Queue[logging.LogRecord] = queue.Queue(QUEUE_RECORDS)
    listener = logging.handlers.QueueListener(records, handler)
    root = logging.getLogger()
    root.handlers = [_DroppingQueueHandler(records)]
    root.setLevel(level.upper())
    listener.start()
    return listener
