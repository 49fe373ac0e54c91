"""What one Python module binds, names and does, read off its source and not imported.

Importing torch costs three seconds; parsing a module costs milliseconds.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: What happens when a module is imported, whoever asks for what of it.
EFFECTS = ""
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

#: A name, and the attributes behind it.
Name = tuple[str, tuple[str, ...]]
#: What an imported name stands for: a module, and a name in it or None.
Target = tuple[str, str | None]


#: Calls that declare a field of a class, and how many of their first arguments count. Those that
#: describe and bound it do not: a value that is taken gives the same result whatever they say. Nor
#: does the default of an option: each is one of a step's, and is compared with what the step was
#: made with, as a chosen value is.
_DECLARATIONS: Mapping[Target, int] = {
    ("din_core.config.options", "option"): 0,
    ("din_core.config.options", "required"): 0,
    ("pydantic", "Field"): 1,
}
_COUNTED: Mapping[Target, tuple[str, ...]] = {("pydantic", "Field"): ("default", "default_factory")}


@dataclass(frozen=True)
class Statement:
    """What counts of a piece of code.

    Attributes:
        code: Hash of it, without comments, docstrings and layout, nor the words, ranges and
            defaults of options.
        names: Names in it with the attributes behind them, as ``np`` and ``("zeros",)``.
        imports: What it imports itself, as :attr:`Module.imports`.
        modules: Modules that it imports by their whole name.
        decorators: The names above it.
        entries: Of a dictionary whose keys are names, what each entry names.
    """

    code: str
    names: tuple[Name, ...]
    imports: Mapping[str, Target]
    modules: tuple[str, ...]
    decorators: tuple[Name, ...] = ()
    entries: Mapping[str, tuple[Name, ...]] = field(default_factory=dict[str, "tuple[Name, ...]"])


@dataclass
class Module:
    """A parsed module.

    Attributes:
        name: Its dotted name.
        path: Its file.
        symbols: Top-level statements by the name that they bind, and under :data:`EFFECTS` those
            that do something else: they run whoever asks for what.
        imports: Name to what it stands for: a module, and a name in it or None.
        typing_only: Names that are imported for the type checker alone.
    """

    name: str
    path: Path
    symbols: dict[str, list[Statement]] = field(default_factory=dict[str, list[Statement]])
    imports: dict[str, Target] = field(default_factory=dict[str, "Target"])
    typing_only: set[str] = field(default_factory=set[str])

    @property
    def package(self) -> str:
        """The package that relative imports start from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


def parse(name: str, path: Path) -> Module:
    """Parse a module, or take what was parsed of the same file before."""
    found = path.stat()
    return _parsed(name, path, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=1024)
def _parsed(name: str, path: Path, _changed: int, _size: int) -> Module:
    module = Module(name, path)
    for statement in read_tree(path).body:
        _take(module, statement)
    return module


def read_tree(path: Path) -> ast.Module:
    """Parse a file and take its docstrings away, and other texts that stand alone."""
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = [each for each in node.body if not _is_text(each)]
    return tree


def statement_of(module: Module, node: ast.AST) -> Statement:
    """Sum a piece of code up."""
    imports: dict[str, Target] = {}
    modules: list[str] = []
    for each in ast.walk(node):
        if isinstance(each, ast.ClassDef):
            _strip_declarations(module, each)
        if isinstance(each, (ast.Import, ast.ImportFrom)):
            imports |= imported(module, each)
            if isinstance(each, ast.Import):
                modules += [alias.name for alias in each.names]
    decorators = getattr(node, "decorator_list", [])
    return Statement(
        code=hashlib.sha256(ast.dump(node).encode()).hexdigest(),
        names=tuple(dict.fromkeys(_names(node))),
        imports=imports,
        modules=tuple(modules),
        decorators=tuple(name for each in decorators for name in _names(each)),
        entries=_entries(getattr(node, "value", None)),
    )


def _entries(value: ast.AST | None) -> dict[str, tuple[Name, ...]]:
    if not isinstance(value, ast.Dict):
        return {}
    return {
        key.id: (*_names(key), *_names(each))
        for key, each in zip(value.keys, value.values, strict=True)
        if isinstance(key, ast.Name)
    }


def _strip_declarations(module: Module, node: ast.ClassDef) -> None:
    """Leave of each declared field what counts."""
    for each in node.body:
        call = each.value if isinstance(each, ast.AnnAssign) else None
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            declared = module.imports.get(call.func.id, ("", None))
            if declared in _DECLARATIONS:
                call.args = call.args[: _DECLARATIONS[declared]]
                kept = _COUNTED.get(declared, ())
                call.keywords = [each for each in call.keywords if each.arg in kept]


def _take(module: Module, statement: ast.stmt) -> None:
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        module.imports |= imported(module, statement)
    elif isinstance(statement, ast.If) and _is_type_checking(statement.test):
        for each in statement.body:
            if isinstance(each, (ast.Import, ast.ImportFrom)):
                found = imported(module, each)
                module.imports |= found
                module.typing_only.update(found)
        for each in statement.orelse:
            _take(module, each)
    else:
        names = list(_bound(statement)) or [EFFECTS, *_bound_within(statement)]
        summary = statement_of(module, statement)
        for name in names:
            module.symbols.setdefault(name, []).append(summary)
        if EFFECTS in names:
            module.imports |= summary.imports


def _bound_within(statement: ast.stmt) -> Iterator[str]:
    for each in ast.walk(statement):
        if isinstance(each, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield each.name
        elif isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            yield each.id


def _bound(statement: ast.stmt) -> Iterator[str]:
    """Names that a statement binds, where binding is all that it does."""
    if isinstance(statement, Definition):
        yield statement.name
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        yield statement.target.id
    elif isinstance(statement, ast.Assign):
        targets = [
            each
            for target in statement.targets
            for each in (target.elts if isinstance(target, ast.Tuple) else [target])
        ]
        if all(isinstance(each, ast.Name) for each in targets):
            yield from (each.id for each in targets if isinstance(each, ast.Name))


def imported(module: Module, statement: ast.Import | ast.ImportFrom) -> dict[str, Target]:
    """Return what an import statement binds."""
    if isinstance(statement, ast.Import):
        return {
            each.asname or each.name.partition(".")[0]: (
                each.name if each.asname else each.name.partition(".")[0],
                None,
            )
            for each in statement.names
        }
    source = statement.module or ""
    if statement.level:
        parts = module.package.split(".")
        base = parts[: len(parts) - statement.level + 1]
        source = ".".join([*base, *filter(None, [source])])
    return {each.asname or each.name: (source, each.name) for each in statement.names}


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def is_standard(name: str) -> bool:
    """Whether a module belongs to Python itself."""
    return name.partition(".")[0] in sys.stdlib_module_names


def _names(node: ast.AST) -> Iterator[Name]:
    """Names in a piece of code with the attributes behind them, as ``np`` and ``("zeros",)``."""
    waiting: list[ast.AST] = [node]
    while waiting:
        each = waiting.pop()
        chain: list[str] = []
        inner = each
        while isinstance(inner, ast.Attribute):
            chain.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            yield inner.id, tuple(reversed(chain))
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield from _annotation(inner.value)
        else:
            waiting.extend(ast.iter_child_nodes(inner))


def _annotation(text: str) -> Iterator[Name]:
    """A text that is a single name may be an annotation in quotes."""
    if text.isidentifier() and text[:1].isupper():
        yield text, ()
