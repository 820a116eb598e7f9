//! Settings: defaults, file, environment, flags; parsed into types and validated whole.

pub mod secret;
