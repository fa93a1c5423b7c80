"""Seconds of an epoch with and without probes, from the intervals between the epochs of runs."""

from __future__ import annotations


class EpochTimes:
    """Averages the seconds of epochs of both kinds.

    Probes are denser early in training, and may take longer than the epochs themselves: an average over the first
    epochs exceeds that of a whole run several times.

    Attributes
    ----------
    seconds
        Sum of all intervals.

    Examples
    --------
    >>> times = EpochTimes()
    >>> times.add(3.0, epochs=1, probed=True)
    >>> times.of_kinds(), times.of_kinds(every=True)                    # epochs without probes are not known yet
    (None, (0.0, 3.0))
    >>> times.add(4.0, epochs=4, probed=False)
    >>> times.of_kinds()
    (1.0, 2.0)
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._plain = self._plain_epochs = 0.0
        self._mixed_epochs = self._probes = 0

    def add(self, seconds: float, epochs: int, *, probed: bool) -> None:
        """Add an interval of some epochs of a run, of which only the last may be probed."""
        self.seconds += seconds
        if probed:
            self._mixed_epochs += epochs
            self._probes += 1
        else:
            self._plain += seconds
            self._plain_epochs += epochs

    def of_kinds(self, *, every: bool = False) -> tuple[float, float] | None:
        """Return the seconds of an epoch without its probes, and of the probes; None if they are not known apart.

        Parameters
        ----------
        every
            Whether all epochs left are probed, so that only the sum of both matters.
        """
        mixed = self.seconds - self._plain
        if self._plain_epochs:
            plain = self._plain / self._plain_epochs
            return plain, max(0.0, mixed - plain * self._mixed_epochs) / max(1, self._probes)
        if every and self._probes:
            return 0.0, mixed / self._probes
        if self._mixed_epochs > self._probes:  # several epochs an interval: their average is the best guess
            return mixed / self._mixed_epochs, 0.0
        return None
