"""The documentation: what pages show runs, the site builds without a warning, and every link in it leads somewhere."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType, SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest

from gnnlab.benchmark.experiment import find_experiments
from gnnlab.cli.main import _COMMANDS
from tests._markdown import blocks, named_commands, named_experiments, run_page

ROOT = Path(__file__).resolve().parents[1]
HOOKS = ROOT / "docs" / "_hooks"
PAGES = sorted([*(ROOT / "docs" / "guide").glob("*.md"), *(ROOT / "docs" / "how-to").glob("*.md")])

# What must not be left in the text of a page: roles, directives, formulas that were not converted.
RAW = re.compile(r":(class|func|meth|math|mod|data):|\.\. math::|\\[(\[]|\$[^$\s][^$]*\$")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_pages_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GNNLAB_CACHE", "GNNLAB_MIRROR"):  # pages set them for their reader
        if name in os.environ:
            monkeypatch.setenv(name, os.environ[name])
    text = page.read_text(encoding="utf-8")
    shown = [options for options, _ in blocks(text) if options.startswith(("python", "{.bash .run"))]
    assert run_page(text, str(page), tmp_path, monkeypatch) >= len(shown)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_pages_name_what_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in named_experiments(text):
        assert name.startswith("mine/") or find_experiments(name), name
    assert set(named_commands(text)) <= set(_COMMANDS)


def test_readme_is_the_only_place() -> None:
    """Pages include figures of the README; every directive finds its place (the build would end if not)."""
    includes, directive = _hook("includes"), re.compile(r"<!-- readme: ([^:\n]+?)(?:: ([^\n]+?))? -->")
    found = [match for page in [*PAGES, ROOT / "docs" / "index.md"] for match in directive.findall(page.read_text())]
    assert len(found) > 10
    for title, words in found:
        assert not words or any(words in block for block in includes.blocks(includes.section(title, "test")))


def test_formulas() -> None:
    formulas = _hook("formulas")
    inline = formulas.on_page_content(r'<p><span class="arithmatex">\(x &lt; \sqrt{2}\)</span></p>')
    assert "<msqrt><mn>2</mn></msqrt>" in inline
    assert "arithmatex" not in inline
    assert 'display="block"' in formulas.mathml(r"\[R_{st} = 1\]")
    notebook = SimpleNamespace(file=SimpleNamespace(src_uri="notebooks/x.ipynb"))
    cell = formulas.on_page_content("<p>a node $v_1$, <code>$v$</code></p>", page=notebook)
    assert cell.startswith("<p>a node <math><msub><mi>v</mi><mn>1</mn></msub></math>, <code>$v$</code></p>")
    with pytest.raises(Exception, match="nosuchcommand"):
        formulas.mathml(r"\(\nosuchcommand\)")


def test_docstrings_become_markdown() -> None:
    convert = _hook("_rst").to_markdown
    homes = {"GTR": "gnnlab.rewiring.GTR", "gnnlab.rewiring.GTR": "gnnlab.rewiring.GTR"}
    assert convert(":class:`GTR` and :func:`~gnnlab.x.f`", homes.get) == "[`GTR`][gnnlab.rewiring.GTR] and `f`"
    assert convert(":class:`~gnnlab.rewiring.GTR`", homes.get) == "[`GTR`][gnnlab.rewiring.GTR]"
    assert convert("a role :class:`gnnlab.\n  rewiring` broken", homes.get).count("`") == 2
    assert convert("with :math:`x_1`", homes.get) == r"with \(x_1\)"
    display = convert("a\n\n.. math::\n    x &= 1 \\\\\n    y &= 2\n\nb", homes.get)
    assert re.split(r"\n{2,}", display) == ["a", r"\[\begin{aligned}x &= 1 \\ y &= 2\end{aligned}\]", "b"]
    assert convert("A list:\n* one\n* two", homes.get) == "A list:\n\n* one\n* two"
    assert convert(">>> print(':class:`GTR`')", homes.get) == ">>> print(':class:`GTR`')"
    table = "===  =========\nkey  value\n===  =========\na    :math:`|x|`\n     more\n``b``  2\n===  ========="
    assert [line for line in convert(table, homes.get).split("\n") if line] == [
        "| key | value |",
        "| --- | --- |",
        r"| a | \(\vert x\vert \) more |",
        "| ``b`` | 2 |",
    ]
    shapes = convert("Shapes:\n    * **x:** [N]\n    * **y:** [G]\n\nRaises:\n    GraphError: no.", homes.get)
    assert shapes == "**Shapes:**\n\n* **x:** [N]\n* **y:** [G]\n\nRaises:\n    GraphError: no."


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_site(tmp_path: Path) -> None:
    """One build, many questions: it takes half a minute of a core."""
    site = tmp_path / "site"
    silent = {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}
    build = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", site],
        cwd=ROOT,
        env=os.environ | silent,
        capture_output=True,
        text=True,
        timeout=1700,
    )
    assert build.returncode == 0, build.stderr + build.stdout
    pages = {
        path.relative_to(site).as_posix(): _Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")
    }
    assert not [problem for name, page in pages.items() for problem in _broken(site, name, page, pages)]
    for name, page in pages.items():
        assert not page.loaded, f"{name} loads {page.loaded} from elsewhere"
        assert not re.search(r":(class|func|meth|math|mod|data):|\.\. math::|arithmatex|\$[^$\s][^$]*\$", page.text), (
            name
        )
        for private in (str(ROOT), f"{Path.home()}/"):
            assert private not in page.source, f"{name} names {private}"
    shown = set().union(*(page.ids for page in pages.values()))
    assert not [paths for paths in _public_names() if not paths & shown]
    assert sum(page.source.count("<math") for page in pages.values()) > 500


class _Page(HTMLParser):
    """Anchors, links and text of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source, self.ids, self.links, self.loaded = source, set(), [], []
        self.text, self._code = "", 0
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids |= {found[key] for key in ("id", "name") if found.get(key)}
        self._code += tag in ("code", "pre", "script", "style")
        for key in ("href", "src"):
            if found.get(key) and not found[key].startswith(("data:", "javascript:")):
                self.links.append(found[key])
                if tag != "a" and urlsplit(found[key]).netloc:
                    self.loaded.append(found[key])

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in ("code", "pre", "script", "style")

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.text += data


def _broken(site: Path, name: str, page: _Page, pages: dict[str, _Page]) -> Iterator[str]:
    """Links to files or anchors that are not there, and external ones that are no addresses."""
    for link in page.links:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            if parts.scheme not in ("https", "http") or "." not in parts.netloc:
                yield f"{name}: {link}"
            continue
        path = unquote(parts.path)
        target = site / path.lstrip("/") if path.startswith("/") else (site / name).parent / path
        target = (site / name) if not path else target
        target = target / "index.html" if target.is_dir() else target
        if not target.is_file():
            yield f"{name}: {link}"
            continue
        inside = Path(os.path.normpath(target)).relative_to(site).as_posix()
        if parts.fragment and inside in pages and unquote(parts.fragment) not in pages[inside].ids | {"__top"}:
            yield f"{name}: {link}"


def _public_names() -> Iterator[set[str]]:
    """Everything the rooms export, as the interpreter sees it: the paths of each thing, which may have several."""
    paths: dict[object, set[str]] = {}
    for room in _hook("_rooms").ROOMS:
        module = importlib.import_module(room.path)
        for name in getattr(module, "__all__", ()):
            path, thing = f"{room.path}.{name}", getattr(module, name)
            paths.setdefault(id(thing) if hasattr(thing, "__qualname__") else path, set()).add(path)
    yield from paths.values()


def _hook(name: str) -> ModuleType:
    """A module of docs/_hooks, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", HOOKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    sys.path.insert(0, str(HOOKS))  # as MkDocs does
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(HOOKS))
    return module
