"""Not yet."""
from multiscale.datasets.folder import prepare, prepare_part, identity
