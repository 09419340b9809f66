"""Comparison of two answers: equal, or where and how they differ. Pure, a few microseconds per document.

compare_answers   two answers to one operation: statuses, documents, arrays, query results
documents         two documents or rows: class and paths of a difference
tolerances        rules on paths where a difference does not matter; paths: how they are written
verdict           a difference after tolerances and ArangoDB's own differences

Terms: *path*: the place of a value in a document, as `name.first` or `tags[*]`. *Class*: the kind of a difference:
missing, extra, stale, value, type, order.
"""
