"""Conditions on the stored fields of samples: ``label == 3 and width > 100``.

::

    a == 3, a != 3, a < 3, 1 <= a <= 3       numbers, texts, truth values; ``fresh`` alone is ``fresh == True``
    a in (1, 2), "cat" in caption            one of these values; part of a text
    a is None, a is not None                 no value; every other comparison with a missing value is false
    and, or, not, brackets
    a.b, col("any name")                     names with dots, and all others

The text is parsed as a Python expression and never run. A condition is evaluated on columns by NumPy, and on
statistics, which may show that no sample of a shard can meet it.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from catalog.samples.statistics import FieldStatistics

    Mask: TypeAlias = NDArray[np.bool_]

__all__ = ["Condition", "parse_condition"]

_MAX_TEXT: Final = 10_000
_EXACT: Final = 1 << 53
_COMPARE: Final[Mapping[type, Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip
_FLIPPED: Final[Mapping[type, type]] = {
    ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE, ast.Eq: ast.Eq, ast.NotEq: ast.NotEq,
}  # fmt: skip


class _Columns:
    """The columns that a condition is evaluated on; one that isn't there has no values."""

    def __init__(self, values: Mapping[str, Sequence[Any]], count: int) -> None:
        self._values, self.count = values, count
        self._read: dict[str, tuple[Any, Mask]] = {}

    def get(self, name: str) -> tuple[Any, Mask]:
        """Return the values of a column, missing ones replaced by any other, and which aren't missing."""
        found = self._read.get(name)
        if found is None:
            values = self._values.get(name)
            column = [None] * self.count if values is None else values
            there = np.array([value is not None for value in column], np.bool_)
            filler = next((value for value in column if value is not None), 0)
            found = self._read[name] = (_array([filler if value is None else value for value in column]), there)
        return found


def _array(values: list[Any]) -> NDArray[Any]:
    kinds = set(map(type, values))
    if kinds in ({bool}, {float}) or (kinds == {int} and max(map(abs, values)) <= _EXACT):
        return np.array(values)
    found = np.empty(len(values), object)
    found[:] = values
    return found


class Condition:
    """A condition; see the module. ``columns`` are the names of the fields in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._root = _parsed(text)
        self.columns: frozenset[str] = frozenset(filter(None, map(_name, ast.walk(self._root)))) - {""}

    def __reduce__(self) -> tuple[Any, ...]:
        return parse_condition, (self.text,)

    def mask(self, columns: Mapping[str, Sequence[Any]], count: int) -> Mask:
        """Return which of ``count`` samples meet the condition. Raises ValueError for values that have no order."""
        return self._evaluated(self._root, _Columns(columns, count))

    def is_met(self, values: Mapping[str, Any]) -> bool:
        """Return whether a sample with these stored values meets the condition."""
        return bool(self.mask({name: [values.get(name)] for name in self.columns}, 1)[0])

    def may_be_met(self, statistics: Mapping[str, FieldStatistics]) -> bool:
        """Return False if the statistics of a shard show that none of its samples meets the condition."""
        return _possible(self._root, statistics)

    def _evaluated(self, node: ast.expr, columns: _Columns) -> Mask:
        match node:
            case ast.BoolOp(op=op, values=parts):
                join = np.logical_and if isinstance(op, ast.And) else np.logical_or
                return np.asarray(join.reduce([self._evaluated(part, columns) for part in parts]), np.bool_)
            case ast.UnaryOp(op=ast.Not(), operand=part):
                return ~self._evaluated(part, columns)
            case ast.Compare(left=left, ops=ops, comparators=rights):
                lefts = [left, *rights[:-1]]
                pairs = zip(lefts, ops, rights, strict=True)
                found = [self._compared(one, op, other, columns) for one, op, other in pairs]
                return np.asarray(np.logical_and.reduce(found), np.bool_)
        values, there = columns.get(_name(node) or "")
        return there & np.array([value is True or value is np.True_ for value in values], np.bool_)

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr, columns: _Columns) -> Mask:
        if isinstance(op, ast.Is | ast.IsNot):
            there = columns.get(_name(left) or "")[1]
            return there if isinstance(op, ast.IsNot) else ~there
        if isinstance(op, ast.In | ast.NotIn):
            found = self._contained(left, right, columns)
            name = _name(right) if _name(left) is None else _name(left)
            return found if isinstance(op, ast.In) else columns.get(name or "")[1] & ~found
        there = np.ones(columns.count, np.bool_)
        operands = []
        for node in (left, right):
            name = _name(node)
            if name is None:
                operands.append(_constant(node))
            else:
                values, own = columns.get(name)
                operands.append(values)
                there = there & own
        try:
            with np.errstate(invalid="ignore"):
                found = np.asarray(_COMPARE[type(op)](*operands), np.bool_)
        except TypeError:
            what = f"{ast.unparse(left)} and {ast.unparse(right)} have no order: their values are of different types"
            raise ValueError(f"{what} ({self.text[:200]!r})") from None
        return there & np.broadcast_to(found, there.shape)

    @staticmethod
    def _contained(left: ast.expr, right: ast.expr, columns: _Columns) -> Mask:
        if _name(left) is None:  # "cat" in caption
            text, (values, there) = _constant(left), columns.get(_name(right) or "")
            return there & np.array([isinstance(one, str) and str(text) in one for one in values], np.bool_)
        values, there = columns.get(_name(left) or "")
        wanted = set(_constants(right))
        return there & np.array([one in wanted for one in values.tolist()], np.bool_)


@lru_cache(maxsize=256)
def parse_condition(text: str) -> Condition:
    """Return the condition in a text. Raises ValueError with the part that isn't one."""
    return Condition(text)


def _parsed(text: str) -> ast.expr:
    if len(text) > _MAX_TEXT:
        raise ValueError(f"a condition of {len(text):,} characters; the most is {_MAX_TEXT:,}")
    try:
        root = ast.parse(text.strip(), mode="eval").body
        _check(root, text)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(
            f'{text[:200]!r} is no condition: {error}; write it like "label == 3 and width > 100"'
        ) from None
    return root


def _check(node: ast.expr, text: str) -> None:
    match node:
        case ast.BoolOp(values=parts):
            for part in parts:
                _check(part, text)
        case ast.UnaryOp(op=ast.Not(), operand=part):
            _check(part, text)
        case ast.Compare(left=left, ops=ops, comparators=rights):
            for one, op, other in zip([left, *rights[:-1]], ops, rights, strict=True):
                if not _is_comparison(one, op, other):
                    raise _refused(node, text)
        case _ if _name(node) is None:
            raise _refused(node, text)


def _is_comparison(left: ast.expr, op: ast.cmpop, right: ast.expr) -> bool:
    if isinstance(op, ast.Is | ast.IsNot):
        return _name(left) is not None and isinstance(right, ast.Constant) and right.value is None
    if isinstance(op, ast.In | ast.NotIn):
        if _name(left) is None:
            return isinstance(left, ast.Constant) and isinstance(left.value, str) and _name(right) is not None
        return isinstance(right, ast.Tuple | ast.List | ast.Set) and all(map(_is_constant, right.elts))
    sides = [left, right]
    return any(_name(one) for one in sides) and all(_name(one) or _is_constant(one) for one in sides)


def _refused(node: ast.expr, text: str) -> ValueError:
    what = f"{ast.unparse(node)[:100]!r} in {text[:200]!r} is no comparison of a field"
    return ValueError(f'{what}: write it like "label == 3 and width > 100"; col("any name") names any field')


def _name(node: ast.AST) -> str | None:
    """Return the name of the field that a node is."""
    match node:
        case ast.Name(id=name):
            return None if name == "col" else name
        case ast.Attribute(value=value, attr=attr):
            before = _name(value)
            return None if before is None else f"{before}.{attr}"
        case ast.Call(func=ast.Name(id="col"), args=[ast.Constant(value=str(name))], keywords=[]):
            return name
    return None


def _is_constant(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return isinstance(node.operand, ast.Constant) and type(node.operand.value) in (int, float)
    return isinstance(node, ast.Constant) and type(node.value) in (int, float, str, bool)


def _constant(node: ast.expr) -> Any:  # noqa: ANN401 - of any type
    if isinstance(node, ast.UnaryOp):
        return -_constant(node.operand)
    return node.value if isinstance(node, ast.Constant) else None


def _constants(node: ast.expr) -> list[Any]:
    return [_constant(one) for one in node.elts] if isinstance(node, ast.Tuple | ast.List | ast.Set) else []


# --- statistics ----------------------------------------------------------------------------------------------


def _possible(node: ast.expr, statistics: Mapping[str, FieldStatistics]) -> bool:
    match node:
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_possible(part, statistics) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_possible(part, statistics) for part in parts)
        case ast.Compare(left=left, ops=ops, comparators=rights):
            pairs = zip([left, *rights[:-1]], ops, rights, strict=True)
            return all(_comparable(one, type(op), other, statistics) for one, op, other in pairs)
    return True


def _comparable(left: ast.expr, op: type, right: ast.expr, statistics: Mapping[str, FieldStatistics]) -> bool:
    if _name(left) is None:
        left, op, right = right, _FLIPPED.get(op, op), left
    found = statistics.get(_name(left) or "")
    if found is None or _name(right) is not None:
        return True
    if op is ast.In:
        return not isinstance(right, ast.Tuple | ast.List | ast.Set) or any(
            _in_range(ast.Eq, value, found) for value in _constants(right)
        )
    return op not in _COMPARE or _in_range(op, _constant(right), found)


def _in_range(op: type, value: Any, found: FieldStatistics) -> bool:  # noqa: ANN401 - of any type
    if op is ast.Eq and found.top is not None and not found.approximate and len(found.top) == found.distinct:
        return any(value == one for one, _ in found.top)
    if found.type not in ("int", "float") or type(value) is str or found.min is None or found.max is None:
        return True
    low, high = _COMPARE[op](found.min, value), _COMPARE[op](found.max, value)
    if op is ast.Eq:
        return bool(found.min <= value <= found.max)
    return op is ast.NotEq or bool(low or high)
