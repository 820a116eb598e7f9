//! The command line: one file per subcommand.

pub mod cap;
pub mod geofences;
