"""The search itself: the only folder that imports Ray."""
