"""The whole state as a stream of bytes, and back.

- export: a view of the state, told as rows;
- snapshot: rows to bytes and back; row_forms writes each of them;
- frames: what holds the bytes together and shows damage;
- importing: a state of rows; imported_rows and imported_entries look at each of them.
"""
