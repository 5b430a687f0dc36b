"""DuckDB: the rows in a temporary table, aggregations and joins in SQL, the matrix out through NumPy.

Written for pace: names are lower-cased once an artist, not once a row; a large read buffer; quoting off. A bare
carriage return ends a row for its reader whatever it is told, so such rows are skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
from common import TOP, arguments, deliver, save_matrix

if TYPE_CHECKING:
    from pathlib import Path

MEMORY_LIMIT = "4GB"

ROWS = """
create temp table rows as
select "user", artist, plays from read_csv(
    ?, delim = '\t', quote = '', escape = '', header = false, auto_detect = false, nullstr = '\x01',
    strict_mode = false, ignore_errors = true, new_line = '\\n', buffer_size = 33554432,
    columns = {'user': 'VARCHAR', 'mbid': 'VARCHAR', 'artist': 'VARCHAR', 'plays': 'INTEGER'}
) where plays > 0 and artist <> ''
"""
USERS = """
create temp table users as
select (row_number() over (order by first) - 1)::integer i, * exclude (first) from (
    select "user", min(rowid) first, count(*) n_artists, sum(plays)::bigint plays, median(plays) median_plays
    from rows group by "user"
)
"""
SPELLINGS = """
create temp table spellings as
select artist, lower(artist) name, min(rowid) first, count(*) listeners, sum(plays)::bigint plays,
       count(*) filter (plays = 1) once
from rows group by artist
"""
ARTISTS = """
create temp table artists as
select (row_number() over (order by first) - 1)::integer j, * exclude (first) from (
    select name artist, min(first) first, sum(listeners)::bigint listeners, sum(plays)::bigint plays,
           sum(once)::bigint once
    from spellings group by name
)
"""
CODES = """
select users.i, spelt.j, rows.plays::float plays
from rows
join users using ("user")
join (select s.artist, a.j from spellings s join artists a on s.name = a.artist) spelt on rows.artist = spelt.artist
"""


def described(connection: duckdb.DuckDBPyConnection, column: str) -> dict[str, Any]:
    """Return what pandas' `describe` gives of a column of the users."""
    (found,) = connection.execute(
        f"select count({column}), avg({column}), stddev_samp({column}), quantile_cont({column}, [0, .25, .5, .75, 1])"
        " from users"
    ).fetchall()
    quartiles = dict(zip(("min", "25%", "50%", "75%", "max"), found[3], strict=True))
    return {"count": found[0], "mean": found[1], "std": found[2], **quartiles}


def statistics(connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Return the statistics, from the tables."""
    (totals,) = connection.execute(
        "select sum(listeners), count(*), sum(plays), sum(once) from artists"
    ).fetchall()
    top = connection.execute(
        f"select artist, listeners, plays from artists order by listeners desc, j limit {TOP}"
    ).fetchall()
    return {
        "rows_kept": totals[0],
        "users": connection.execute("select count(*) from users").fetchall()[0][0],
        "artists": totals[1],
        "plays_total": totals[2],
        "played_once": totals[3],
        "top_artists": [dict(zip(("artist", "listeners", "plays"), row, strict=True)) for row in top],
        "artists_per_user": described(connection, "n_artists"),
        "median_plays_per_user": described(connection, "median_plays"),
    }


def save_tables(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Write the mappings."""
    for table, key in (("users", "i"), ("artists", "j")):
        target = folder / f"{table}.parquet"
        connection.execute(
            f"copy (select * exclude ({key}) from {table} order by {key}) to '{target}' (format parquet)"
        )


def main() -> None:
    """Read, count, map and assemble."""
    source, folder = arguments()
    connection = duckdb.connect()
    connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'")
    connection.execute(f"set temp_directory = '{folder / 'spill'}'")
    connection.execute(ROWS, [source])
    for statement in (USERS, SPELLINGS, ARTISTS):
        connection.execute(statement)
    found = statistics(connection)
    save_tables(connection, folder)
    codes = connection.execute(CODES).fetchnumpy()
    connection.close()
    found["nnz"] = save_matrix(
        folder, codes["i"], codes["j"], codes["plays"], (found["users"], found["artists"])
    )
    deliver(folder, found)


if __name__ == "__main__":
    main()
