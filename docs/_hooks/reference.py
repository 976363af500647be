"""Writes the pages of the reference: one per room, and in the larger rooms one per module."""

from __future__ import annotations

import sys
from pathlib import Path

import griffe
import mkdocs_gen_files

sys.path.insert(0, str(Path(mkdocs_gen_files.config["docs_dir"], "_hooks")))
from _rooms import ROOMS, Room, documented, load_package, public_names  # noqa: E402
from _rst import to_markdown  # noqa: E402

_PACKAGE = load_package()
_HOMES = documented(_PACKAGE)


def _first_sentence(thing: griffe.Object) -> str:
    text = thing.docstring.value.split("\n\n")[0].replace("\n", " ") if thing.docstring else ""
    return to_markdown(text, lambda target: None).replace("|", r"\|")


def _show(path: str) -> str:
    return f"::: {path}"


def _module_page(room: Room, stem: str, paths: list[str]) -> str:
    """Write the page of one module, return its title."""
    names = [path.rpartition(".")[2] for path in paths]
    title = names[0] if len(names) == 1 else stem.strip("_").replace("_", " ").capitalize()
    with mkdocs_gen_files.open(f"{_folder(room)}/{stem}.md", "w") as file:
        if len(names) == 1:
            print(f"---\ntitle: {title}\n---\n", _show(paths[0]), "    options:\n      heading_level: 1", sep="\n", file=file)
        else:
            print(f"# {title}\n", *(f"{_show(path)}\n" for path in paths), sep="\n", file=file)
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
    names = {path: thing for path, thing in public_names(_PACKAGE, room).items() if _HOMES[thing.canonical_path] == path}
    folder = _folder(room).removeprefix("reference/")
    summary.append(f"* [{room.title}]({folder}/index.md)")
    if not room.pages:
        _index(room, names, [f"{_show(path)}\n" for path in names])
        return
    modules: dict[str, list[str]] = {}
    for path, thing in names.items():
        modules.setdefault(thing.canonical_path.rpartition(".")[0], []).append(path)
    _index(room, names, [])
    titles = {}
    for module, paths in modules.items():
        stem = module.rpartition(".")[2].strip("_")
        while stem in titles or stem == "index":
            stem += "_"
        titles[stem] = _module_page(room, stem, paths)
    for stem, title in sorted(titles.items(), key=lambda item: item[1].lower()):
        summary.append(f"    * [{title}]({folder}/{stem}.md)")


def main() -> None:
    summary = ["* [Overview](index.md)", "* [Commands](commands.md)"]
    for room in ROOMS:
        _room(room, summary)
    with mkdocs_gen_files.open("reference/SUMMARY.md", "w") as file:
        print(*summary, sep="\n", file=file)


main()
