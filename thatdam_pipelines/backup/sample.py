"""A random sample of lines that come one after another, however many."""

import random

from thatdam_pipelines.backup.manifest import Line


class Sample:
    """So many lines, each as likely as any (reservoir sampling, algorithm R), and the amount of all."""

    def __init__(self, count: int, choice: random.Random) -> None:
        self.lines: list[Line] = []
        self.files = self.bytes = 0
        self._count = count
        self._choice = choice

    def see(self, line: Line) -> None:
        self.files += 1
        self.bytes += line.size_bytes
        if len(self.lines) < self._count:
            self.lines.append(line)
        elif (place := self._choice.randrange(self.files)) < self._count:
            self.lines[place] = line
