"""How Landsat products reach people: which file, member of an archive or band of a file is which part of a product."""
