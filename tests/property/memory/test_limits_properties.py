"""Whatever groups are nested in whatever depth, the allowed memory is the smallest bound."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lastfm_dask.memory.limits import allowed_memory

BYTES = st.one_of(st.none(), st.integers(1 << 20, 1 << 40))
LEVEL = st.tuples(BYTES, BYTES, st.integers(0, 1 << 35), st.integers(0, 1 << 35))


@given(levels=st.lists(LEVEL, min_size=1, max_size=5), own_kib=st.integers(0, 1 << 24), option=BYTES)
def test_allowed_is_the_smallest_bound(
    levels: list[tuple[int | None, int | None, int, int]], own_kib: int, option: int | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "proc/self").mkdir(parents=True)
        (root / "proc/self/mountinfo").write_text("40 23 0:26 / /cg rw - cgroup2 none rw\n")
        (root / "proc/self/status").write_text(f"RssAnon:\t{own_kib} kB\nRssShmem:\t0 kB\n")
        (root / "proc/meminfo").write_text("MemTotal: 99 kB\nMemAvailable: 1073741824 kB\n")
        own = own_kib << 10
        bounds = [(1 << 40) + own] + ([option] if option is not None else [])
        path = root / "cg"
        for i, (most, high, anon, shmem) in enumerate(levels):
            path = path / f"level{i}"
            path.mkdir(parents=True)
            (path / "memory.max").write_text("max" if most is None else str(most))
            (path / "memory.high").write_text("max" if high is None else str(high))
            (path / "memory.stat").write_text(f"anon {anon}\nfile 5\nshmem {shmem}\n")
            others = anon + shmem - own
            others = others if others > 1 << 20 else 0
            bounds += [max(0, limit - others) for limit in (most, high) if limit is not None]
        (root / "proc/self/cgroup").write_text(f"0::/{path.relative_to(root / 'cg')}\n")
        allowed = allowed_memory(option, root=root)
        assert allowed.bytes == min(bounds)
        assert sorted(limit.bytes for limit in allowed.candidates) == sorted(bounds)
