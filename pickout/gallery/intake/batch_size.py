"""How many crops are encoded at once: as told, or what is fastest here, tried out with the first crops of a run."""

SIZES = (8, 16, 32)  # tried in turns; small batches stay in the processor's caches, large ones suit a GPU
_TURNS = 2  # how often each is timed; the better time counts, since other work on a machine only ever adds
LARGEST = max(SIZES)


class BatchSize:
    """The size of the next batch. No crop is encoded for the trial alone."""

    def __init__(self, told: int | None) -> None:
        # The first batch of all is not counted: a model is still making itself ready.
        self._plan = [] if told else [LARGEST, *SIZES * _TURNS]
        self._times: dict[int, float] = {}
        self.now = told or self._plan[0]

    def took(self, count: int, seconds: float) -> None:
        """Hear how long the encoding of `count` crops took; a batch that was not full tells nothing."""
        if not self._plan or count < self.now:
            return
        if len(self._plan) <= len(SIZES) * _TURNS:
            self._times[self.now] = min(seconds / count, self._times.get(self.now, seconds))
        self._plan.pop(0)
        self.now = self._plan[0] if self._plan else min(self._times, key=self._times.__getitem__)
