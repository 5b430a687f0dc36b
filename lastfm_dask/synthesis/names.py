"""Artist names that look like the real log's: made of syllables, mostly lower-case ASCII, and with its quirks.

Only the most popular names are real, so that examples read well. A name's popularity follows from its place in the
list.
"""

# ruff: noqa: SIM905 - syllables read better as words of one text than as lists of literals
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LEADING = (
    "radiohead", "the beatles", "coldplay", "red hot chili peppers", "muse", "metallica", "pink floyd", "the killers",
    "linkin park", "nirvana", "system of a down", "queen", "u2", "daft punk", "the cure", "led zeppelin", "placebo",
    "depeche mode", "david bowie", "bob dylan", "death cab for cutie", "arctic monkeys", "foo fighters", "air",
    "the rolling stones", "nine inch nails", "sigur rós", "green day", "massive attack", "moby", "björk", "portishead",
    "black eyed peas", "rammstein", "gorillaz", "johnny cash", "amy winehouse", "madonna", "iron maiden", "die Ärzte",
)  # fmt: skip
"""Names of the most popular artists, the most popular first."""

PLACED = (
    (0.0020, '"weird al" yankovic'), (0.0035, "koЯn"), (0.0050, "n/a"), (0.0060, "null"), (0.0070, "nan"),
    (0.0080, "none"), (0.0090, " leading blank"), (0.0100, "e=mc²"), (0.0110, "love=hate"), (0.0120, "motörhead"),
    (0.0140, "motÖrhead"), (0.0150, "die ärzte"), (0.0160, "ΟΔΟΣ"), (0.0170, "İstanbul radyosu"), (0.0200, "1349"),
    (0.0210, "true"), (0.0220, "3.14"), (0.0240, "=x="), (0.0260, "naïve=30"), (0.0280, "アーバンギャルド"),
    (0.7001, "carriage\rreturn"), (0.9501, "\rleading return"),
)  # fmt: skip
"""Names that readers often misread, each with its place as a share of all artists."""

_ONSETS = "b br c ch d dr f fl g gr h j k kr l m n p pl r s sh sk st t th tr v w y z".split()
_NUCLEI = "a a a e e e i i o o u ai ea ee ie oo ou".split()
_CODAS = ["", "", "", "", *"l n r s t x ck ll nd ng rd st".split()]
_ACCENTED = "á à ã å ä ç é è ê í ï ñ ó ö ø ú ü ž š ý".split()
_CAPITALS = "Ä Ö Ü É Ø Å Я Ж Š Ñ Ç".split()
_SCRIPTS = (
    "ка мо ли ра но зе ту ви сто пла ми ге бор ня".split(),
    "サ カ ナ モ リ ノ ケ ン ト ラ ミ ユ キ ョ ウ".split(),
    "星 野 源 東 京 事 変 椎 名 林 檎 音 楽 花 月".split(),
    "κα μο λι ρα νο ζη του βι στα πλα μι γε".split(),
    "서 태 지 김 광 석 이 문 세 윤 하 박 정".split(),
    "ש לו מ אר צי נע מי שמ ר".split(),
    "فيروز ام كل ثوم نجم شاب خا لد".split(),
)
_PATTERNS = ("{0}", "{0} {1}", "{0} {1}", "the {0}s", "the {0} {1}", "{0} & the {1}s", "{0} {1} {2}", "dj {0}",
             "{0} of {1}", "{0} feat. {1}", "{0}-{1}", "{0} + {1}", "{0}'s {1}", "mc {0} {1}")  # fmt: skip


def make_names(n_names: int, rng: np.random.Generator) -> list[str]:
    """Return distinct names, the most popular artist's first; none is empty or holds a tab or a line feed.

    Parameters
    ----------
    n_names : int
        How many.
    rng : Generator
        Decides all that is made up.
    """
    fixed = dict(enumerate(LEADING[:n_names]))
    for share, name in PLACED:
        place = max(int(share * n_names), len(fixed))
        if place < n_names and name not in fixed.values():
            fixed[place] = name
    for place in _unbalanced_places(n_names):
        fixed.setdefault(place, f'"half a quote {place}')
    taken = set(fixed.values())
    words = _Words(rng, n_names)
    names = []
    for place in range(n_names):
        name = fixed.get(place) or words.name()
        while place not in fixed and name in taken:
            name = f"{name} {words.word()}"
        taken.add(name)
        names.append(name)
    return names


def _unbalanced_places(n_names: int) -> range:
    """Places in the long tail: few enough that a reader that honours quotes loses about one row in a thousand."""
    n_unbalanced = max(1, round(n_names * 120 / 292_589))
    step = max(1, n_names // 3 // n_unbalanced)
    return (
        range(n_names - 1 - step * (n_unbalanced - 1), n_names, step)
        if n_names > len(LEADING) + 50
        else range(0)
    )


class _Words:
    """Draws words and names from random numbers that were drawn beforehand, all at once."""

    def __init__(self, rng: np.random.Generator, n_names: int) -> None:
        self._rng = rng
        self._batch = 16 * min(n_names, 20_000) + 64
        self._numbers: list[int] = []

    def _below(self, limit: int) -> int:
        if not self._numbers:
            self._numbers = self._rng.integers(0, 1 << 30, self._batch).tolist()
        return self._numbers.pop() % limit

    def _pick(self, parts: list[str]) -> str:
        return parts[self._below(len(parts))]

    def word(self) -> str:
        """Return one to three syllables."""
        syllables = (self._pick(_ONSETS) + self._pick(_NUCLEI) for _ in range(1 + self._below(3)))
        return "".join(syllables) + self._pick(_CODAS)

    def name(self) -> str:
        """Return a name of a kind that is as frequent as in the real log, roughly."""
        kind = self._below(1000)
        if kind < 25:
            script = _SCRIPTS[self._below(len(_SCRIPTS))]
            return "".join(self._pick(script) for _ in range(3 + self._below(4)))
        pattern = _PATTERNS[self._below(len(_PATTERNS))]
        plain = pattern.format(*(self.word() for _ in range(pattern.count("{"))))
        if kind < 85:
            return self._replace_vowel(plain, self._pick(_ACCENTED))
        if kind < 90:
            return self._replace_vowel(plain, self._pick(_CAPITALS))
        if kind < 93:
            return f'"{self.word()} {self.word()}" {plain}'
        if kind < 96:
            return f'{plain} "{self.word()}" {self.word()}'
        if kind < 97:
            return f" {plain}"
        if kind < 98:
            return f"{plain}={self.word()}"
        return plain

    def _replace_vowel(self, name: str, letter: str) -> str:
        places = [i for i, c in enumerate(name) if c in "aeiou"]
        place = places[self._below(len(places))]
        return name[:place] + letter + name[place + 1 :]


def with_case_variants(
    names: list[str], sources: npt.NDArray[np.int64], places: npt.NDArray[np.int64]
) -> list[str]:
    """Return the names with those at `places` replaced by the names at `sources`, spelt in another case.

    The publisher lower-cased only ASCII, so one artist is in the log as `die Ärzte` and as `die ärzte`. The two
    are one name after `str.lower`. A place stays as it is where that would repeat a name.
    """
    result = list(names)
    taken = set(names)
    for source, place in zip(sources.tolist(), places.tolist(), strict=True):
        name = names[source]
        variant = (
            name.lower() if name != name.lower() else "".join(c if c.isascii() else c.upper() for c in name)
        )
        if variant not in taken and variant.lower() == name.lower():
            taken.add(variant)
            result[place] = variant
    return result


def make_mbids(n_mbids: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return random identifiers of MusicBrainz' form, shape (n_mbids, 36), uint8 ASCII."""
    import numpy as np

    digits = np.frombuffer(b"0123456789abcdef", np.uint8)[rng.integers(0, 16, (n_mbids, 32), dtype=np.uint8)]
    digits[:, 12] = ord("4")
    mbids = np.full((n_mbids, 36), ord("-"), np.uint8)
    for start, shift in ((0, 0), (8, 1), (12, 2), (16, 3), (20, 4)):
        stop = {0: 8, 8: 12, 12: 16, 16: 20, 20: 32}[start]
        mbids[:, start + shift : stop + shift] = digits[:, start:stop]
    return mbids
