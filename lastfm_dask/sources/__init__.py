"""Where the bytes of a log come from: local and remote files, compressed files, archives, published data sets."""
