"""Writes the pages of the reference: one per room, and in the larger rooms one per module."""

from __future__ import annotations

import sys
from pathlib import Path

import griffe
import mkdocs_gen_files

sys.path.insert(0, str(Path(mkdocs_gen_files.config["docs_dir"], "_hooks")))
from _rooms import ROOMS, Room, documented, load_package, public_names
from _rst import to_markdown

_PACKAGE = load_package()
_HOMES = documented(_PACKAGE)


def _first_sentence(thing: griffe.Object) -> str:
    text = thing.docstring.value.split("\n\n")[0].replace("\n", " ") if thing.docstring else ""
    return to_markdown(text, lambda target: None).replace("|", r"\|")


def _show(path: str, thing: griffe.Object, **options: object) -> str:
    """The directive that shows one name under the path it is imported from."""
    name = path.rpartition(".")[2]
    anchor, target = "", path
    if _PACKAGE[path.removeprefix("gnnlab.")].is_module:
        # A module of the same name is in the way: show what is inside, under the name of both.
        anchor = f"[](){{#{path}}}\n\n"
        target = thing.path
        options = {"heading": path, "toc_label": name, **options}
    lines = "".join(f"\n      {key}: {value}" for key, value in options.items())
    return f"{anchor}::: {target}" + (f"\n    options:{lines}" if lines else "") + "\n"


def _module_page(room: Room, stem: str, things: dict[str, griffe.Object]) -> str:
    """Write the page of one module, return its title."""
    names = [path.rpartition(".")[2] for path in things]
    chief = [name for name in names if len(names) == 1 or name.lower() == stem.replace("_", "")]
    title = chief[0] if chief else stem.replace("_", " ").capitalize()
    with mkdocs_gen_files.open(f"{_folder(room)}/{stem}.md", "w") as file:
        if len(names) == 1:
            path, thing = next(iter(things.items()))
            print(f"---\ntitle: {title}\n---\n", _show(path, thing, heading_level=1), sep="\n", file=file)
        else:
            print(f"# {title}\n", *(_show(path, thing) for path, thing in things.items()), sep="\n", file=file)
    return title


def _folder(room: Room) -> str:
    return "reference/" + room.path.removeprefix("gnnlab.").replace(".", "-")


def _index(room: Room, names: dict[str, griffe.Object], parts: list[str]) -> None:
    with mkdocs_gen_files.open(f"{_folder(room)}/index.md", "w") as file:
        print(f"# {room.title}\n", f"::: {room.path}\n    options:\n      members: false\n", sep="\n", file=file)
        rows = [f"| [`{path.rpartition('.')[2]}`][{path}] | {_first_sentence(names[path])} |" for path in names]
        print("| | |\n|---|---|", *rows, "", sep="\n", file=file)
        print(*parts, sep="\n", file=file)


def _room(room: Room, summary: list[str]) -> None:
    # What another room shows already is not shown twice.
    names = {
        path: thing for path, thing in public_names(_PACKAGE, room).items() if _HOMES.get(thing.canonical_path) == path
    }
    folder = _folder(room).removeprefix("reference/")
    summary.append(f"* [{room.title}]({folder}/index.md)")
    if not room.pages:
        _index(room, names, [_show(path, thing) for path, thing in names.items()])
        return
    _index(room, names, [])
    modules: dict[str, dict[str, griffe.Object]] = {}
    for path, thing in names.items():
        modules.setdefault(thing.canonical_path.rpartition(".")[0], {})[path] = thing
    titles: dict[str, str] = {}
    for module, things in modules.items():
        stem = module.rpartition(".")[2].strip("_")
        while stem in titles or stem == "index":
            stem += "_"
        titles[stem] = _module_page(room, stem, things)
    for stem, title in sorted(titles.items(), key=lambda item: item[1].lower()):
        summary.append(f"    * [{title}]({folder}/{stem}.md)")


def main() -> None:
    summary = ["* [Overview](index.md)", "* [Commands](commands.md)"]
    for room in ROOMS:
        _room(room, summary)
    with mkdocs_gen_files.open("reference/SUMMARY.md", "w") as file:
        print(*summary, sep="\n", file=file)


main()
