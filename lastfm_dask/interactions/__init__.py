"""From bytes to interactions: formats, byte ranges cut at line ends, and blocks read into columns and rejects."""
