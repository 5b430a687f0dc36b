"""What the server counts about itself, in Prometheus' text format."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

from lastfm_dask.memory.proc import resident

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lastfm_dask.serve.plan import ServingPlan

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_PREFIX = "lastfm_dask_serve_"


class Metrics:
    """Counters of requests, and the most memory that was seen. Belongs to the event loop's thread.

    Parameters
    ----------
    plan : ServingPlan
        What was projected and allowed.
    """

    def __init__(self, plan: ServingPlan) -> None:
        self.plan = plan
        self.in_flight = 0
        self.highest_held = 0
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.refused: Counter[str] = Counter()
        self.reloads: Counter[str] = Counter({"taken_up": 0, "failed": 0})
        self.seconds: dict[str, list[int]] = {}
        self.seconds_sum: Counter[str] = Counter()

    def look(self) -> int:
        """Return what the process holds now, in bytes, and remember the most."""
        held = resident().held
        self.highest_held = max(self.highest_held, held)
        return held

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request that was answered."""
        self.requests[route, method, status] += 1
        buckets = self.seconds.setdefault(route, [0] * (len(BUCKETS_S) + 1))
        buckets[bisect_left(BUCKETS_S, seconds)] += 1
        self.seconds_sum[route] += seconds  # type: ignore[assignment]  # a Counter adds up any number

    def text(self, labels: Mapping[str, str]) -> str:
        """Return all of it; `labels` say which model is served."""
        held = self.look()
        lines: list[str] = []
        add = lines.extend
        add(_metric("model_info", "gauge", "The model that answers.", [(labels, 1)]))
        counted = (
            ({"route": route, "method": method, "status": str(status)}, n)
            for (route, method, status), n in sorted(self.requests.items())
        )
        add(_metric("requests_total", "counter", "Requests answered.", counted))
        add(self._histogram())
        add(_metric("in_flight", "gauge", "Requests that are being answered.", [({}, self.in_flight)]))
        refused = (({"reason": reason}, n) for reason, n in sorted(self.refused.items()))
        add(_metric("refused_total", "counter", "Requests refused before any work.", refused))
        reloads = (({"outcome": outcome}, n) for outcome, n in sorted(self.reloads.items()))
        add(_metric("reloads_total", "counter", "New models looked at.", reloads))
        for name, words, value in (
            ("allowed", "What this process may hold.", self.plan.allowed_bytes),
            ("reserved", "What it held before the model was opened.", self.plan.reserved_bytes),
            ("projected", "What it was projected to hold at most.", self.plan.projected_bytes),
            ("measured", "The most that it was seen to hold.", self.highest_held),
            ("held", "What it holds now.", held),
        ):
            add(_metric(f"{name}_bytes", "gauge", words, [({}, value)]))
        return "\n".join(lines) + "\n"

    def _histogram(self) -> Iterable[str]:
        name = f"{_PREFIX}request_seconds"
        yield f"# HELP {name} Seconds from a request's head to its answer's end."
        yield f"# TYPE {name} histogram"
        for route, buckets in sorted(self.seconds.items()):
            total = 0
            for bound, n in zip([*map(str, BUCKETS_S), "+Inf"], buckets, strict=True):
                total += n
                yield f"{name}_bucket{_labels({'route': route, 'le': bound})} {total}"
            yield f"{name}_sum{_labels({'route': route})} {self.seconds_sum[route]:.6f}"
            yield f"{name}_count{_labels({'route': route})} {total}"


def _metric(
    name: str, kind: str, words: str, values: Iterable[tuple[Mapping[str, str], int]]
) -> Iterable[str]:
    yield f"# HELP {_PREFIX}{name} {words}"
    yield f"# TYPE {_PREFIX}{name} {kind}"
    for labels, value in values:
        yield f"{_PREFIX}{name}{_labels(labels)} {value}"


def _labels(labels: Mapping[str, str]) -> str:
    parts = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return "{" + ",".join(parts) + "}" if labels else ""


def _escaped(value: str) -> str:
    text = value.encode(errors="backslashreplace").decode()
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
