//! Stage 1: agencies' submissions become publications.
