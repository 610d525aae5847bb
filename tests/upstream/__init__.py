"""A simulated provider: four dialects, each as strict as its vendor's documentation, and one small deterministic mind."""

from .server import Seen, Upstream

__all__ = ["Seen", "Upstream"]
