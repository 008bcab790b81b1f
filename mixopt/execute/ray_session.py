"""A Ray to work on: a private one that leaves nothing behind, or a cluster that answers."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixopt.errors import ExecutorError

# Sockets live in the folder, and a socket's path has at most 107 bytes, so it is in /tmp and not in a long TMPDIR.
_TEMP_ROOT = Path("/tmp")
_PREFIX = f"mixopt-ray-{os.getuid()}-"

# Our objects are specs and results; Ray would reserve a third of the memory.
_OBJECT_STORE_BYTES = 100 * 2**20

_CONNECT_SECONDS = 5.0
_REMOVE_SECONDS = 10.0

# The start of an HTTP/2 connection (RFC 9113, section 3.4): preface and an empty SETTINGS frame (type 4).
_HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_HTTP2_SETTINGS = 4


@contextlib.contextmanager
def ray_session(address: str | None = None) -> Iterator[None]:
    """Connect to the cluster at `address`, or run a private Ray on this machine; a Ray that is up already is used.

    Raises:
        ExecutorError: Ray does not start, or the address does not answer.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    with contextlib.ExitStack() as stack:
        debug = bool(os.environ.get("MIXOPT_DEBUG"))
        if not debug:
            stack.enter_context(_no_raylet_prints())
        options: dict[str, Any] = {"log_to_driver": debug, "logging_level": "INFO" if debug else "ERROR"}
        if address is None:
            _remove_stale_folders()
            options["_temp_dir"] = str(stack.enter_context(_temp_folder()))
            options["include_dashboard"] = False
            options["object_store_memory"] = _OBJECT_STORE_BYTES
            stack.enter_context(_private_settings())
        else:
            _require_answer(address)
            options["address"] = address
        try:
            stack.callback(ray.shutdown)
            ray.init(configure_logging=debug, **options)
        except Exception as error:  # many kinds; a bare one where a busy machine starts it too slowly
            reason = " ".join(str(error).split())[:300]
            where = f"Ray at {address} cannot be used" if address else "Ray does not start on this machine"
            raise ExecutorError(f"{where} ({reason}); `--executor inline` works without Ray") from error
        yield


@contextlib.contextmanager
def _temp_folder() -> Iterator[Path]:
    """A fresh folder whose lock tells other processes that its owner is alive."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_TEMP_ROOT))
    try:
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder into which processes that are just ending may still write."""
    give_up = time.monotonic() + _REMOVE_SECONDS
    while folder.exists() and time.monotonic() < give_up:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)


def _remove_stale_folders() -> None:
    """Remove what drivers left that were killed (SIGKILL runs no clean-up)."""
    for folder in _TEMP_ROOT.glob(f"{_PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime < 2:
                continue  # its owner may be just about to take the lock
            with (folder / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue


@contextlib.contextmanager
def _no_raylet_prints() -> Iterator[None]:
    """Keep standard output for answers: `log_to_driver` does not stop Ray from printing there that a worker died.

    The pool tells the same in its own words.
    """
    from ray._private import worker

    before = worker.print_to_stdstream
    worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        worker.print_to_stdstream = before


@contextlib.contextmanager
def _private_settings() -> Iterator[None]:
    """Ray's settings for a private instance, put back afterwards.

    Ray listens on every interface, and by default it writes the token that protects it to `~/.ray/auth_token`. A
    token of our own in the environment keeps the protection and needs no file.
    """
    from ray._raylet import AuthenticationTokenLoader, Config  # pyright: ignore[reportAttributeAccessIssue]

    settings = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
    before = {name: os.environ.get(name) for name in settings}

    def refresh() -> None:
        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()

    os.environ.update(settings)
    refresh()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        refresh()


def _require_answer(address: str) -> None:
    """Fail in seconds where Ray itself would try for minutes and then end the process.

    Raises:
        ExecutorError: `address` is no address, or what listens there does not speak Ray's protocol.
    """
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise ExecutorError(f"--ray-address: expected host:port, ray://host:port or auto, found {address!r}")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS) as connection:
            connection.sendall(_HTTP2_HELLO)
            answer = connection.recv(9)
    except (OSError, OverflowError) as error:
        raise ExecutorError(
            f"Ray at {address} does not answer ({error}); start it with `ray start --head`, or leave --ray-address "
            "out to use this machine"
        ) from error
    if len(answer) < 4 or answer[3] != _HTTP2_SETTINGS:
        raise ExecutorError(f"what listens at {address} is not Ray; give the address that `ray start --head` printed")
