"""The notebooks: committed is what the scripts say, they execute anywhere, and no machine can be told from them."""

from __future__ import annotations

import ast
import getpass
import importlib.util
import re
import socket
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from gnnlab.data.card import card, card_names

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
SCRIPTS = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.py"))
MAX_KILOBYTES = 600

_spec = importlib.util.spec_from_file_location("notebooks_build", NOTEBOOKS / "build.py")
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)

each = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


def _committed(script: Path) -> NotebookNode:
    return nbformat.read(script.with_suffix(".ipynb"), as_version=4)


def _texts(notebook: NotebookNode) -> str:
    """Everything the outputs of a notebook say in words."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    said = [output.get("text", "") for output in outputs]
    said += [text for output in outputs for kind, text in output.get("data", {}).items() if kind.startswith("text/")]
    return "\n".join(said)


def _pictures(notebook: NotebookNode) -> int:
    return sum("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", []))


def _real_datasets(script: Path) -> list[str]:
    """Datasets named in the code that are read from files."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return sorted(name for name in strings & set(card_names()) if card(name).files)


def test_there_are_notebooks_and_nothing_else() -> None:
    assert SCRIPTS
    assert build.scripts() == SCRIPTS
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == {path.stem for path in SCRIPTS}


@each
def test_pairs_have_the_same_cells(script: Path) -> None:
    written, committed = build.read_script(script), _committed(script)
    for key in ("cell_type", "source", "id"):
        assert [cell[key] for cell in committed.cells] == [cell[key] for cell in written.cells], (
            f"{script.stem}.ipynb is not of {script.name}: make notebooks"
        )
    assert committed.metadata == written.metadata


@each
def test_committed_notebook_is_complete_and_small(script: Path) -> None:
    notebook = _committed(script)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "executed once, from top to bottom"
    assert _pictures(notebook)
    assert script.with_suffix(".ipynb").stat().st_size < 1000 * MAX_KILOBYTES


@each
def test_outputs_say_nothing_about_the_machine(script: Path) -> None:
    notebook = _committed(script)
    text = _texts(notebook)
    assert not [name for name in (str(Path.home()), sys.prefix, socket.gethostname()) if len(name) > 3 and name in text]
    # Absolute paths of two parts and more, drive letters, addresses in memory.
    found = re.findall(r"(?<![\w.:/<])(?:/[\w.-]+){2,}|\b[A-Z]:\\\w+|\b0x[0-9a-f]{6,}", text)
    assert not found
    kinds = {output.get("name") for cell in notebook.cells for output in cell.get("outputs", [])}
    assert "stderr" not in kinds
    assert all(not cell.metadata for cell in notebook.cells)


@each
def test_executes_in_a_fresh_kernel(script: Path, request: pytest.FixtureRequest) -> None:
    if _real_datasets(script):
        request.getfixturevalue("mirror")  # skips, and says so, where the files are not
    notebook = build.execute(script)
    assert _pictures(notebook) == _pictures(_committed(script))


def test_what_a_notebook_says_depends_on_its_cells_only(tmp_path: Path) -> None:
    script = tmp_path / "09_small.py"
    cells = ["# %% [markdown]\n# Words", '# %%\nprint("a")\nprint("b", flush=True)\n6 * 7']
    cells.append('# %%\nimport sys\nprint("loud", file=sys.stderr)')
    script.write_text("\n\n".join(cells) + "\n")
    first, second = build.execute(script), build.execute(script)
    assert first == second
    assert [output.output_type for output in first.cells[1].outputs] == ["stream", "execute_result"]
    assert first.cells[1].outputs[0].text == "a\nb\n"
    assert first.cells[2].outputs == []
    assert len(first.cells) == 3
    assert getpass.getuser() not in nbformat.writes(first) or len(getpass.getuser()) < 5


def test_a_failing_cell_is_an_error(tmp_path: Path) -> None:
    script = tmp_path / "09_wrong.py"
    script.write_text("# %%\nraise ValueError('this cell is wrong')\n")
    with pytest.raises(Exception, match="this cell is wrong"):
        build.execute(script)
