"""The verdict: what numbers allow to say, commands that can be run, and nothing beyond the evidence."""

from __future__ import annotations

import re
import shlex
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnlab.analysis.auditing import Finding, Section
from gnnlab.analysis.auditing._remedies import Remedies
from gnnlab.analysis.auditing.verdict import ORDER, findings
from gnnlab.cli._experiments_of import experiments_of
from gnnlab.data.card import card

CLEAN = {
    "level": "graph", "graphs": 188, "nodes_max": 28, "directed": False, "self_loops": 0, "duplicate_edges": 0,
    "isolated_share": 0.0, "node_features": 7,
}  # fmt: skip
CEILING = {"method": "wl", "features": True, "rounds": 2, "identifiability": 0.8, "accuracy": 1.0, "constant": 0.6}


def verdict(task=None, name="", experiments=(), **values) -> tuple[Finding, ...]:
    sections = {key: Section(key, key, "?", values=content) for key, content in values.items()}
    return findings(sections, task, name=name, experiments=experiments)


def said(found: tuple[Finding, ...], text: str) -> Finding | None:
    return next((finding for finding in found if text in finding.text), None)


def test_limits_come_first_and_what_is_open_last() -> None:
    noise = {"duplicates": 10, "conflicting": 6, "noise_floor": 0.9}
    found = verdict(size=CLEAN, labels=noise, topology={"diameter_mean": 50.0, "far_pairs": 0.9})
    standings = [finding.standing for finding in found]
    assert standings == sorted(standings, key=ORDER.index)
    assert standings[0] == "limit"
    assert standings[-1] == "unknown"
    assert "No model was trained" in found[-1].text


def test_sections_that_were_not_asked_for_are_named() -> None:
    finding = said(verdict(name="mutag", size=CLEAN, cost={}), "Not looked at")
    assert finding.text == "Not looked at: topology, labels, expressiveness, rewiring."
    assert "gnnlab audit mutag --section topology --section labels" in finding.advice


@pytest.mark.parametrize(
    ("labels", "standing", "text"),
    [
        ({"duplicates": 9, "conflicting": 0, "noise_floor": 1.0}, "fine", "No two identical graphs"),
        ({"duplicates": 9, "conflicting": 2, "noise_floor": 0.999}, "fine", "too few to set"),
        ({"duplicates": 9, "conflicting": 4, "noise_floor": 0.9}, "limit", "No model that looks at the graph alone"),
        ({"duplicates": 9, "conflicting": 4, "noise_floor": 0.5, "target_std": 1.0}, "limit", "No model"),
        ({"duplicates": 9, "conflicting": 4, "noise_floor": 1e-4, "target_std": 1.0}, "fine", "too few"),
        ({"majority": 0.9}, "fine", "right in 90 % of cases"),
    ],
)
def test_labels(labels: dict, standing: str, text: str) -> None:
    assert said(verdict(labels=labels), text).standing == standing


def test_an_accuracy_that_one_label_explains() -> None:
    task = card("mutag").task
    assert said(verdict(task, labels={"majority": 0.9}), "One label is 90 % of all").standing == "look"
    assert said(verdict(card("minesweeper").task, labels={"majority": 0.8}), "One label is") is None


def test_leaks_count_from_one_in_a_hundred() -> None:
    assert said(verdict(labels={"leaked": 2, "tested": 19}), "2 test graphs (10.5 %)").standing == "look"
    assert said(verdict(labels={"leaked": 2, "tested": 1900}), "exact copies") is None
    assert said(verdict(labels={"leaked": 0, "tested": 19}), "exact copies") is None


@pytest.mark.parametrize(
    ("adjusted", "informed", "standing", "text"),
    [
        (0.77, 0.6, "fine", "Neighbours mostly share their label"),
        (0.01, 0.0, "look", "says next to nothing"),
        (-0.05, 0.02, "look", "says next to nothing"),
        (-0.2, 0.4, "look", "tend to have other labels"),
        (0.3, 0.2, "look", "somewhat more often than by chance"),
    ],
)
def test_homophily(adjusted: float, informed: float, standing: str, text: str) -> None:
    values = {"homophily": {"edge": 0.5, "adjusted": adjusted, "label_informativeness": informed}}
    finding = said(verdict(labels=values), text)
    assert finding.standing == standing
    assert "relations=[[1]]" in finding.advice


def ceilings(*rows: dict, **more) -> dict:
    return {"ceilings": [{**CEILING, **row} for row in rows], "sampled": 188, **more}


def test_message_passing_that_can_fit_is_no_promise() -> None:
    found = verdict(size=CLEAN, expressiveness=ceilings({"rounds": 0, "accuracy": 0.9}, {}, {"rounds": None}))
    finding = said(found, "Plain message passing can fit these graphs")
    assert finding.standing == "fine"
    assert "2 layers of a wide enough network" in finding.text
    assert "after 2 rounds: an accuracy of 100 % (one answer for all: 60 %)" in finding.evidence
    assert not any(finding.standing == "limit" for finding in found)


def test_features_that_tell_all_apart_make_the_ceiling_empty() -> None:
    finding = said(verdict(size=CLEAN, expressiveness=ceilings({"rounds": 0}, {"rounds": None})), "The features alone")
    assert finding.standing == "fine"


def test_a_ceiling_below_one_is_a_limit_of_message_passing() -> None:
    beyond = [{"method": "random walks", "identifiability": 0.0, "accuracy": 1.0}]
    values = ceilings({"rounds": None, "accuracy": 0.1, "constant": 0.1, "identifiability": 0.0}, beyond=beyond)
    finding = said(verdict(expressiveness=values), "Message passing alone cannot fit")
    assert finding.standing == "limit"
    assert "an accuracy of 10 %" in finding.text
    assert "after any number of rounds" in finding.evidence
    assert "random walks: an accuracy of 100 %" in finding.evidence


def test_a_ceiling_that_noise_explains_is_no_limit_of_message_passing() -> None:
    noise = {"duplicates": 9, "conflicting": 4, "noise_floor": 0.951}
    found = verdict(labels=noise, expressiveness=ceilings({"rounds": None, "accuracy": 0.95}))
    assert said(found, "as far as anything can").standing == "fine"
    assert said(found, "Message passing alone cannot") is None
    assert [finding.standing for finding in found].count("limit") == 1


def test_without_labels_only_what_is_told_apart_is_known() -> None:
    rows = ceilings({"accuracy": None, "constant": None})
    found = verdict(expressiveness={**rows, "not_measured": "there are no labels"})
    assert said(found, "for want of labels").evidence == "told apart from all others by 1-WL: 80 %"
    assert said(found, "Not measured") is None


def test_errors_are_compared_with_the_constant() -> None:
    row = {"rounds": None, "accuracy": None, "mae": 0.5, "constant": 1.0}
    assert said(verdict(expressiveness=ceilings(row)), "a mean absolute error of 0.5").standing == "limit"
    assert said(verdict(expressiveness=ceilings({**row, "mae": 0.001})), "can fit").standing == "fine"


def test_a_sample_says_so() -> None:
    found = verdict(size={**CLEAN, "graphs": 1000}, expressiveness=ceilings({}))
    assert "a sample of 188 graphs" in said(found, "can fit").evidence


def test_distance() -> None:
    near = verdict(topology={"diameter_mean": 3.0, "diameter_max": 4.0, "far_pairs": 0.0})
    assert said(near, "Nodes are near").standing == "fine"
    far = said(verdict(size=CLEAN, topology={"diameter_mean": 57.0, "far_pairs": 0.79}), "Most nodes are far apart")
    assert far.standing == "look"
    assert "sees 21 % of the pairs" in far.text
    assert "readout" in far.text
    node = said(verdict(size={**CLEAN, "level": "node"}, topology={"diameter_mean": 57.0}), "Most nodes are far apart")
    assert "readout" not in node.text


def test_bottlenecks_are_shown_by_bounds_on_the_right_side() -> None:
    loose = {"cheeger_lower_mean": 0.02, "cheeger_upper_mean": 0.4, "bridge_share": 0.1, "resistance_by_degree": 2.0}
    found = verdict(topology=loose)
    assert said(found, "bottleneck") is None  # the bounds leave it open
    assert said(verdict(topology={**loose, "cheeger_upper_mean": 0.05}), "There are bottlenecks").standing == "look"
    assert said(verdict(topology={**loose, "cheeger_lower_mean": 0.3}), "There is no bottleneck").standing == "fine"
    trees = said(verdict(topology={**loose, "bridge_share": 1.0}), "There are bottlenecks")
    assert "100 % of the edges are the only way" in trees.text


def test_resistance_of_dense_graphs_is_not_read() -> None:
    found = verdict(topology={"resistance_by_degree": 1.01, "cheeger_upper_mean": 0.05, "bridge_share": 0.0})
    assert "do not read them" in said(found, "Resistances say nothing but degrees").text
    assert said(found, "There are bottlenecks") is None


def test_random_edges_are_the_measure_of_a_rewiring() -> None:
    def rows(chosen: float, random: float) -> dict:
        ratios = {"GTR": chosen, "RandomEdges": random}
        made = [{"name": name, "added": 10, "removed": 0, "resistance_ratio": ratio} for name, ratio in ratios.items()]
        return {"budget": 10, "rows": made}

    assert (
        said(verdict(rewiring=rows(0.3, 0.32)), "Random edges shorten these graphs nearly as much").standing == "look"
    )
    better = said(verdict(rewiring=rows(0.3, 0.6)), "Chosen edges shorten these graphs more")
    assert "not of the score" in better.text
    cut = verdict(rewiring={**rows(0.3, 0.6), "excerpt": "the 1,000 nodes nearest to a random node"})
    assert "measured on the 1,000 nodes nearest" in said(cut, "Chosen edges shorten").evidence
    assert said(verdict(rewiring=rows(0.99, 1.0)), "hardly changes these graphs").standing == "fine"


def test_storage() -> None:
    odd = {**CLEAN, "directed": True, "self_loops": 3, "duplicate_edges": 2, "isolated_share": 0.2, "node_features": 0}
    found = verdict(size=odd)
    for text in ("one way", "3 self-loops and 2 repeated edges", "20 % of the nodes", "Nodes have no features"):
        assert said(found, text).standing == "look"
    assert said(verdict(size=CLEAN), "The graphs are clean").standing == "fine"


def test_what_does_not_fit_is_named() -> None:
    rows = [
        {"what": "all pairs", "rows": 1e9, "bytes": 8e10, "fits": False},
        {"what": "paths", "bytes": 1.0, "fits": True},
    ]
    finding = said(verdict(cost={"rows": rows}), "as it stands")
    assert "all pairs: 1,000,000,000 rows, 80 GB" in finding.evidence
    assert "paths" not in finding.evidence


NUMBERS = st.none() | st.floats(0, 1) | st.integers(0, 50)
NAMES = [
    "graphs",
    "nodes_max",
    "isolated_share",
    "self_loops",
    "duplicate_edges",
    "directed",
    "node_features",
    "disconnected_share",
    "components_mean",
    "diameter_mean",
    "diameter_max",
    "resistance_mean",
    "spectral_gap_mean",
    "cheeger_lower_mean",
    "cheeger_upper_mean",
    "bridge_share",
    "resistance_by_degree",
    "far_pairs",
    "labelled",
    "target_std",
    "majority",
    "baseline",
    "duplicates",
    "conflicting",
    "noise_floor",
    "leaked",
    "tested",
    "sampled",
    "budget",
]


@given(st.dictionaries(st.sampled_from(NAMES), NUMBERS), st.sampled_from(["graph", "node", "link", None]))
def test_whatever_is_missing_something_is_said(values: dict, level: str | None) -> None:
    values = {**values, "level": level}
    keys = ("size", "topology", "labels", "expressiveness", "rewiring", "cost")
    found = verdict(**dict.fromkeys(keys, values))
    assert all(finding.text.endswith((".", ")")) and finding.evidence for finding in found)
    assert all("nan" not in finding.evidence for finding in found)


REMEDIES = ("baseline", "blind", "short_cut", "rewired", "encoded", "subgraphs")


def advised(remedies: Remedies) -> list[str]:
    texts = [getattr(remedies, name)() for name in REMEDIES] + [remedies.deeper(16)]
    return [piece for text in texts for piece in re.findall(r"`([^`]+)`", text)]


@pytest.mark.parametrize("dataset", ["peptides-func", "zinc-12k", "mutag", "cora", "minesweeper", "ogbg-molhiv"])
def test_every_command_can_be_run(dataset: str) -> None:
    from gnnlab.benchmark.experiment import find_experiments
    from gnnlab.cli.lightning import GnnlabCLI

    experiments = experiments_of(dataset)
    assert Remedies(experiments).base is not None
    large = dataset == "minesweeper"
    for piece in advised(Remedies(experiments, largest=10_000 if large else 400, graphs=1 if large else 500)):
        if not piece.startswith("gnnlab "):
            continue
        program, command, *arguments = shlex.split(piece)
        assert (program, command) in {("gnnlab", "fit"), ("gnnlab", "reproduce")}
        if command == "reproduce":
            assert find_experiments(arguments[0])
        else:
            assert GnnlabCLI(arguments, build=False).card.name == dataset


def test_every_name_exists() -> None:
    texts = [piece for directed in (False, True) for piece in advised(Remedies(directed=directed))]
    everything = {"edge": 0.5, "adjusted": 0.3, "label_informativeness": 0.2}
    odd = {**CLEAN, "directed": True, "self_loops": 3, "isolated_share": 0.2, "node_features": 0}
    found = verdict(
        size=odd,
        labels={"homophily": everything, "duplicates": 4, "conflicting": 4, "noise_floor": 0.5},
        cost={"rows": [{"what": "pairs", "fits": False}]},
        rewiring={"rows": [{"name": "R", "resistance_ratio": 1.0, "homophily_before": 0.9, "homophily_after": 0.1}]},
    )
    texts += [piece for finding in found for piece in re.findall(r"`([^`]+)`", finding.advice)]
    names = [piece.partition("(")[0] for piece in texts if re.match(r"(gnnlab|torch_geometric)\.", piece)]
    assert len(set(names)) > 10
    for name in names:
        assert exists(name), name


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    try:
        import_module(name)
    except ImportError:
        module, _, attribute = name.rpartition(".")
        return hasattr(import_module(module), attribute)
    return True


def test_what_was_refused_is_said() -> None:
    finding = said(
        verdict(labels={"not_measured": "there are no labels"}, expressiveness={"ceilings": []}), "Not measured"
    )
    assert (finding.standing, finding.evidence) == ("unknown", "labels: there are no labels")
