//! Logs: to standard error, for the person on call. Messages with dotted fields; never a push
//! address, a secret, an address of a person or a body.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{Log, LogFormat};

/// The filter is not one.
#[derive(Debug, thiserror::Error)]
#[error("log.filter: {0}")]
pub struct FilterError(#[from] tracing_subscriber::filter::ParseError);

/// Installs the log for this process. A second call changes nothing.
pub fn install(settings: &Log) -> Result<(), FilterError> {
    let filter = EnvFilter::builder().parse(&settings.filter)?;
    let is_terminal = std::io::stderr().is_terminal();
    let builder = fmt().with_env_filter(filter).with_ansi(is_terminal).with_writer(std::io::stderr);
    // A line that cannot be written, as where the disk behind standard error is full, is lost. Told
    // of on standard error too, it would end the task that wrote it.
    let builder = builder.log_internal_errors(false);
    // Fails only when a log is installed already, as in tests that run several nodes.
    let _ = match settings.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}
