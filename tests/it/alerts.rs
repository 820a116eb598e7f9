//! What every alerts store promises.
