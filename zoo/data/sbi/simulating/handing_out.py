"""Rows handed out in tasks."""

from __future__ import annotations

from collections import deque

import numpy as np

from zoo.data.sbi.simulating.answers import Part

CHUNK = 1000
"""Rows that a vectorized simulator gets at once. Each chunk has its own random stream, so it is no option."""
TASK = 0.2
"""Seconds that a task of several rows should take: short against what may be lost, long against handing it over."""


class Tasks:
    """Rows that are still to be simulated, handed out in tasks of about ``TASK`` seconds, so that little is lost of a kill."""

    def __init__(self, rows: np.ndarray, vectorized: bool, processes: int) -> None:
        chunks = np.split(rows, range(CHUNK, len(rows), CHUNK)) if vectorized else [rows]
        self.waiting = deque(chunk for chunk in chunks if len(chunk))
        self.vectorized, self.processes, self.size = vectorized, processes, 1

    def take(self) -> np.ndarray:
        """Rows of the next task."""
        rows = self.waiting.popleft()
        if self.vectorized:
            return rows
        left = len(rows) + sum(map(len, self.waiting))
        size = min(self.size, max(1, left // (2 * self.processes)))
        if len(rows) > size:
            self.waiting.appendleft(rows[size:])
        return rows[:size]

    def took(self, part: Part) -> None:
        """Learn from a task how many rows the next may have."""
        if len(part.rows) and part.seconds < TASK / 2:
            self.size = min(CHUNK, max(self.size, 4 * len(part.rows)))
        elif part.seconds > 2 * TASK:
            self.size = max(1, int(TASK * len(part.rows) / part.seconds))

    def again(self, *parts: np.ndarray) -> None:
        """Put rows back, each of the parts as a task of its own or more."""
        self.waiting.extendleft(reversed([rows for rows in parts if len(rows)]))
