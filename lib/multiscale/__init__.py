"""Multiscale music audio feature learning, after Dieleman & Schrauwen (ISMIR 2013).

Open the modules in the order in which data flows: ``audio``, ``spectrogram`` (§4.1),
``encoding`` (§2.1, §2.3), ``representations`` (§3), ``kmeans`` (§2.2), ``features`` (Fig. 1), then
``descent``, ``training``, ``tagging`` (§4.2) and ``similarity`` (§4.3). ``datasets`` gives them
clips, and ``study`` runs the paper's experiments with them.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["datasets", "study"],
    submod_attrs={
        "features": ["MultiscaleFeatures"],
        "kmeans": ["SphericalKMeans"],
        "similarity": ["NCA"],
        "spectrogram": ["log_mel"],
        "tagging": ["TagClassifier"],
    },
)
