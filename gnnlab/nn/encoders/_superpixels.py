"""Feature statistics of the LRGB superpixel datasets."""

from __future__ import annotations

__all__ = ["SUPERPIXEL_STATISTICS"]

# Boundary graph, compactness 30; published with the code of "Where did the gap go?"
# (Tönshoff et al., TMLR 2024). Nodes: per colour channel mean, standard deviation, maximum and minimum, then
# the two coordinates. Edges: mean intensity along the boundary, and its length.
_VOC_NODE = (
    (
        *(0.45824501, 0.43857411, 0.40561178, 0.067938097, 0.065604292, 0.065742709),
        *(0.65212941, 0.62894762, 0.60173863, 0.27769071, 0.26425251, 0.23729359),
        *(193.44997, 234.72206),
    ),
    (
        *(0.25952947, 0.25716761, 0.27130592, 0.054822665, 0.05442927, 0.054474957),
        *(0.26238337, 0.2660054, 0.2775068, 0.25197381, 0.24986187, 0.26069802),
        *(117.68297, 140.07195),
    ),
)
_COCO_NODE = (
    (
        *(0.46977347, 0.44679317, 0.40790915, 0.070808627, 0.068686441, 0.068498217),
        *(0.67777938, 0.65244222, 0.62096798, 0.27554795, 0.25910738, 0.22901227),
        *(242.61935, 289.85367),
    ),
    (
        *(0.26218116, 0.25831082, 0.27416739, 0.057440419, 0.056832556, 0.057100497),
        *(0.25929087, 0.26201612, 0.27675411, 0.25456995, 0.2514092, 0.2618233),
        *(151.52475, 176.30779),
    ),
)

SUPERPIXEL_STATISTICS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "pascalvoc-sp/node": _VOC_NODE,
    "pascalvoc-sp/edge": ((0.07640745, 33.73478), (0.0868775, 20.945076)),
    "coco-sp/node": _COCO_NODE,
    "coco-sp/edge": ((0.07848548, 43.68736), (0.08902349, 28.473562)),
}
"""(mean, std) per feature of PascalVOC-SP and COCO-SP."""
