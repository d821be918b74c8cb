"""Cover bands: music to learn from that needs no download, real scores played by invented bands.

A band is a repertoire, an arrangement and a production (one row of ``bands.csv``), and stands for
the artist. Clips of one piece never cross splits; bands do. Scores come from music21's corpus.

    python -c "import coverbands; coverbands.render(210, seed=0, folder='clips')"
"""

from coverbands.planning import N_CLIPS, plan
from coverbands.playing import SAMPLE_RATE
from coverbands.rendering import render, stems

PACKAGES = ("music21", "pretty_midi", "tinysoundfont", "numpy", "scipy", "soxr")
"""What the sound of a clip depends on besides this package and its tables."""

__all__ = ["N_CLIPS", "PACKAGES", "SAMPLE_RATE", "plan", "render", "stems"]
