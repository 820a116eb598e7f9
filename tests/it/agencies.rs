//! What every agencies store promises.
