"""What a dataset or a model took and holds, shown to people: receipts by stage, and one page with charts."""
