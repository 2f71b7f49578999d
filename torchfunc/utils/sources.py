"""The inputs that a symbolic tensor was made of."""

from __future__ import annotations

from torchfunc.graph.symbolic import SymbolicTensor


def get_source_inputs(tensor: SymbolicTensor) -> list[SymbolicTensor]:
    """The symbolic inputs that a tensor depends on, in the order in which they were made.

    Args:
        tensor: a symbolic tensor.

    Returns:
        A list of what `Input` made.

    Example:
        >>> title, tags, other = Input((4,), name="title"), Input((2,), name="tags"), Input((3,))
        >>> joined = layers.Concatenate()([tags, title])
        >>> [each.name for each in utils.get_source_inputs(joined)]
        ['title', 'tags']
    """
    found: dict[int, SymbolicTensor] = {}
    waiting, seen = [tensor], set()
    while waiting:
        each = waiting.pop()
        if id(each.node) in seen:
            continue
        seen.add(id(each.node))
        made_of = list(each.node.inputs())
        waiting += made_of
        if not made_of:
            found[each.node.birth] = each
    return [found[birth] for birth in sorted(found)]
