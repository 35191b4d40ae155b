"""What a multi-call shell does inside itself.

BusyBox's shell runs most of its applets without executing a file: no process start tells of `find`, `touch` or `chattr`,
only the text that the shell was given does. Such a text is taken apart into simple commands, and each is judged as a
program start of its own, below the shell.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import msgspec

from seawall.detection.processes import MULTI_CALL, SHELLS, program, script_text
from seawall.domain.runtime_events import Ancestor, ProcessExec

_MAX_COMMANDS, _MAX_TEXT = 32, 4096
_ENDS = re.compile(r"[;&|()\n]+")
_WORDS = frozenset(
    {"if", "then", "else", "elif", "do", "while", "until", "!", "{", "exec", "command", "nohup", "time", "eval"}
)
_SKIPPED = frozenset(
    {"", "for", "case", "fi", "done", "esac", "}", "in", "[", "[[", "test", "cd", "export", "set", "local"}
)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


class AppletRun(ProcessExec, frozen=True, tag="applet_run"):
    """A command that a shell ran within its own process. Never sent: the engine makes it and judges it."""

    position: int = 0
    """Place among the commands of its text."""

    @property
    def id(self) -> str:
        """The id of the shell's own start, with the place of the command."""
        return f"{self.boot}:{self.seq}.{self.position}"


def applets_of(event: ProcessExec) -> tuple[AppletRun, ...]:
    """Return the commands of the text that a multi-call shell was started with; none for other programs."""
    process = event.process
    if process.name not in MULTI_CALL or program(process) not in SHELLS:
        return ()
    text = script_text(process)
    if not text:
        return ()
    above = (Ancestor(process.pid, process.exe, process.args[:16], process.start_ns, process.uid), *process.ancestors)
    shared = {name: getattr(event, name) for name in ProcessExec.__struct_fields__ if name != "process"}
    return tuple(
        AppletRun(**shared, process=msgspec.structs.replace(process, args=words, ancestors=above[:16]), position=number)
        for number, words in enumerate(_commands(text[:_MAX_TEXT]), 1)
    )


def _commands(text: str) -> Iterator[tuple[str, ...]]:
    reader = shlex.shlex(text.replace("\n", " ; "), posix=True, punctuation_chars=True)
    reader.commenters = ""
    found: list[str] = []
    number, redirected = 0, False
    try:
        for word in reader:
            if _ENDS.fullmatch(word):
                if found and found[0] not in _SKIPPED:
                    yield tuple(found)
                    number += 1
                    if number == _MAX_COMMANDS:
                        return
                found, redirected = [], False
            elif set(word) <= set("<>&"):
                redirected = True
                if found and found[-1].isdecimal():
                    found.pop()
            elif redirected:
                redirected = False
            elif found or not (word in _WORDS or _ASSIGNMENT.match(word)):
                found.append(word)
    except ValueError:
        return  # a quote that does not end: what stands before it was judged
    if found and found[0] not in _SKIPPED:
        yield tuple(found)
