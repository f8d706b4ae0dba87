"""Find the cases in folders of any layout: one module per layout, each returns a `Layout` and writes nothing."""
