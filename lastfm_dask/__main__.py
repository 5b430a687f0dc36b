"""`python -m lastfm_dask` is the command line."""

from lastfm_dask.cli import main

if __name__ == "__main__":
    main()
