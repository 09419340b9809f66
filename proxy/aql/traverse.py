"""Graph queries: FOR v, e, p … OUTBOUND …, and the searches for paths."""

from __future__ import annotations

from proxy.aql import ast
from proxy.aql.modify import ModifyCompiler
from proxy.aql.pipeline import Stage
from proxy.errors import Unsupported


class TraverseCompiler(ModifyCompiler):
    """Compiles traversals."""

    def traversal_stage(self, node: ast.Traversal) -> Stage:
        raise Unsupported("traversal")

    def paths_stage(self, node: ast.Paths) -> Stage:
        raise Unsupported(node.kind)
