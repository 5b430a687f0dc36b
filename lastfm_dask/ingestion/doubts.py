"""Doubts about a source once it is read: too many rejects, and signs of wrong options.

A warning names the likely cause and the option that fixes it. Nothing is changed on a guess.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.causes import likely_cause
from lastfm_dask.interactions.formats import role_of
from lastfm_dask.interactions.inspection import inspect
from lastfm_dask.interactions.schema import DELIMITED, MAX_REJECT_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lastfm_dask.ingestion.index import Index
    from lastfm_dask.ingestion.names import Names
    from lastfm_dask.ingestion.rejects import Reject, RejectsWriter
    from lastfm_dask.interactions.schema import Schema
    from lastfm_dask.sources.source_file import SourceFile

_MANY_REJECTS = 0.01
_MANY_QUOTED = 0.01
_SHOWN = 3


def most_rejects(max_rejects: int | str | None, rows_read: int) -> int | None:
    """Return how many rows may be rejected: a number of them, or a share such as `5%`.

    Raises
    ------
    BadInputError
        If it is neither.
    """
    if max_rejects is None or isinstance(max_rejects, int):
        return max_rejects
    number, percent, rest = max_rejects.partition("%")
    try:
        value = float(number) if percent else int(number)
    except ValueError:
        value = -1
    if rest.strip() or not 0 <= value <= (100 if percent else value):
        msg = f"--max-rejects {max_rejects!r}: a number of rows from 0, or a share of them such as 5%, is allowed"
        raise BadInputError(msg)
    return int(rows_read * value / 100) if percent else int(value)


def refuse_rejects(
    found: Index,
    rejects: RejectsWriter,
    max_rejects: int | str | None,
    files: Sequence[SourceFile],
    schema: Schema,
) -> None:
    """Raise BadInputError if no row is kept, or more are rejected than allowed; the first rejects are shown."""
    n_rejects = found.rows_read - found.rows_kept
    paths = ", ".join(file.path for file in files)
    shown = "".join(f"\n  {described(reject, schema)}" for reject in rejects.samples[: _SHOWN + 2])
    cause = _on_a_line(_cause(rejects.samples, schema))
    if not found.rows_kept:
        msg = (
            f"{paths}: no row could be kept of {found.rows_read} read; the first of them:{shown}"
            f"{cause}{_proposal(files)}"
            "\nCheck that --format, --columns, --delimiter and --header fit the source"
        )
        raise BadInputError(msg, path=files[0].path)
    allowed = most_rejects(max_rejects, found.rows_read)
    if allowed is not None and n_rejects > allowed:
        said = f"{max_rejects} ({allowed})" if "%" in str(max_rejects) else str(allowed)
        msg = (
            f"{paths}: {n_rejects} of {found.rows_read} rows were rejected, allowed are {said};"
            f" the first of them:{shown}{cause}"
            "\nFix them, or allow more (--max-rejects N or N%, no --strict)"
        )
        raise BadInputError(msg, path=files[0].path)


def _cause(rejects: Sequence[Reject], schema: Schema) -> str:
    return likely_cause([(reject.reason, reject.raw) for reject in rejects], schema)


def _on_a_line(text: str) -> str:
    return f"\n{text}" if text else ""


def _proposal(files: Sequence[SourceFile]) -> str:
    """Return the line that `inspect` would propose for the first file with bytes, or why it proposes none."""
    try:
        found = inspect([next(file for file in files if file.size_bytes)])
    except (BadInputError, StopIteration) as error:
        return f"\n{error}" if str(error) else ""
    return f"\nThis may read it: {found.command}"


def warnings_of(found: Index, rejects: RejectsWriter, schema: Schema) -> list[str]:
    """Return warnings for people who use the dataset: many rejects, and names that look quoted."""
    warnings = []
    n_rejects = found.rows_read - found.rows_kept
    first = rejects.samples[0] if rejects.samples else None
    if n_rejects > _MANY_REJECTS * found.rows_read:
        shown = "".join(f"\n  {described(reject, schema)}" for reject in rejects.samples[:_SHOWN])
        cause = _on_a_line(_cause(rejects.samples, schema))
        warnings.append(
            f"{n_rejects:,} of {found.rows_read:,} rows ({100 * n_rejects / found.rows_read:.1f} %) were rejected;"
            f" the first of them:{shown}{cause}"
        )
    elif first is not None and first.line == 1 and _looks_like_header(first.raw, schema):
        warnings.append(f"{described(first, schema)}\nIt looks like a header: --header skips it")
    if schema.kind == DELIMITED and not schema.quote:
        for role, names in (("user", found.users), ("artist", found.artists)):
            n_quoted, example = _quoted(names)
            if n_quoted > _MANY_QUOTED * len(names):
                warnings.append(
                    f"{n_quoted:,} of {len(names):,} {role}s begin and end with a quote, such as {example}:"
                    f" if quotes stand around fields, read them with --quote {shlex.quote(example[0])}"
                )
    return warnings


def _looks_like_header(raw: bytes, schema: Schema) -> bool:
    words = raw.decode(errors="replace").split(schema.delimiter)
    return sum(role_of(word) is not None for word in words) >= 2


def _quoted(names: Names) -> tuple[int, str]:
    """Return how many names begin and end with a quote, and the first of them."""
    import pyarrow.compute as pc

    array = names.array
    quoted = array.filter(pc.match_substring_regex(array, r"""(?s)\A(".*"|'.*')\z"""))
    return len(quoted), quoted[0].as_py() if len(quoted) else ""


def described(reject: Reject, schema: Schema) -> str:
    """Return a reject in one line: where it is, why, and how it begins."""
    counts = ""
    if reject.reason == "field_count" and schema.kind == DELIMITED:
        n_found = reject.raw.count(schema.delimiter.encode(schema.encoding, "replace")) + 1
        at_least = "at least " if len(reject.raw) >= MAX_REJECT_BYTES else ""
        counts = f" ({len(schema.columns)} fields expected, {at_least}{n_found} found)"
    return f"{reject.path}, line {reject.line}: {reject.reason}: {reject.raw[:80]!r}{counts}"
