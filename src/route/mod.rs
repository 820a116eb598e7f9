//! Stage 2: a publication's audience becomes dispatches.
