"""Arrow without pandas, in a process of its own: what is imported can't be undone."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from lastfm_dask.memory.imports import keep_pandas_out
keep_pandas_out()
keep_pandas_out()
import numpy as np, pyarrow as pa, pyarrow.compute as pc
array = pa.array(np.arange(5))
assert array.to_numpy().sum() == 10
assert pc.equal(array, 3).to_pylist().count(True) == 1
assert "pandas" not in sys.modules
import pandas as pd
series = pd.Series([1, None, 3], dtype="Int64")
assert pa.Table.from_pandas(series.to_frame("x")).column("x").null_count == 1
assert pa.table({"x": array}).to_pandas()["x"].sum() == 10
assert pa.array(series).to_pylist() == [1, None, 3]
assert pa.array(pd.Series(["a", None])).to_pylist() == ["a", None]
assert pa.array(pd.Series([1.0, float("nan")]), from_pandas=True).null_count == 1
"""


def test_arrow_leaves_pandas_alone_until_it_is_wanted() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_pandas_that_is_there_already_stays() -> None:
    code = "import pandas, sys; from lastfm_dask.memory.imports import keep_pandas_out as k; k()\nimport pyarrow as pa\n"
    code += (
        "assert sys.modules['pandas'] is pandas\nassert pa.array(pandas.Series([1, 2])).to_pylist() == [1, 2]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
