"""Command lines to copy, by command: printed at the end of each help text, and run in this order by a test."""

from __future__ import annotations

EXAMPLES = {
    "synth": [
        "lastfm-dask synth log.tsv --users 2000",
        "lastfm-dask synth june.tsv --users 500 --seed 1",
        "lastfm-dask synth rows.parquet --parquet --users 500",
    ],
    "inspect": ["lastfm-dask inspect log.tsv"],
    "plan": ["lastfm-dask plan log.tsv --memory 512MiB"],
    "ingest": [
        "lastfm-dask ingest log.tsv -o lastfm.dataset",
        'lastfm-dask ingest log.tsv -o mine.dataset --add-user me --like "radiohead=40" --like "sigur rós"',
        "lastfm-dask ingest june.tsv --append-to lastfm.dataset -o june.dataset",
        "lastfm-dask ingest log.parquet --columns user=uid,artist=item_id,plays=n -o columns.dataset",
    ],
    "stats": ["lastfm-dask stats lastfm.dataset --top 10", "lastfm-dask stats mine.dataset --user me"],
    "train": [
        "lastfm-dask train lastfm.dataset -o lastfm.model",
        "lastfm-dask train mine.dataset -o mine.model --preset notebook --memory 512MiB",
    ],
    "recommend": [
        'lastfm-dask recommend lastfm.model --like "radiohead=40" --like "sigur rós" -n 5 --diverse 0.3',
        "lastfm-dask recommend mine.model --user me --max-listeners 500",
        "lastfm-dask recommend lastfm.model --all-users --parquet all.parquet",
    ],
    "similar": ['lastfm-dask similar lastfm.model "radiohead" -n 5'],
    "score": ['lastfm-dask score mine.model --user me --artist "coldplay" --artist "muse"'],
    "explain": ['lastfm-dask explain mine.model --user me --artist "coldplay"'],
    "evaluate": [
        "lastfm-dask evaluate lastfm.dataset --compare notebook --compare neighbours",
        "lastfm-dask evaluate lastfm.dataset --split new-users --compare ease --per-user users.parquet",
    ],
    "tune": ["lastfm-dask tune lastfm.dataset -o settings.json --trials 3 --max-factors 32"],
    "serve": ["lastfm-dask serve lastfm.model --open"],
    "profile": ["lastfm-dask profile lastfm.dataset --html profile.html"],
    "verify": ["lastfm-dask verify lastfm.dataset --source log.tsv"],
    "export": [
        "lastfm-dask export lastfm.model --parquet factors",
        "lastfm-dask export lastfm.dataset --recbole lastfm",
    ],
    "doctor": ["lastfm-dask doctor"],
    "run": ["lastfm-dask run log.tsv -o out"],
    "download": ["lastfm-dask download lastfm-360k -o data"],
    "completion": ["lastfm-dask completion bash > ~/.lastfm-dask-complete.bash"],
}


def epilog(name: str) -> str:
    """Return the end of a command's help; empty without an example."""
    lines = "\n".join(f"  {line}" for line in EXAMPLES.get(name, ()))
    return f"\b\nExamples:\n{lines}" if lines else ""
