"""Shows the notebooks as they were committed, outputs included, and lists them."""

from __future__ import annotations

import json
from pathlib import Path

import mkdocs_gen_files

_NOTEBOOKS = Path(mkdocs_gen_files.config["docs_dir"]).parent / "notebooks"


def _words(notebook: Path) -> tuple[str, str]:
    """Title and first paragraph."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    text = next(("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"), "")
    parts = [part.strip() for part in text.split("\n\n") if part.strip()]
    title = parts[0].lstrip("# ").split("\n")[0] if parts else notebook.stem
    return title, " ".join(parts[1].split()) if len(parts) > 1 else ""


def main() -> None:
    summary, listed = ["* [Overview](index.md)"], []
    for notebook in sorted(_NOTEBOOKS.glob("*.ipynb")):
        title, text = _words(notebook)
        with mkdocs_gen_files.open(f"notebooks/{notebook.name}", "wb") as file:
            file.write(notebook.read_bytes())
        summary.append(f"* [{title}]({notebook.name})")
        listed.append(f"**[{title}]({notebook.name})**  \n{text}\n")
    with mkdocs_gen_files.open("notebooks/index.md", "w") as file:
        print(
            "# Notebooks\n",
            "Each answers one question with pictures; all run from a clean checkout in minutes on two cores "
            "(`make notebooks`). What is shown here is what they gave when they were last run.\n",
            *listed,
            sep="\n",
            file=file,
        )
    with mkdocs_gen_files.open("notebooks/SUMMARY.md", "w") as file:
        print(*summary, sep="\n", file=file)


main()
