"""Commands and results as bytes.

- codec: messages and their versions;
- command_forms, result_forms: the numbers and fields of each kind;
- value_forms: what stands in them;
- wire: msgpack, bounded, and what a form is.
"""
