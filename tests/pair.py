"""Two processes on this machine, connected by gloo, that wait for work: their start takes longer than the work."""

from __future__ import annotations

import os
import traceback
from multiprocessing import get_context
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from pathlib import Path


class Pair:
    """Calls functions on both processes at once; they are started by the first call, and anew after an error.

    Args:
        folder: where they meet; on this machine, and empty.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._starts = folder, 0
        self._processes: list[tuple[Any, Connection]] = []

    def __call__(self, function: Callable[..., Any], *arguments: object) -> list[Any]:
        """What `function(*arguments)` comes to on each process, by rank; `torch.distributed` knows who is who.

        Args:
            function: of a module, so that it can be sent.
            *arguments: for it.

        Raises:
            RuntimeError: it raised on one of them.
        """
        if not self._processes:
            self._start()
        waiting = {connection: rank for rank, (_, connection) in enumerate(self._processes)}
        for connection in waiting:
            connection.send((function, arguments))
        found: dict[int, Any] = {}
        try:
            while len(found) < len(self._processes):
                for connection in wait(list(waiting)):
                    error, found[waiting.pop(connection)] = connection.recv()
                    if error:
                        raise RuntimeError(error)
        except BaseException:
            self.close()  # the other one may wait for its fellow for ever
            raise
        return [found[rank] for rank in sorted(found)]

    def close(self) -> None:
        """End the processes."""
        for process, connection in self._processes:
            process.kill()
            process.join()
            connection.close()
        self._processes = []

    def _start(self) -> None:
        context, self._starts = get_context("spawn"), self._starts + 1
        for rank in range(2):
            ours, theirs = context.Pipe()
            meet = f"file://{self._folder}/meet-{self._starts}"
            process = context.Process(target=_serve, args=(rank, meet, theirs), daemon=True)
            process.start()
            theirs.close()
            self._processes.append((process, ours))


def _serve(rank: int, meet: str, connection: Connection) -> None:
    import torch

    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", meet, rank=rank, world_size=2)
    while True:
        function, arguments = connection.recv()
        try:
            connection.send(("", function(*arguments)))
        except Exception:
            connection.send((traceback.format_exc(), None))
