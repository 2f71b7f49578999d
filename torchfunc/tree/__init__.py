"""Nested arguments: what holds tensors in lists, tuples and dicts; `keras.tree` by its names beside."""

from torchfunc.tree.branches import as_named_tuple as as_named_tuple
from torchfunc.tree.branches import at as at
from torchfunc.tree.branches import is_branch as is_branch
from torchfunc.tree.branches import leaves as leaves
from torchfunc.tree.branches import leaves_with_path as leaves_with_path
from torchfunc.tree.branches import like as like
from torchfunc.tree.branches import map_leaves as map_leaves
from torchfunc.tree.branches import map_with_path as map_with_path
from torchfunc.tree.structures import MAP_TO_NONE as MAP_TO_NONE
from torchfunc.tree.structures import assert_same_paths as assert_same_paths
from torchfunc.tree.structures import assert_same_structure as assert_same_structure
from torchfunc.tree.structures import flatten as flatten
from torchfunc.tree.structures import flatten_with_path as flatten_with_path
from torchfunc.tree.structures import is_nested as is_nested
from torchfunc.tree.structures import lists_to_tuples as lists_to_tuples
from torchfunc.tree.structures import map_shape_structure as map_shape_structure
from torchfunc.tree.structures import map_structure as map_structure
from torchfunc.tree.structures import map_structure_up_to as map_structure_up_to
from torchfunc.tree.structures import pack_sequence_as as pack_sequence_as
from torchfunc.tree.structures import traverse as traverse
