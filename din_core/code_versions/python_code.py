"""The Python that a function reaches: its own code, and all that it names, transitively.

Names are followed, not whole modules: a function takes of a module what it names there, what that
names in turn, and what the module does when it is imported. A module that is handed on as a value
is taken whole. Files in another language that lie beside reached code belong to it.
"""

from __future__ import annotations

import ast
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from din_core.code_versions import modules
from din_core.code_versions.modules import EFFECTS, Module, Statement, Target

#: Files in another language: whatever else lies in a folder, such as an editor's, does not count.
_NATIVE = {".c", ".cc", ".cpp", ".cu", ".h", ".hpp"}
_TEMPLATES = {".jinja"}


@dataclass(frozen=True)
class Reached:
    """What a function reaches.

    Attributes:
        code: Hash of the code, without comments, docstrings and layout, by ``module:name``.
        files: Files in other languages.
        libraries: Dotted names of what it uses of others, as ``torch.onnx.export``.
    """

    code: dict[str, str]
    files: frozenset[Path]
    libraries: frozenset[str]


def reached(
    root: Path,
    package: str,
    module: Path,
    function: str,
    also: Iterable[tuple[str, str]] = (),
    entries: Mapping[tuple[str, str], str] = types.MappingProxyType({}),
) -> Reached:
    """Follow a function.

    Args:
        root: Folder of a package whose code counts, as ``…/din_core``.
        package: Its name.
        module: The file that holds the function. What it names there counts; what it imports counts
            if it lies in the package.
        function: Its qualified name, as ``outer.<locals>.inner``; its decorators do not count.
        also: What else takes part, as (module of the package, name in it).
        entries: Dictionaries, likewise, of which one entry alone is used: the name that is its key.
            What only other entries name is not followed.
    """
    walk = _Walk(root, package, entries)
    start = modules.parse("<start>", module)
    walk.modules[start.name] = start
    node = _find(modules.read_tree(module), function)
    # How it is registered and which options it takes are the orchestrator's.
    node.decorator_list = []
    for argument in ast.walk(node.args):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    walk.take(start, function, [modules.statement_of(start, node)])
    for source, name in also:
        walk.follow(source, name)
    walk.finish()
    return Reached(walk.code, frozenset(walk.files), frozenset(walk.libraries))


def _find(tree: ast.Module, qualified: str) -> ast.FunctionDef | ast.AsyncFunctionDef:
    node: ast.AST = tree
    for name in qualified.split(".<locals>."):
        node = next(
            each
            for each in ast.walk(node)
            if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)) and each.name == name
        )
    assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    return node


class _Walk:
    """What is reached so far, and what is waiting."""

    def __init__(self, root: Path, package: str, entries: Mapping[tuple[str, str], str]) -> None:
        self.root, self.package, self.entries = root, package, entries
        self.modules: dict[str, Module] = {}
        self.code: dict[str, str] = {}
        self.files: set[Path] = set()
        self.libraries: set[str] = set()
        self._seen: set[tuple[str, str]] = set()
        self._entered: set[str] = set()
        self._paths: dict[str, Path | None] = {}
        self._folders: set[Path] = set()
        self._waiting: list[tuple[str, str]] = []

    def finish(self) -> None:
        while self._waiting:
            name, symbol = self._waiting.pop()
            module = self.modules[name]
            self.take(module, symbol, module.symbols.get(symbol, []))

    def follow(self, source: str, name: str) -> None:
        """Put a name of one of the package's modules on the list.

        Raises:
            LookupError: The module does not bind it.
        """
        module = self._module(source)
        if module is None or name not in module.symbols:
            raise LookupError(f"{source} has no {name!r}; correct what is followed by name")
        self._want(module, name)

    def take(self, module: Module, symbol: str, statements: Iterable[Statement]) -> None:
        """Take a symbol's statements, and put what they name on the list."""
        for statement in statements:
            key = f"{module.name}:{symbol}"
            self.code[key] = self.code.get(key, "") + statement.code
            for imported in statement.modules:
                self._module(imported)
            for root, chain in self._used_names(module, symbol, statement):
                self._name(module, statement.imports, root, chain)

    def _used_names(
        self, module: Module, symbol: str, statement: Statement
    ) -> Iterable[tuple[str, tuple[str, ...]]]:
        used = self.entries.get((module.name, symbol))
        if used is None or used not in statement.entries:
            return statement.names
        others = {
            name for key, names in statement.entries.items() if key != used for name in names
        } - {*statement.entries[used]}
        return [name for name in statement.names if name not in others]

    def _name(
        self,
        module: Module,
        local: Mapping[str, Target],
        root: str,
        chain: tuple[str, ...],
    ) -> None:
        if root in local:
            self._target(*local[root], chain)
        if root in module.symbols:
            self._want(module, root)
        if root in module.imports:
            source, name = module.imports[root]
            if root not in module.typing_only or not self._is_ours(source):
                self._target(source, name, chain)

    def _target(self, source: str, name: str | None, chain: tuple[str, ...]) -> None:
        """Follow a name to where it comes from: a module, or something that one binds."""
        chain = (name, *chain) if name is not None else chain
        if not self._is_ours(source):
            if not modules.is_standard(source):
                self.libraries.add(".".join((source, *chain)))
            return
        while True:
            module = self._module(source)
            if module is None:
                return
            if not chain or chain[0] == "*":
                for symbol in list(module.symbols):
                    self._want(module, symbol)
                return
            first, *rest = chain
            if first in module.symbols:
                self._want(module, first)
                return
            if self._path(f"{source}.{first}") is not None:
                source, chain = f"{source}.{first}", tuple(rest)
            elif first in module.imports:
                self._target(*module.imports[first], tuple(rest))
                return
            else:
                return

    def _want(self, module: Module, symbol: str) -> None:
        if (module.name, symbol) not in self._seen:
            self._seen.add((module.name, symbol))
            self._waiting.append((module.name, symbol))

    def _module(self, name: str) -> Module | None:
        """Enter a module as an import does: with its packages, and all that it imports itself."""
        path = self._path(name)
        if path is None:
            return None
        if name not in self.modules:
            self.modules[name] = modules.parse(name, path)
        module = self.modules[name]
        if name not in self._entered:
            self._entered.add(name)
            self._want(module, EFFECTS)
            for symbol, statements in module.symbols.items():
                if any(self._may_register(module, each) for each in statements):
                    self._want(module, symbol)
            if path.parent not in self._folders:
                self._folders.add(path.parent)
                self.files.update(
                    file
                    for file in path.parent.iterdir()
                    if file.suffix in _NATIVE | _TEMPLATES and file.is_file()
                )
            if "." in name:
                self._module(name.rpartition(".")[0])
            for bound, (source, member) in module.imports.items():
                if bound not in module.typing_only and self._is_ours(source):
                    self._module(source)
                    self._module(f"{source}.{member}")
        return module

    def _may_register(self, module: Module, statement: Statement) -> bool:
        """Whether a decorator of our own may do more than bind the name that it stands above."""
        for root, _ in statement.decorators:
            is_here = root in module.symbols
            source, name = (module.name, root) if is_here else module.imports.get(root, ("", None))
            is_ours = is_here or self._is_ours(source)
            if is_ours and not self._makes_dataclasses(source, name):
                return True
        return False

    def _makes_dataclasses(self, source: str, name: str | None) -> bool:
        """Whether a decorator says that it is a ``dataclass`` by another name, so no registry."""
        path = self._path(source)
        found = modules.parse(source, path).symbols.get(name or "", []) if path else []
        return any(
            "dataclass_transform" in (root, *chain)
            for each in found
            for root, chain in each.decorators
        )

    def _is_ours(self, name: str) -> bool:
        return name == self.package or name.startswith(f"{self.package}.")

    def _path(self, name: str) -> Path | None:
        if name not in self._paths:
            self._paths[name] = self._found(name) if self._is_ours(name) else None
        return self._paths[name]

    def _found(self, name: str) -> Path | None:
        base = self.root.joinpath(*name.split(".")[1:])
        for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
            if path.is_file():
                return path
        return None
