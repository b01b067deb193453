"""A progress bar over epochs, with the losses beside it."""

from __future__ import annotations

import keras
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from zoo.progress import console


class Progress(keras.callbacks.Callback):
    """One bar for a run, moved at the end of each epoch."""

    def __init__(self, title: str, epochs: int, done: int) -> None:
        super().__init__()
        title_column, losses = (TextColumn(what, markup=False) for what in ("{task.description}", "{task.fields[losses]}"))
        columns = (title_column, BarColumn(), MofNCompleteColumn(), losses)
        self.bar = Bar(*columns, TimeRemainingColumn(), console=console())
        self.task = self.bar.add_task(title, total=epochs, completed=done, losses="")

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.bar.start()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs = logs or {}
        losses = "  ".join(f"{name} {logs[name]:.4g}" for name in ("loss", "val_loss") if name in logs)
        self.bar.update(self.task, advance=1, losses=losses)

    def on_train_end(self, logs: dict | None = None) -> None:
        self.bar.stop()
