"""The blocks of a query: rows that a later statement must see cut or grouped become a FROM item of a new block."""

from __future__ import annotations

from dataclasses import replace

from proxy.aql.compile.compilation import Compilation
from proxy.aql.compile.scope import Block, ColumnRemapping, FromItem, OrderKey


def wrap_limited(c: Compilation) -> None:
    """Start a new block if the present one has a LIMIT, which applies before all later statements."""
    if not c.block.limit:
        return
    inner, c.block = c.block, Block()
    alias = c.fresh("s")
    c.block.limited = (inner, alias)
    derive(c, inner, alias)


def derive(c: Compilation, inner: Block, alias: str) -> None:
    """Make a block a FROM item of the present one; its rows keep their order within that of the present one."""
    move = ColumnRemapping(alias)
    for var in inner.owned:
        var.remap(move)
    c.block.owned += inner.owned
    if inner.order:
        c.block.sorted_by = "place" if c.block.order else inner.sorted_by
        c.block.order += [replace(key, sql=move(key.sql)) for key in inner.order]
    c.block.items.append(FromItem(lambda: f"LATERAL ({inner.select(list(move.select()) or ['1 AS one'])}) {alias}"))
    guard = inner.guard(alias) if inner.limit else ""
    if guard:
        c.block.where.append(f"_crossfade.unless({guard}, true)")


def begin_loop(c: Compilation) -> None:
    """Prepare the block for a loop: an earlier SORT or LIMIT orders the runs of its rows, and no longer counts them."""
    c.block.limited = None
    if c.block.order:
        c.block.sorted_by = "place"


def order_by_place(c: Compilation, sql: str, *, loose: bool = False) -> None:
    """Order the rows of a loop by `sql`, within the order of the loops around it. loose: see `OrderKey`."""
    c.block.order.append(OrderKey(sql, descending=False, guarded=False, loose=loose))
    c.block.sorted_by = "place"
