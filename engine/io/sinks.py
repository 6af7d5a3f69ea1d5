"""The thread that turns observations into log lines and metrics, and the routing of everybody else's log records.

`logging` and structlog loggers, uvicorn's among them, end in the same queue as our observations and are written by
the same thread: the event loop never waits for a terminal or a disk. The content of lines is `lines.py`'s business.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

import structlog

from engine.io.lines import Render, describe_error, make_line, make_pretty, place_of, render_json
from engine.io.metrics import Metrics
from engine.observe import (
    Notice,
    Observation,
    ObservationsDropped,
    RequestServed,
    count_dropped,
    observe,
    take_observations,
)
from engine.settings import LEVELS, PREFIX, Settings, SettingsError

BUSY_S = 0.02
IDLE_S = 0.2
BATCH = 50
STOP_S = 2.0
DEFAULT_LEVEL = "info"
# They would say each request a second time, or what only their authors want to know.
QUIET = {"uvicorn.access": "error", "asyncio": "warning", "multipart": "warning", "urllib3": "warning"}


class Levels:
    """The level of each logger: of the longest configured name that is a part of it.

    Attributes:
        has_debug: Whether debug lines of any logger are written.
    """

    def __init__(self, pairs: tuple[tuple[str, str], ...]) -> None:
        self._configured = {"": DEFAULT_LEVEL, **QUIET, **dict(pairs)}
        self._known: dict[str, int] = {}
        self.has_debug = "debug" in self._configured.values()

    def admits(self, logger: str, level: str) -> bool:
        """Whether a line of this level is written."""
        least = self._known.get(logger)
        if least is None:
            name = logger
            while name not in self._configured:
                name = name.rpartition(".")[0]
            least = LEVELS.index(self._configured[name])
            if len(self._known) < 1_000:
                self._known[logger] = least
        return LEVELS.index(level) >= least


class Sinks:
    """Writes what is observed, from `start` to `stop`.

    Args:
        settings: Format, levels, files.
        stream: Where lines go; standard error, so that commands can print to standard output.
    """

    def __init__(self, settings: Settings, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._levels = Levels(settings.log_levels)
        is_pretty = settings.log_format == "pretty" or (settings.log_format == "auto" and self._stream.isatty())
        self._render: Render = make_pretty() if is_pretty else render_json
        self._files = _Files(settings) if settings.log_dir is not None else None
        self._log_requests = settings.log_requests
        self._reported = count_dropped()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.metrics = Metrics()

    def start(self) -> None:
        """Start the thread, and take over the log records of everybody."""
        route_loggers(self._levels)
        self._thread = threading.Thread(target=self._work, name="sinks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is waiting, and end."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_S)
            self._thread = None
        self.flush()
        if self._files is not None:
            self._files.close()

    def wants(self, logger: str, level: str) -> bool:
        """Whether such lines are written; spares the making of costly ones."""
        return self._levels.admits(logger, level)

    def flush(self) -> int:
        """Write what is waiting now, and return how much it was."""
        written = 0
        with self._lock:
            while batch := take_observations(BATCH):
                self._write(batch)
                written += len(batch)
            lost = count_dropped() - self._reported
            if lost > 0:
                self._reported += lost
                self._write([ObservationsDropped(lost)])
        return written

    def _work(self) -> None:
        pause_s = IDLE_S
        while not self._stopping.wait(pause_s):
            # Small batches often: a long one would keep the interpreter from the event loop.
            pause_s = BUSY_S if self.flush() else IDLE_S

    def _write(self, batch: list[Observation]) -> None:
        now = time.time()
        lines = []
        self.metrics.count(batch)
        for observation in batch:
            if isinstance(observation, RequestServed) and not self._log_requests:
                continue
            logger, level = place_of(observation)
            if not self._levels.admits(logger, level):
                continue
            line = make_line(observation, logger=logger, level=level, now=now)
            lines.append(self._render(line))
            if self._files is not None:
                self._files.write(logger, render_json(line))
        if lines:
            try:
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                # The terminal or pipe is gone; there is nobody to tell.
                return


class _Files:
    """A rotating file for each module: the first two words of a logger's name."""

    def __init__(self, settings: Settings) -> None:
        self._directory = settings.log_dir or Path()
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            expected = f"expected a directory that can be made ({fault.strerror})"
            raise SettingsError([f"{PREFIX}LOG_DIR {str(self._directory)!r}: {expected}."]) from fault
        self._bytes = settings.log_file_bytes
        self._count = settings.log_file_count
        # Two processes must not rotate one file.
        self._tail = f".{os.getpid()}" if settings.workers > 1 else ""
        self._open: dict[str, RotatingFileHandler] = {}

    def write(self, logger: str, line: str) -> None:
        module = ".".join(logger.split(".")[:2]).replace("/", "_") or "root"
        found = self._open.get(module)
        if found is None:
            found = self._open[module] = RotatingFileHandler(
                self._directory / f"{module}{self._tail}.log",
                maxBytes=self._bytes,
                backupCount=self._count,
                encoding="utf-8",
            )
        found.handle(logging.makeLogRecord({"msg": line}))

    def close(self) -> None:
        for found in self._open.values():
            found.close()


class _Hand(logging.Handler):
    """Hands the records of `logging` over as observations."""

    def __init__(self, levels: Levels) -> None:
        super().__init__()
        self._levels = levels

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        level = level if level in LEVELS else "info"
        if not self._levels.admits(record.name, level):
            return
        details: list[tuple[str, str]] = []
        if isinstance(record.msg, dict):
            # A structlog logger's: the event's fields.
            event = str(record.msg.get("event", ""))
            details += [(str(key), str(value)) for key, value in record.msg.items() if key not in ("event", "exc_info")]
        else:
            event = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            details.append(("error", describe_error(record.exc_info[1])))
        observe(Notice(event, level, record.name, tuple(details)))


def route_loggers(levels: Levels) -> None:
    """Send the records of all `logging` and structlog loggers to the queue of observations."""
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old, _Hand):
            root.removeHandler(old)
    root.addHandler(_Hand(levels))
    root.setLevel(logging.DEBUG if levels.has_debug else logging.INFO)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        # A request has its line already; uvicorn makes none where nobody would take it.
        logger.propagate = name != "uvicorn.access"
    logging.captureWarnings(True)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _to_record],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _to_record(_: object, __: str, event: structlog.typing.EventDict) -> tuple[tuple[object], dict[str, object]]:
    error = event.pop("exc_info", None)
    return (event,), {"exc_info": error} if error else {}
