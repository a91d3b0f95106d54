"""Mutations of a module: small changes of its source that some test should notice."""

import ast
import copy
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Break: ast.Continue,
    ast.Continue: ast.Break,
}
TWINS = dict(
    pair
    for a, b in [
        ("min", "max"),
        ("amin", "amax"),
        ("argmin", "argmax"),
        ("mean", "sum"),
        ("any", "all"),
        ("zeros", "ones"),
        ("zeros_like", "ones_like"),
        ("floor", "ceil"),
        ("sin", "cos"),
    ]
    for pair in [(a, b), (b, a)]
)
LIBRARIES = {"F", "nn", "np", "torch", "math", "_ranks"}  # what their functions read comes first
UNSEEN = {"device", "non_blocking"}  # tests/fit_on_device.py sees them, in another process
UNREAD = ("annotation", "returns", "decorator_list", "type_params", "bases")


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Its key depends on the name of the file and the text of what changes, on no line's number: code
    that moves keeps its results.
    """

    path: Path
    where: str  # the function or class around it
    line: int
    last_line: int
    operator: str
    before: str
    after: str
    span: tuple[int, int]  # of bytes
    key: str

    @property
    def stratum(self) -> str:
        """The module, from the package's folder."""
        return self.path.as_posix().rpartition("skssl/")[2]

    def source(self) -> str:
        """Return the text of the module with the change; no other line moves."""
        data = self.path.read_bytes()
        start, end = self.span
        lines = data[start:end].count(b"\n")
        is_statement = self.operator in ("delete", "statement")
        text = self.after + "\n" * lines if is_statement else f"({self.after}{chr(10) * lines})"
        return (data[:start] + text.encode() + data[end:]).decode()

    @property
    def is_in_function(self) -> bool:
        """Whether the change is in a function's body, and so can be made in a loaded module."""
        return self.where.endswith("()")


class _Finder(ast.NodeVisitor):
    """Collects (node, what replaces it, operator, qualified name)."""

    def __init__(self) -> None:
        self.found: list[tuple[Any, Any, str, str]] = []
        self.names: list[str] = []
        self.in_function = 0

    def add(self, node: Any, other: Any, operator: str) -> None:
        where = ".".join(self.names) + ("()" if self.in_function else "")
        self.found.append((node, other, operator, where))

    def swap(self, node: Any, operator: str, **changes: Any) -> None:
        """Add a copy of a node with other fields."""
        other = copy.copy(node)
        for name, value in changes.items():
            setattr(other, name, value)
        self.add(node, other, operator)

    def generic_visit(self, node: ast.AST) -> None:
        for name, value in ast.iter_fields(node):
            if name in UNREAD:
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    self.visit(child)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for decorator in node.decorator_list:
            self.visit(decorator)
        self.visit(node.args)
        self.names.append(node.name)
        self.in_function += 1
        for child in node.body:
            self.visit(child)
        self.names.pop()
        self.in_function -= 1

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.names.append(node.name)
        for child in node.body:
            self.visit(child)
        self.names.pop()

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):  # a docstring
            return
        if not isinstance(node.value, (ast.Yield, ast.YieldFrom)):
            self.add(node, ast.Pass(), "delete")
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if not all(isinstance(target, ast.Name) for target in node.targets):
            self.add(node, ast.Pass(), "delete")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.add(node, ast.Pass(), "delete")
        if (op := OPERATORS.get(type(node.op))) is not None:
            self.swap(node, "statement", op=op())
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self.add(node, ast.Pass(), "delete")  # what is said is no part of this

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave text alone."""

    def visit_Break(self, node: ast.Break) -> None:
        self.add(node, ast.Continue(), "statement")

    def visit_Continue(self, node: ast.Continue) -> None:
        self.add(node, ast.Break(), "statement")

    def _test(self, node: Any) -> None:
        for value in (True, False):
            self.add(node.test, ast.Constant(value), "condition")
        self.generic_visit(node)

    visit_If = visit_IfExp = _test

    def visit_While(self, node: ast.While) -> None:
        self.add(node.test, ast.Constant(False), "condition")
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self.add(test, ast.Constant(True), "condition")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if (op := OPERATORS.get(type(node.op))) is not None:
            self.swap(node, "operator", op=op())
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.swap(node, "operator", op=OPERATORS[type(node.op)]())
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for i, op in enumerate(node.ops):
            ops = [*node.ops[:i], OPERATORS[type(op)](), *node.ops[i + 1 :]]
            self.swap(node, "operator", ops=ops)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        self.add(node, node.operand, "sign")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self.add(node, ast.Constant(not node.value), "number")
        elif isinstance(node.value, int):
            self.add(node, ast.Constant(node.value + 1), "number")
        elif isinstance(node.value, float):
            is_guard = 0 < node.value < 1e-4  # against a division by zero, for example
            self.add(node, ast.Constant(0.0 if is_guard else 2 * node.value or 1.0), "number")

    def visit_Call(self, node: ast.Call) -> None:
        self._call_left_out(node)
        self._other_callee(node)
        for i, keyword in enumerate(node.keywords):
            if keyword.arg is not None and keyword.arg not in UNSEEN:
                rest = node.keywords[:i] + node.keywords[i + 1 :]
                self.swap(node, "argument", keywords=rest)
        self.generic_visit(node)

    def _call_left_out(self, node: ast.Call) -> None:
        """Let a method's object, or a function's first argument, stand for what it returns."""
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        root: Any = owner
        while isinstance(root, ast.Attribute):
            root = root.value
        is_library = isinstance(root, ast.Name) and root.id in LIBRARIES
        is_super = isinstance(root, ast.Call) and isinstance(root.func, ast.Name)
        if is_library:
            if node.args and not isinstance(node.args[0], (ast.Starred, ast.GeneratorExp)):
                self.add(node, node.args[0], "call")
        elif owner is not None and not is_super and not isinstance(owner, ast.Constant):
            if not (isinstance(owner, ast.Name) and owner.id in ("self", "cls")):
                self.add(node, owner, "call")

    def _other_callee(self, node: ast.Call) -> None:
        func = node.func
        if isinstance(func, ast.Attribute) and func.attr in TWINS:
            other = ast.Attribute(func.value, TWINS[func.attr], func.ctx)
            self.swap(node, "twin", func=other)
        elif isinstance(func, ast.Name) and func.id in TWINS:
            self.swap(node, "twin", func=ast.Name(TWINS[func.id], func.ctx))


def mutants(path: Path) -> Iterator[Mutant]:
    """Yield all mutants of a file, those that compile to the same code left out."""
    data = path.read_bytes()
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    finder = _Finder()
    finder.visit(ast.parse(data))
    seen: dict[str, int] = {}
    for node, other, operator, where in finder.found:
        before, after = ast.unparse(node), ast.unparse(other)
        span = (
            starts[node.lineno - 1] + node.col_offset,
            starts[node.end_lineno - 1] + node.end_col_offset,
        )
        line = data[starts[node.lineno - 1] : starts[node.lineno]].decode().strip()
        text = "\n".join([path.stem, where, line, operator, before, after])
        seen[text] = seen.get(text, 0) + 1  # the same change twice in a line
        key = hashlib.sha256(f"{text}\n{seen[text]}".encode()).hexdigest()[:12]
        lines = node.lineno, node.end_lineno
        yield Mutant(path, where, *lines, operator, before, after, span, key)


def draw(paths: list[Path], share: float, at_least: int, seed: int) -> list[Mutant]:
    """Draw a share of each file's mutants: those of the smallest hashes of seed and key.

    A change of a file, or of the share, changes few of those drawn.
    """
    drawn = []
    for path in paths:
        every = list(mutants(path))
        n = max(at_least, round(share * len(every)))
        drawn += sorted(every, key=lambda m: hashlib.sha256(f"{seed} {m.key}".encode()).digest())[
            :n
        ]
    return drawn
