"""Executes the notebooks (percent scripts, NN_name.py) and writes them with their pictures, NN_name.ipynb.

    python notebooks/build.py                       # all of them
    python notebooks/build.py 01_first_gnn.py ...   # some

What is written depends on cells and outputs only: no times, no machine, no progress bars, no warnings.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import jupytext
import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

__all__ = ["HERE", "execute", "main", "read_script", "scripts"]

HERE = Path(__file__).resolve().parent
# What a notebook says about itself: enough for an editor and a code host, nothing about who executed it.
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}


class _ThisInterpreter(AsyncKernelManager):
    """Starts kernels with the interpreter that runs this, whatever kernels are installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        options = ["--HistoryManager.enabled=False", "--IPKernelApp.log_level=40"]
        return KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", *options])


def scripts() -> list[Path]:
    """The text forms of all notebooks, in reading order."""
    return sorted(HERE.glob("[0-9][0-9]_*.py"))


def read_script(path: Path) -> NotebookNode:
    """The notebook a percent script stands for, not executed; cell ids are digests of their cells."""
    notebook = jupytext.read(path, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        cell.id = f"{digest}-{seen[digest]}" if seen[digest] else digest
        seen[digest] += 1
        cell.metadata = NotebookNode()
    return notebook


def execute(path: Path, *, timeout: int = 600) -> NotebookNode:
    """The notebook of a percent script, executed in a fresh kernel and an empty folder.

    Args:
        path: The script.
        timeout: Seconds a cell may take.

    Raises:
        CellExecutionError: a cell raised; the message has the cell and the traceback.
    """
    notebook = read_script(path)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=timeout,
            kernel_manager_class=_ThisInterpreter,
            resources={"metadata": {"path": folder}},
            record_timing=False,
        )
        client.execute(env={**os.environ, "IPYTHONDIR": str(Path(folder) / ".ipython")})
    for cell in notebook.cells:
        cell.metadata = NotebookNode()
        if cell.cell_type == "code":
            cell.outputs = _kept(cell.outputs)
    notebook.metadata = nbformat.from_dict(_METADATA)
    return notebook


def _kept(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Outputs without warnings, progress bars and hidden state; what one cell prints is one output."""
    kept: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream" and output.name == "stderr":
            continue
        if output.output_type == "stream" and kept and kept[-1].output_type == "stream":
            kept[-1].text += output.text
            continue
        if "data" in output:
            output.metadata = NotebookNode()
            if "image/png" in output.data:
                output.data["image/png"] = _small(output.data["image/png"])
                output.data.pop("text/plain", None)  # says nothing but the size of the figure
        kept.append(output)
    return kept


def _small(png: str) -> str:
    """A picture with a palette of 256 colours, a third of the size, and nothing but the picture."""
    picture, buffer = Image.open(io.BytesIO(base64.b64decode(png))), io.BytesIO()
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture.convert("RGBA"))
    white.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def main(arguments: list[str] | None = None) -> None:
    """Execute the notebooks named, or all, and write their .ipynb."""
    parser = argparse.ArgumentParser(description="Execute the notebooks and write them with their pictures.")
    parser.add_argument("notebooks", nargs="*", help="names of percent scripts in this folder; default: all")
    names = parser.parse_args(arguments).notebooks
    for path in [HERE / Path(name).with_suffix(".py").name for name in names] or scripts():
        start = time.perf_counter()
        target = path.with_suffix(".ipynb")
        nbformat.write(execute(path), target)
        print(f"{target.name}: {time.perf_counter() - start:.0f} s, {target.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
