//! What every replies store promises.
