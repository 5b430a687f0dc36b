"""What a model is apart from how a run goes: the settings of training, presets, and their file.

Pure but for the reading and writing of one JSON file. Tuning writes that file, training takes it.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastfm_dask.dataset.files import complete_or_absent
from lastfm_dask.errors import BadInputError

if TYPE_CHECKING:
    from os import PathLike

WEIGHTINGS = ("raw", "log", "bm25")
CUSTOM = "custom"
"""The preset's name once a setting differs from the preset's."""

MAX_FACTORS = 4096
DEFAULT_PRESET = "recommended"
SETTLED = ("alpha", "regularization", "iterations")
"""The settings that training can settle from the data, in place of taking them as given."""
MODELS = ("als", "neighbours", "blend", "auto")
AUTO = "auto"
"""Said in place of a number: let training settle it."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Settings of implicit's alternating least squares, and how plays become confidence."""

    factors: int = 128
    """Latent factors of each user and artist."""
    regularization: float = 40.0
    """Added to the diagonal of each least-squares system (lambda in Hu, Koren, Volinsky 2008)."""
    alpha: float = 2.0
    """Scales every confidence: confidence = alpha * weight(plays)."""
    iterations: int = 15
    """Full alternations, users then artists; where training settles them, those that were done."""
    weighting: str = "log"
    """`raw`: plays; `log`: ln(1 + plays); `bm25`: see `weighting`."""
    bm25_k1: float = 100.0
    """Where BM25 saturates; only for that weighting."""
    bm25_b: float = 0.8
    """How much BM25 makes of a user's total plays, 0 to 1; only for that weighting."""
    seed: int = 42
    """Seeds the first factors. Equal seeds give equal models, whatever the threads."""
    preset: str = CUSTOM
    """The preset that these settings are, or `custom`."""
    auto: tuple[str, ...] = ()
    """Which of `SETTLED` training settles from the data (`strength`, `objective`); their numbers here are what it
    settled on, or where it starts."""
    max_iterations: int = 30
    """The most iterations, if training decides when to stop."""
    model: str = "als"
    """`als`: factors alone; `neighbours`: item weights rank (`second`), the factors stand beside; `blend`: both count;
    `auto`: item weights are added where a held-out sample shows that they help."""

    def __post_init__(self) -> None:
        problems = _problems(self)
        if problems:
            msg = f"these training settings can't be used: {'; '.join(problems)}"
            raise BadInputError(msg)

    def changed(self, **values: Any) -> TrainSettings:
        """Return these settings with the values that are not None; `preset` says whether that changed them.

        A number given for one of `SETTLED` is kept as it is; `auto` lets training settle it. Explicit settings of the
        factors give the model `als`, unless a model is given too.

        >>> PRESETS["recommended"].changed(factors=64, alpha=None).preset
        'custom'
        >>> PRESETS["recommended"].changed(alpha=16.0).auto
        ('regularization', 'iterations')
        """
        given = {name: value for name, value in values.items() if value is not None}
        chosen = {name for name in SETTLED if given.get(name) == AUTO}
        auto = tuple(n for n in SETTLED if n in chosen or (n in self.auto and n not in given))
        given = {name: value for name, value in given.items() if name not in chosen}
        changed = replace(self, **{"auto": auto, **given})
        by_hand = given.keys() - {"seed", "preset", "max_iterations"}
        if changed != self and changed.model == AUTO and by_hand and "model" not in by_hand:
            # Explicit settings of the factors give these factors alone: nothing is blended with them unasked.
            changed = replace(changed, model="als")
        return changed if changed == self else replace(changed, preset=given.get("preset", CUSTOM))

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a JSON object."""
        return {**asdict(self), "auto": list(self.auto)}

    @classmethod
    def from_dict(cls, raw: object, *, source: str = "settings") -> TrainSettings:
        """Return the settings that a JSON object holds; missing keys take their defaults.

        Raises
        ------
        BadInputError
            If it is not an object, or has unknown keys or values that can't be used.
        """
        if not isinstance(raw, dict):
            msg = (
                f"{source} holds no JSON object: write keys such as factors, regularization, alpha, weighting"
            )
            raise BadInputError(msg, path=source)
        known = {field.name for field in fields(cls)}
        unknown = sorted(str(key) for key in raw.keys() - known)
        if unknown:
            msg = f"{source} has unknown keys {', '.join(unknown)}: known are {', '.join(sorted(known))}"
            raise BadInputError(msg, path=source)
        if isinstance(raw.get("auto"), list):
            raw = {**raw, "auto": tuple(raw["auto"])}
        return cls(**raw)

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> TrainSettings:
        """Read a settings file, as `tune` writes it: a JSON object, or one under the key `settings`."""
        try:
            with open(path, encoding="utf-8") as file:  # noqa: PTH123 - takes any PathLike
                raw = json.load(file)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            msg = f"the settings file {path} can't be read: {reason}"
            raise BadInputError(msg, path=str(path)) from error
        if isinstance(raw, dict) and isinstance(raw.get("settings"), dict):
            raw = raw["settings"]
        return cls.from_dict(raw, source=str(path))

    def to_file(self, path: str | PathLike[str]) -> None:
        """Write a settings file that `from_file` reads; a file of this name is replaced in one step."""
        with complete_or_absent(Path(path), replace=True) as part:
            part.write_text(json.dumps(self.to_dict(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _problems(settings: TrainSettings) -> list[str]:
    """Return what is wrong with settings, each with the value found and what is allowed."""
    problems = []

    def check(name: str, allowed: str, right: bool) -> None:
        if not right:
            problems.append(f"{name} is {getattr(settings, name)!r}, allowed is {allowed}")

    check("factors", f"an integer from 1 to {MAX_FACTORS}", _is_int(settings.factors, 1, MAX_FACTORS))
    check("iterations", "an integer from 1 to 10000", _is_int(settings.iterations, 1, 10_000))
    check("seed", "an integer from 0 to 2^63-1", _is_int(settings.seed, 0, 2**63 - 1))
    check("regularization", "a number from 0", _is_number(settings.regularization))
    check("alpha", "a number above 0", _is_number(settings.alpha) and settings.alpha > 0)
    check("weighting", f"one of {', '.join(WEIGHTINGS)}", settings.weighting in WEIGHTINGS)
    check("bm25_k1", "a number above 0", _is_number(settings.bm25_k1) and settings.bm25_k1 > 0)
    check("bm25_b", "a number from 0 to 1", _is_number(settings.bm25_b) and settings.bm25_b <= 1)
    check("preset", "a text", isinstance(settings.preset, str))
    check("auto", f"a list of {', '.join(SETTLED)}", _is_choice(settings.auto))
    check("model", f"one of {', '.join(MODELS)}", settings.model in MODELS)
    check("max_iterations", "an integer from 1 to 10000", _is_int(settings.max_iterations, 1, 10_000))
    return problems


def _is_choice(names: object) -> bool:
    return isinstance(names, tuple) and all(name in SETTLED for name in names)


def _is_int(value: object, lowest: int, highest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


PRESETS = {
    "notebook": TrainSettings(
        factors=100, regularization=0.01, alpha=1.0, iterations=15, weighting="raw", preset="notebook"
    ),
    "recommended": TrainSettings(iterations=30, auto=SETTLED, model=AUTO, preset="recommended"),
}


def preset(name: str) -> TrainSettings:
    """Return a preset's settings; raises BadInputError that lists the presets."""
    if name not in PRESETS:
        msg = f"no preset is called {name!r}: there are {', '.join(PRESETS)}"
        raise BadInputError(msg)
    return PRESETS[name]
