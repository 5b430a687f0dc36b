"""What went wrong, as an answer over HTTP: a status, a code that programs compare, a message, and near names."""

from __future__ import annotations

import json
from typing import Any

from lastfm_dask.errors import BadInputError, BudgetError, LastfmDaskError, StoreError, UnknownNameError

_CODES: tuple[tuple[type[LastfmDaskError], int, str], ...] = (
    (UnknownNameError, 404, "unknown_name"),
    (BadInputError, 400, "bad_input"),
    (BudgetError, 503, "out_of_memory"),
    (StoreError, 503, "model_unreadable"),
)


class Problem(Exception):  # noqa: N818 - an answer, named as RFC 9457 names it
    """A request that is answered with an error.

    Parameters
    ----------
    status : int
        The HTTP status.
    code : str
        What programs compare.
    message : str
        What was found, what is allowed, and what to do next.
    name : str, optional
        The name that is not known.
    near : sequence of str
        Names that may have been meant.
    retry_after_s : int, optional
        When to ask again.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        name: str | None = None,
        near: tuple[str, ...] = (),
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.name = name
        self.near = near
        self.retry_after_s = retry_after_s

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the answer."""
        found: dict[str, Any] = {"status": self.status, "code": self.code, "message": self.message}
        if self.name is not None:
            found["name"] = self.name
        return found | {"near": list(self.near)}


def problem_of(error: LastfmDaskError) -> Problem:
    """Return the answer to an error of this package; where a file is unreadable its path is not said."""
    status, code = next(
        ((status, code) for kind, status, code in _CODES if isinstance(error, kind)), (500, "internal")
    )
    message = str(error) if status < 500 else "the server can't answer this now; its log says why"
    return Problem(
        status,
        code,
        message,
        name=getattr(error, "name", None),
        near=getattr(error, "near", ()),
        retry_after_s=5 if status == 503 else None,
    )


def json_bytes(value: Any) -> bytes:
    """Return JSON in UTF-8, not escaped but for characters that are not Unicode."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode(errors="backslashreplace")
