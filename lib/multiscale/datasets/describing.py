"""What a data set is like, in tables: clips, hours, artists, tags, levels (§4.1)."""

from __future__ import annotations

import pandas as pd
import soundfile

from multiscale.config import SPLITS
from multiscale.datasets.base import ClipDataset

QUANTILES = {"lowest": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "highest": 1.0}
"""Of the levels."""

N_TAGS, N_SKIPPED = 10, 20
"""Tags and skipped files that a summary names."""


def overview(dataset: ClipDataset) -> pd.DataFrame:
    """Sizes of the splits train, valid, test and all, one in each row.

    Columns clips; hours; artists; artists_also_in_train (0 for train; for all, those of valid or
    test); artists_of_one_clip, which similarity cannot score within the split; and
    clips_without_tags, NA for a data set without tags.
    """
    artists, splits = dataset.clips["artist"], dataset.clips["split"].to_numpy()
    trained = set(artists[splits == "train"].dropna())
    rows = {}
    for name in (*SPLITS, "all"):
        within = (splits == name) | (name == "all")
        sizes = artists[within].value_counts()
        apart = set(artists[within & (splits != "train")].dropna())
        bare = int((~dataset.tags[within].any(axis=1)).sum()) if dataset.tag_names else pd.NA
        rows[name] = {
            "clips": int(within.sum()),
            "hours": float(dataset.clips.loc[within, "seconds"].sum() / 3600),
            "artists": len(sizes),
            "artists_also_in_train": len(trained & apart),
            "artists_of_one_clip": int((sizes == 1).sum()),
            "clips_without_tags": bare,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def crossing_artists(dataset: ClipDataset) -> pd.DataFrame:
    """Clips in train, valid and test, by artist, of those that are in more than one of them."""
    known = dataset.clips[dataset.clips["artist"].notna()]
    counts = pd.crosstab(known["artist"], known["split"])
    counts = counts.reindex(columns=list(SPLITS), fill_value=0)
    return counts[(counts > 0).sum(axis=1) > 1]


def tag_frequencies(dataset: ClipDataset) -> pd.DataFrame:
    """Clips with each tag, most frequent first: in train, valid, test and all; their share."""
    splits = dataset.clips["split"].to_numpy()
    counts = {name: dataset.tags[splits == name].sum(axis=0) for name in SPLITS}
    table = pd.DataFrame(counts, index=pd.Index(dataset.tag_names, name="tag", dtype=str))
    table["all"] = table.sum(axis=1)
    table["share"] = table["all"] / max(len(dataset), 1)
    return table.sort_values("all", ascending=False, kind="stable")


def levels(dataset: ClipDataset) -> pd.Series:
    """Quantiles of the clips' levels, in dB of full scale, by name."""
    return pd.Series({name: dataset.clips["level_db"].quantile(q) for name, q in QUANTILES.items()})


def against_paper(dataset: ClipDataset) -> pd.DataFrame:
    """Counts of the paper's data and split, as published, beside those of a data set."""
    from multiscale.datasets.magnatagatune import COUNTED, N_ARTISTS, PUBLISHED

    parts = {f"in {name}": count for name, count in PUBLISHED.items()}
    paper = {"clips": sum(PUBLISHED.values()), **parts, "artists": N_ARTISTS, **COUNTED}
    sizes = overview(dataset)
    test = sizes.loc["test"]
    here = {
        "clips": len(dataset),
        **{f"in {name}": sizes.loc[name, "clips"] for name in SPLITS},
        "artists": sizes.loc["all", "artists"],
        "artists in several parts": len(crossing_artists(dataset)),
        "artists in test": test["artists"],
        "of these, in train too": test["artists_also_in_train"],
        "tags to predict": len(dataset.tag_names),
        "test clips without any tag": test["clips_without_tags"],
    }
    return pd.DataFrame({"the paper's": paper, "this copy's": here}, dtype=object)


def summary(dataset: ClipDataset) -> str:
    """All of this in some lines."""
    tags = tag_frequencies(dataset)
    lengths = sorted(dataset.clips["seconds"].unique())
    volumes = ", ".join(f"{name} {value:.1f}" for name, value in levels(dataset).items())
    lines = [
        f"{dataset.name}: {dataset.notice}",
        overview(dataset).to_string(float_format="{:.2f}".format),
        f"artists in more than one split: {len(crossing_artists(dataset))}",
        f"seconds a clip: {', '.join(f'{length:g}' for length in lengths)}",
        f"levels, dB of full scale: {volumes}",
        f"tags: {len(tags) or 'none'}",
        *(f"  {row.Index}: {row.all} clips, {row.share:.1%}" for row in tags[:N_TAGS].itertuples()),
        f"skipped files: {len(dataset.skipped) or 'none'}",
        *(f"  {row.path}: {row.reason}" for row in dataset.skipped[:N_SKIPPED].itertuples()),
    ]
    if len(dataset.skipped) > N_SKIPPED:
        lines.append(f"  and {len(dataset.skipped) - N_SKIPPED} more")
    return "\n".join(lines)


def faults(dataset: ClipDataset) -> list[str]:
    """A sentence for each split that is empty, and each clip that is not what the table says."""
    empty = set(SPLITS) - set(dataset.clips["split"])
    found = [f"{split}: expected clips, got none" for split in SPLITS if split in empty]
    for path, seconds in zip(dataset.clips["path"], dataset.clips["seconds"], strict=True):
        try:
            with open(dataset.folder / path, "rb"):  # libsndfile would not say that it is denied
                info = soundfile.info(dataset.folder / path)
        except (soundfile.SoundFileError, RuntimeError, OSError) as error:
            found.append(f"{path}: expected a clip, got {' '.join(str(error).split())}")
            continue
        n_samples = round(seconds * dataset.sample_rate)
        if (info.frames, info.samplerate) != (n_samples, dataset.sample_rate):
            found.append(
                f"{path}: expected {seconds:g} s at {dataset.sample_rate} Hz, "
                f"got {info.frames / info.samplerate:g} s at {info.samplerate} Hz"
            )
    return found
