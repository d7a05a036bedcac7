"""An entrypoint whose module imports numpy, as a template is for."""

import numpy.random  # noqa: F401

from tests.children import call

__all__ = ["call"]
