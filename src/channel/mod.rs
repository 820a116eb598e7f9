//! The push channels: the same files in each.
