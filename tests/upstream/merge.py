"""Merge a module and everything it imports from this package into one file.

Classes, functions and constants are copied unchanged, together with everything they need
from this package, in an order in which definitions precede their use.
"""

import ast
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
RECIPE = Path("recipes/IEMOCAP/multimodal_emotion_recognition")
# Folders of our packages and modules
OURS = {
    "speechbrain_can": ROOT,
    "helpers": ROOT / "tests",
    "iemocap_prepare": ROOT / RECIPE,
}


class Statement(NamedTuple):
    """A statement of a module, with the comment above it and the preceding space."""

    defines: frozenset
    needs: frozenset
    text: str
    space: str


class Module:
    """The statements of a Python file, without its imports."""

    name = None  # import name, for our modules

    def __init__(self, path):
        source = Path(path).read_text(encoding="utf-8")
        tree = ast.parse(source)
        self.docstring = ast.get_docstring(tree, clean=False)
        lines = source.splitlines()
        self.foreign, self.ours, self.statements = {}, {}, []
        # lines between two statements are comments on the second one
        end = tree.body[0].end_lineno if self.docstring is not None else 0
        for node in tree.body[self.docstring is not None :]:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                self._add_import(node)
            else:
                above = "\n".join(lines[end : node.end_lineno])
                text = above.strip("\n")
                space = above[: len(above) - len(above.lstrip("\n"))]
                self.statements.append(
                    Statement(_defined(node), _needed(node), text, space)
                )
            end = node.end_lineno

    def _add_import(self, node):
        module = getattr(node, "module", None) or ""
        for alias in node.names:
            name = (alias.asname or alias.name).partition(".")[0]
            if module.partition(".")[0] in OURS:
                self.ours[name] = module
            else:
                single = ast.copy_location(_single(node, alias), node)
                self.foreign[name] = ast.unparse(single)


def _single(node, alias):
    if isinstance(node, ast.Import):
        return ast.Import([alias])
    return ast.ImportFrom(node.module, [alias], node.level)


def _defined(node):
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return frozenset({node.name})
    return frozenset(
        child.id
        for child in ast.walk(node)
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store)
    )


def _needed(node):
    return frozenset(
        child.id for child in ast.walk(node) if isinstance(child, ast.Name)
    )


def merge(path, elsewhere=None, brief=False):
    """Return the text of a module including what it imports from this package.

    Arguments
    ---------
    path : str or Path
        The module.
    elsewhere : dict of (str, str): str
        Names that an exported module already defines, by our module and name; they are
        imported from there.
    brief : bool
        Whether our docstrings end before their first section, as in recipes.

    Returns
    -------
    text : str
        Unformatted Python code.
    origins : set of (str, str)
        Our module and name of everything that was merged.

    Raises
    ------
    ValueError
        If two definitions have the same name.
    """
    elsewhere = elsewhere or {}
    main = Module(path)
    imports, modules = set(), {}
    wanted = {}  # statements by module

    def load(name):
        if name not in modules:
            folder = OURS[name.partition(".")[0]]
            modules[name] = Module(folder / (name.replace(".", "/") + ".py"))
            modules[name].name = name
        return modules[name]

    def take(module, statement):
        taken = wanted.setdefault(module, set())
        if statement not in taken:
            taken.add(statement)
            for name in statement.needs:
                reach(module, name)

    def reach(module, name):
        if name in module.foreign:
            imports.add(module.foreign[name])
        elif name in module.ours:
            reach(load(module.ours[name]), name)
        elif (module.name, name) in elsewhere:
            imports.add(f"from {elsewhere[module.name, name]} import {name}")
        else:
            for statement in module.statements:
                if name in statement.defines:
                    take(module, statement)

    for name in main.ours:
        reach(main, name)
    for statement in main.statements:
        take(main, statement)
    ordered = []

    def place(module):
        """Place each module after those that it needs."""
        for name in dict.fromkeys(module.ours.values()):
            if name in modules and modules[name] not in ordered:
                place(modules[name])
        ordered.append(module)

    place(main)
    # Equal statements of two modules, such as loggers, are written once.
    kept = {
        statement.text: (module, statement)
        for module in reversed(ordered)
        for statement in module.statements
        if statement in wanted.get(module, ())
    }
    kept = list(kept.values())
    _check_names([line.split()[-1] for line in imports], kept)
    # Our type hints need a newer Python than SpeechBrain supports.
    imports.add("from __future__ import annotations")
    text = f'"""{main.docstring}"""\n\n' + "\n".join(sorted(imports)) + "\n"
    loggers = [s for _, s in kept if s.defines == {"logger"}]
    text += "\n" + "".join(statement.text + "\n" for statement in loggers)
    for module in ordered:
        block = ""
        for statement in module.statements:
            if (module, statement) in kept and statement not in loggers:
                block += statement.space + statement.text + "\n"
        if brief and module is not main:
            block = _without_sections(block)
        text += "\n\n" + block
    origins = {
        (module.name, name)
        for module, statement in kept
        for name in statement.defines
        if module is not main and statement not in loggers
    }
    there = {name: module for (_, name), module in elsewhere.items()}
    return _without_our_imports(text, there), origins


def _check_names(imported, kept):
    names = [*imported]
    for _, statement in kept:
        names.extend(statement.defines)
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(
            f"merged, several things would be called {', '.join(sorted(twice))}"
        )


def _without_our_imports(text, elsewhere):
    """Remove imports that the merged module defines from examples; adapt the others."""
    ours = "|".join(OURS)

    def imported_from_there(match):
        indent = match[0].partition(">>>")[0]
        return "".join(
            f"{indent}>>> from {elsewhere[name]} import {name}\n"
            for name in re.findall(r"\w+", match[0].partition(" import ")[2])
            if name in elsewhere
        )

    return re.sub(
        rf"^ *>>> from (?:{ours})\.[^\n]*\n(?: *\.\.\. [^\n]*\n)*",
        imported_from_there,
        text,
        flags=re.MULTILINE,
    )


def _without_sections(text):
    return re.sub(
        r'\n\n +(?:Arguments|Example)\n +-{7,}\n.*?"""',
        lambda match: "\n" + re.search(r' *"""$', match[0])[0],
        text,
        flags=re.DOTALL,
    )
