"""The paper's experiments: a design, a study that runs and keeps them, and what they say."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "design": ["Architecture", "Experiment"],
        "profiles": ["Profile", "load_profile"],
        "study": ["Study"],
    },
)
