"""From a source to a published dataset: scan, index, assemble, summarize, publish."""
