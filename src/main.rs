//! `loa`: parses the command line, calls the library, maps errors to exit codes.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

use loa::cli::Cli;

/// glibc's allocator costs up to twice as much with a thousand pushes in flight.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            if !loa::cli::is_unread(&error) {
                eprintln!("loa: {error:#}");
            }
            loa::cli::exit_code(&error)
        }
    }
}
