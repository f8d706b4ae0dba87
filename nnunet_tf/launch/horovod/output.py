"""What Horovod's launcher prints: which of it the user sees, and which worker's error it was that ended the run."""

import re
import signal

from data_preprocessing.common.errors import CommandFailed, UserError
from data_preprocessing.common.script import USER_ERROR_STATUS

CHATTER = "horovod/common/"  # what Horovod's C++ says about a connection that went away
WORKER_LINE = re.compile(r"^\[(\d+)\]<(stdout|stderr)>:?(.*)$", re.DOTALL)
EXIT_LINE = re.compile(r"Process (\d+) exit with status code (\d+)\.")
LAUNCHER_ERROR = re.compile(r"^\w*(?:Error|Exception): (.+)")
FIRST_SIGNAL_STATUS = 128
SSH_STATUS = 255  # what ssh itself ends with
GO_ON = "a training goes on with --resume where an epoch was finished"


class Output:
    """Fed with the launcher's lines; `script` is the name that the workers' own one-line errors begin with.

    Rank 0 is shown as it is, of the others standard error only, with their number before it; with `elastic`, where any
    of them may become rank 0, all of all. A worker's one-line error is kept, to be said last.
    """

    def __init__(self, script: str, elastic: bool = False) -> None:
        self.script, self.elastic = script, elastic
        self._last_words: dict[int, str] = {}
        self._user_errors: dict[int, str] = {}
        self._ended: dict[int, int] = {}
        self._launcher_words: list[str] = []

    def shown(self, line: str) -> str | None:
        """Returns what of a line the user is to see; None for nothing."""
        match = WORKER_LINE.match(line)
        if not match:
            return self._launcher_line(line)
        worker, stream, text = int(match[1]), match[2], match[3]
        if CHATTER in text:
            return None
        if stream == "stderr" and text.strip():
            self._last_words[worker] = text.strip()
            if text.startswith(f"{self.script}: "):
                self._user_errors[worker] = text.removeprefix(f"{self.script}: ").strip()
                return None
        if worker == 0 or (self.elastic and stream == "stdout"):
            return text
        return f"[worker {worker}] {text}" if stream == "stderr" and text.strip() else None

    def _launcher_line(self, line: str) -> str | None:
        ended = EXIT_LINE.search(line)
        if ended:
            worker, status = int(ended[1]), int(ended[2])
            self._ended.setdefault(worker, status)
            return f"{self._ending(worker)}\n" if self.elastic else None
        self._launcher_words += [line.strip()] if line.strip() else []
        return None

    def error(self) -> UserError | CommandFailed:
        """Returns what ended the run, once it has failed: the error of the worker that failed first.

        Those that Horovod or the launcher stopped after it are looked at only where there is no other.
        """
        if not self._ended:
            errors = [match[1] for match in map(LAUNCHER_ERROR.match, self._launcher_words) if match]
            said = (errors or self._launcher_words or ["it said nothing"])[-1]
            why = [word for word in self._launcher_words if "ssh" in word.lower() or "denied" in word.lower()]
            return UserError(f"Horovod's launcher could not start the workers: {' '.join([said, *why][:4])}")
        first = next((worker for worker in self._ended if not self._follows(worker)), next(iter(self._ended)))
        if self._ended[first] == USER_ERROR_STATUS:
            return UserError(self._ending(first))
        return CommandFailed(f"{self._ending(first)}; {GO_ON}")

    def _follows(self, worker: int) -> bool:
        """Whether a worker ended because another had."""
        stopped = self._ended[worker] == FIRST_SIGNAL_STATUS + signal.SIGTERM
        return stopped or "Horovod" in self._last_words.get(worker, "")

    def _ending(self, worker: int) -> str:
        status = self._ended[worker]
        if status == SSH_STATUS:
            return f"worker {worker}: the connection to its machine was lost, or never made"
        if status > FIRST_SIGNAL_STATUS:
            return f"worker {worker} was killed (signal {status - FIRST_SIGNAL_STATUS})"
        words = self._user_errors.get(worker) or self._last_words.get(worker) or f"ended with status {status}"
        return f"worker {worker}: {words}"
