"""A connection with one end for all that goes over it: a socket's own limit begins anew with each byte that comes."""

import io
import math
import socket
import time
from typing import Any


class InTime(io.RawIOBase):
    """Stands for the socket in http.client. After `end`, by the monotonic clock: TimeoutError. It closes nothing."""

    def __init__(self, connection: socket.socket, end: float, patience: float) -> None:
        self._connection, self._end, self._patience = connection, end, patience

    def _wait(self, silence: float = math.inf) -> None:
        if (left := self._end - time.monotonic()) <= 0:
            raise TimeoutError(f"no answer in {self._patience:g} s")
        self._connection.settimeout(min(left, silence))

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self._wait()
            rest = rest[self._connection.send(rest) :]

    def recv(self, size: int, silence: float) -> bytes:
        self._wait(silence)
        return self._connection.recv(size)

    def makefile(self, *_: Any) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._wait()
        try:
            return self._connection.recv_into(buffer)
        except TimeoutError:
            raise TimeoutError(f"no answer in {self._patience:g} s") from None

    def close(self) -> None:
        """Who has opened the connection closes it: http.client does so before it has read the answer."""
