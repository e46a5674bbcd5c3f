"""The callbacks of this process for transactions that notify a topic."""

from collections.abc import Callable

from zegel_server.db.database import run_callbacks


class Listeners:
    """Callbacks by topic."""

    def __init__(self) -> None:
        self._callbacks: dict[str, list[Callable[[], None]]] = {}

    def add(self, topic: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Adds a callback.

        Args:
            topic: The topic.
            callback: Must not block.

        Returns:
            A function that removes it again.
        """
        callbacks = self._callbacks.setdefault(topic, [])
        callbacks.append(callback)
        return lambda: callbacks.remove(callback)

    def call(self, topic: str) -> None:
        """Calls the listeners of a topic.

        Args:
            topic: The topic.
        """
        run_callbacks(list(self._callbacks.get(topic, ())))

    def call_all(self) -> None:
        """Calls all listeners."""
        for topic in self._callbacks:
            self.call(topic)
