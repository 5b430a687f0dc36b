"""What inspect proposes for files as people have them, and what it says where it can't tell."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastfm_dask.errors import BadInputError
from lastfm_dask.interactions.inspection import inspect
from lastfm_dask.interactions.schema import codec_name
from lastfm_dask.sources.files import find


def looked_at(folder, data: bytes | str, name: str = "log.txt"):
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return inspect(find([folder / name]))


def refused(folder, data: bytes | str, name: str = "log.txt") -> str:
    with pytest.raises(BadInputError) as caught:
        looked_at(folder, data, name)
    assert name in str(caught.value)
    return str(caught.value)


def rows_of(found) -> list[tuple]:
    return [tuple(row.values())[:3] for row in found.rows]


READ = [("ann", "muse", 3), ("bob", "sigur rós", 4)]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("user, artist, plays\nann, Muse, 3\nbob, Sigur Rós, 4\n", "--delimiter ', ' --header"),
        ("'ann','Muse','3'\n'bob','Sigur Rós','4'\n", "--quote ''\"'\"''"),
        ("user,artist,plays\n'ann','Muse',3\n'bob','Sigur Rós',4\n", "--quote ''\"'\"''"),
        ("user artist|artist name|x|plays\nann|Muse|a b|3\nbob|Sigur Rós|a b|4\n", "--delimiter '|'"),
        ("user;artist;plays;note\nann;Muse;3;a, b, c\nbob;Sigur Rós;4;a, b, c\n", "--delimiter ';'"),
        ("ann\t\tMuse\t3\nbob\t\tSigur Rós\t4\n", "--format lastfm-360k"),
        ("ann,,Muse,3\nbob,,Sigur Rós,4\n", "--columns user,-,artist,plays"),
        (" user ;artist ;plays\nann;Muse;3\nbob;Sigur Rós;4\n", "--delimiter ';'"),
    ],
)
def test_what_people_write_is_proposed_as_it_reads(tmp_path, text, options):
    found = looked_at(tmp_path, text)
    assert rows_of(found) == READ
    assert options in found.command


def test_a_few_names_that_begin_and_end_with_an_apostrophe_are_names(tmp_path):
    text = "ann\t'Til Tuesday\t3\nbob\t'n Sync'\t4\n" + "".join(
        f"u{i}\tartist {i}\t{i + 1}\n" for i in range(50)
    )
    assert "--quote" not in looked_at(tmp_path, text).command


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("user;artist;plays\nann;muse;3,5\nbob;air;4,25\n", ["decimal comma", "'3,5'"]),
        ('user,artist,plays\nann,muse,"1,234"\nbob,air,"12,345"\n', ["thousands", "'1,234'"]),
        ("user\tartist\tplays\nann\tmuse\t 5 \nbob\tair\t 6 \n", ["blanks", "' 5 '"]),
        (
            "artist,album,track,date\nmuse,absolution,hysteria,22 Nov 2020 17:30\n",
            ["no column", "user", "one person"],
        ),
        (
            "uts,utc_time,artist,album,track\n1606066200,x,muse,absolution,hysteria\n",
            ["no column", "one person"],
        ),
        (
            "muse,absolution,hysteria,22 Nov 2020 17:30\nair,moon safari,remember,22 Nov 2020 17:34\n",
            ["one person"],
        ),
        ("user,artist,date\nann,muse,22 Nov 2020\nbob,air,23 Nov 2020\n", ["no row", "ISO 8601"]),
        ("user,artist,plays\n", ["no row"]),
    ],
)
def test_what_keeps_no_row_is_not_proposed_and_its_cause_is_said(tmp_path, text, words):
    message = refused(tmp_path, text)
    assert all(word in message for word in words), message
    assert "lastfm-dask ingest" not in message


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("宇多田ヒカル", "shift_jis"),
        ("宇多田ヒカル", "euc_jp"),
        ("周杰伦", "gb18030"),
        ("周杰倫", "big5"),
        ("소녀시대", "euc_kr"),
        ("Кино и Виктор Цой", "cp1251"),
        ("Кино и Виктор Цой", "koi8_r"),
    ],
)
def test_an_encoding_that_may_be_several_is_asked_for(tmp_path, name, encoding):
    rows = "".join(f"u{i}\tartist {i}\t{i + 1}\n" for i in range(30))
    message = refused(tmp_path, f"ann\t{name}\t3\n{rows}bob\t{name}\t4\n".encode(encoding))
    assert "--encoding" in message
    assert f"{encoding} {name!r}" in message
    found = inspect(find([tmp_path / "log.txt"]), encoding=encoding)
    assert [artist for _, artist, _ in rows_of(found)][:1] == [name.lower()]
    assert f"--encoding {codec_name(encoding)}" in found.command


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_western_text_is_told(tmp_path, encoding):
    names = [
        "Björk",
        "Sigur Rós",
        "Motörhead",
        "Mägo de Oz",
        "Beyoncé",
        "Hüsker Dü",
        "Émilie Simon",
        "Señor Coconut",
        "Röyksopp",
    ]
    found = looked_at(
        tmp_path, "".join(f"u{i}\t{name}\t{i + 1}\n" for i, name in enumerate(names)).encode(encoding)
    )
    assert found.encoding == "cp1252"
    assert [artist for _, artist, _ in rows_of(found)] == [name.lower() for name in names]


def test_an_encoding_that_is_given_is_checked(tmp_path):
    table = tmp_path / "log.parquet"
    pq.write_table(pa.table({"user": ["ann"], "artist": ["muse"], "plays": [3]}), table)
    with pytest.raises(BadInputError, match="--encoding latin-1: only for text"):
        inspect(find([table]), encoding="latin-1")
    (tmp_path / "log.txt").write_text("ann\tmuse\t3\n")
    with pytest.raises(BadInputError, match="klingon"):
        inspect(find([tmp_path / "log.txt"]), encoding="klingon")


def test_all_files_of_a_glob_are_looked_at(tmp_path):
    (tmp_path / "a.csv").write_text("user,artist,plays\nann,muse,3\n")
    (tmp_path / "b.csv").write_text("plays,user,artist\n3,ann,muse\n")
    with pytest.raises(BadInputError, match=r"b\.csv"):
        inspect(find([str(tmp_path / "*.csv")]))
    (tmp_path / "b.csv").write_text("user,artist,plays\nbob,air,4\n")
    found = inspect(find([str(tmp_path / "*.csv")]), str(tmp_path / "*.csv"))
    assert f"'{tmp_path}/*.csv'" in found.command


def test_folders_in_the_way_of_hive_are_columns(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    for user in ("ann", "bob"):
        (tmp_path / "log" / f"user={user}").mkdir(parents=True)
        pq.write_table(
            pa.table({"artist": ["Muse"], "plays": [3]}), tmp_path / "log" / f"user={user}" / "0.parquet"
        )
    found = inspect(find([tmp_path / "log"]), str(tmp_path / "log"))
    assert rows_of(found) == [("ann", "muse", 3)]
    assert found.command.startswith(f"lastfm-dask ingest {tmp_path}/log -o log.dataset")
