//! SQLite below the embedded stores.
