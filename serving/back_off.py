"""How soon a process that has ended is replaced: at once, but more and more slowly one that never lives for long."""

QUICK_DEATH = 5.0  # seconds


class BackOff:
    def __init__(self, first: float, longest: float) -> None:
        """`first`: seconds before the second in a row that has died quickly is replaced; it doubles until `longest`."""
        self._first, self._longest = first, longest
        self._quick_deaths = 0

    def after(self, life: float) -> float:
        """Seconds to wait after the end of a process that has lived for `life` seconds."""
        self._quick_deaths = self._quick_deaths + 1 if life < QUICK_DEATH else 0
        if self._quick_deaths < 2:
            return 0.0
        return min(self._first * 2.0 ** (self._quick_deaths - 2), self._longest)
