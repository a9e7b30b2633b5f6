"""A stream of samples in frames of one size."""

from __future__ import annotations

from collections.abc import Iterator


class FrameCutter:
    """Cuts bytes into frames of exactly `frame_bytes`; what is left comes with `flush`.

    Args:
        frame_bytes: 4096 bytes are 2048 samples of 16 bits, 93 ms at 22,050 Hz.
        first_bytes: Size of the first frame, where it differs.

    Raises:
        ValueError: For a size that does not hold whole 16-bit samples.
    """

    def __init__(self, frame_bytes: int = 4096, *, first_bytes: int | None = None) -> None:
        self._frame_bytes = frame_bytes
        self._next_bytes = frame_bytes if first_bytes is None else first_bytes
        if min(frame_bytes, self._next_bytes) < 2 or frame_bytes % 2 or self._next_bytes % 2:
            raise ValueError(f"a frame of {frame_bytes} bytes does not hold whole 16-bit samples")
        self._rest = bytearray()

    @property
    def missing_bytes(self) -> int:
        """What the frame that was begun lacks; 0 if none was."""
        return self._next_bytes - len(self._rest) if self._rest else 0

    def push(self, data: bytes) -> Iterator[bytes]:
        """Gives the frames that are full."""
        self._rest += data
        while len(self._rest) >= self._next_bytes:
            frame = bytes(self._rest[: self._next_bytes])
            del self._rest[: self._next_bytes]
            self._next_bytes = self._frame_bytes
            yield frame

    def flush(self) -> bytes:
        """Gives what is left, shorter than a frame."""
        rest = bytes(self._rest)
        self._rest.clear()
        return rest
