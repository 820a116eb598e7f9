//! Where: units, boundaries, the spatial index and matching. Pure but for its loader.
