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
INTERVAL_S = 1.0
CAUSES_MAX = 1_000


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
        try:
            return msgspec.json.encode(line).decode()
        except UnicodeEncodeError:  # a file's name that is no UTF-8: the record must not be lost
            return msgspec.json.encode(
                {name: _escaped(value) for name, value in line.items()}
            ).decode()


def _escaped(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


class _DroppingQueueHandler(logging.handlers.QueueHandler):
    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            pass  # the disk is slower than we talk; the service goes on

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record  # it stays in this process: nothing needs to be made picklable


class OncePerSecond(logging.Filter):
    """Lets one warning or error of each cause through a second, with the count of those before.

    A cause is the line of code that logs and the place of the error that it tells of: what fails
    for each of a thousand jobs fills no disk, and hides nothing else.
    """

    def __init__(self) -> None:
        """Nothing was logged so far."""
        super().__init__()
        self._seen: dict[tuple[object, ...], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write the record down."""
        if record.levelno < logging.WARNING:
            return True
        cause = _cause(record)
        since, withheld = self._seen.pop(cause, (-INTERVAL_S, 0))
        if record.created - since < INTERVAL_S and record.created >= since:
            self._seen[cause] = since, withheld + 1
            return False
        if withheld:
            record.msg, record.args = f"{record.getMessage()} (and {withheld} times before)", None
        self._seen[cause] = record.created, 0
        if len(self._seen) > CAUSES_MAX:
            del self._seen[next(iter(self._seen))]  # the one that was longest not seen
        return True


def _cause(record: logging.LogRecord) -> tuple[object, ...]:
    trace = record.exc_info[2] if record.exc_info else None
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = (trace.tb_frame.f_code, trace.tb_lineno) if trace else None
    what = record.getMessage() if record.msg == "%s" else record.msg
    return record.pathname, record.lineno, what, place


def start(file: Path, level: str) -> logging.handlers.QueueListener:
    """Send all records to a file, through a thread; stop the listener at the end."""
    handler = logging.handlers.RotatingFileHandler(
        file, maxBytes=FILE_BYTES, backupCount=FILES_KEPT, encoding="utf-8"
    )
    handler.setFormatter(JsonFormatter())
    records: queue.Queue[logging.LogRecord] = queue.Queue(QUEUE_RECORDS)
    listener = logging.handlers.QueueListener(records, handler)
    root = logging.getLogger()
    handler_of_all = _DroppingQueueHandler(records)
    handler_of_all.addFilter(OncePerSecond())
    root.handlers = [handler_of_all]
    root.setLevel(level.upper())
    listener.start()
    return listener
