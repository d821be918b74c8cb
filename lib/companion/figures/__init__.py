"""What a chapter shows: every figure of the book, from arrays that the other modules made.

Each function draws on a new figure and returns it; a chapter shows it by ending a cell with it.
Frequency is in Hz on a mel axis, time in seconds. Quantities that start at zero have a sequential
colour scale, differences a diverging one that is centred on zero.
"""

from companion.figures.charts import bars, curves, heatmap, histogram, table, text_table
from companion.figures.learning import (
    correlations,
    dictionary,
    learned_features,
    patches,
    pooling,
    unit_circle,
    whitening,
)
from companion.figures.outcomes import architectures, effects, leanings, ledger, timescales_of_tags
from companion.figures.spectrograms import (
    pipeline,
    representations,
    spectra,
    spectrogram,
    timescales,
    zooms,
)
from companion.figures.tasks import clip_map, neighbours, ranking, search

__all__ = [
    "architectures",
    "bars",
    "clip_map",
    "correlations",
    "curves",
    "dictionary",
    "effects",
    "heatmap",
    "histogram",
    "leanings",
    "learned_features",
    "ledger",
    "neighbours",
    "patches",
    "pipeline",
    "pooling",
    "ranking",
    "representations",
    "search",
    "spectra",
    "spectrogram",
    "table",
    "text_table",
    "timescales",
    "timescales_of_tags",
    "unit_circle",
    "whitening",
    "zooms",
]
