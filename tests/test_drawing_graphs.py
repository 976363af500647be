"""Pictures of graphs: nodes are where they belong and have the colours asked for."""

from __future__ import annotations

import pytest
import torch
from matplotlib.colors import to_hex
from torch import Tensor

from gnnlab.drawing import COLOURS, INK, new_figure
from gnnlab.drawing_graphs import class_colours, draw_graph, place_nodes


def _path(nodes: int) -> Tensor:
    one_way = torch.stack([torch.arange(nodes - 1), torch.arange(1, nodes)])
    return torch.cat([one_way, one_way.flip(0)], 1)


def test_a_path_lies_and_its_hops_are_equally_long() -> None:
    place = place_nodes(_path(6), 6)
    steps = place.diff(dim=0).norm(dim=1)
    assert place[:, 1].abs().max() < 0.1 * (place[:, 0].max() - place[:, 0].min())
    assert steps.max() < 1.1 * steps.min()


def test_components_stand_side_by_side() -> None:
    edges = torch.cat([_path(3), 3 + _path(4)], 1)
    place = place_nodes(edges, 8)
    assert place[:3, 0].max() < place[3:7, 0].min() < place[3:7, 0].max() < place[7, 0]


def test_ring_places_are_a_circle_that_starts_above() -> None:
    place = place_nodes(_path(8), 8, ring=True)
    assert torch.allclose(place.norm(dim=1), torch.ones(8))
    assert torch.allclose(place[0], torch.tensor([0.0, 1.0]), atol=1e-6)
    assert place_nodes(torch.zeros(2, 0, dtype=torch.long), 0, ring=True).shape == (0, 2)


@pytest.mark.parametrize("nodes", [0, 1, 2])
def test_small_graphs_have_places_and_pictures(nodes: int) -> None:
    edges = torch.zeros(2, 0, dtype=torch.long)
    place = place_nodes(edges, nodes)
    assert place.shape == (nodes, 2)
    drawn = draw_graph(new_figure(2, 2).subplots(), edges, place, values=torch.zeros(nodes))
    assert len(drawn.get_offsets()) == nodes


def test_colours_are_values_classes_or_plain_and_marks_have_heavy_rims() -> None:
    edges, figure = _path(3), new_figure(6, 2)
    place = place_nodes(edges, 3)
    first, second, third = figure.subplots(1, 3)
    by_value = draw_graph(first, edges, place, values=torch.tensor([-1.0, 0.0, 2.0]))
    assert by_value.get_clim() == (-2.0, 2.0)  # zero is white
    by_class = draw_graph(second, edges, place, classes=torch.tensor([1, 0, 1]), marked=[1])
    assert [to_hex(colour).upper() for colour in by_class.get_facecolors()] == [COLOURS[1], COLOURS[0], COLOURS[1]]
    assert [to_hex(colour) == INK for colour in by_class.get_edgecolors()] == [False, True, False]
    draw_graph(third, edges, place, values=torch.ones(3), limits=(0, 4), labels=["a", "b", "c"], title="path")
    assert [text.get_text() for text in third.texts] == ["a", "b", "c"]
    assert third.get_title(loc="left") == "path"
    figure.draw_without_rendering()


def test_every_class_has_a_colour_of_its_own() -> None:
    assert len(set(class_colours(torch.arange(20)))) == 20
    assert class_colours(torch.arange(20)[:3]) == list(COLOURS[:3])
    assert class_colours(torch.tensor([], dtype=torch.long)) == []


def test_edges_of_other_classes_have_colours_and_lie_above() -> None:
    axes = new_figure(2, 2).subplots()
    edges = _path(3)
    draw_graph(axes, edges, place_nodes(edges, 3), edge_classes=torch.tensor([0, 1, 0, 1]))
    behind, above = axes.collections[:2]
    assert [len(lines.get_segments()) for lines in (behind, above)] == [1, 1]
    assert to_hex(above.get_color()[0]).upper() == COLOURS[1] != to_hex(behind.get_color()[0]).upper()
    assert above.get_zorder() > behind.get_zorder()
