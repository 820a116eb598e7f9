//! Where a command finds the stores: a data directory, or the Redis that a node's settings name.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::cli::BadInput;
use crate::config::{self, Config};
use crate::store;

/// Where.
#[derive(Debug, Args)]
pub struct Place {
    /// The node's settings, which say where the stores are; a cluster's are on Redis
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The node's data directory; `data` when nothing says otherwise
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Place {
    /// The settings that say so.
    pub fn settings(&self) -> Result<Config> {
        let dir = self.data_dir.as_ref().map(|dir| ("node.data_dir", dir.display().to_string()));
        let flags: Vec<_> = dir.into_iter().collect();
        let config = config::load(self.config.as_deref(), &flags);
        Ok(config.map_err(|error| BadInput(error.to_string()))?)
    }

    /// The settings; refused if a store that must be there is in no file.
    pub fn with_file(&self, name: &str) -> Result<Config> {
        let config = self.settings()?;
        let dir = &config.node.data_dir;
        if config.store == store::Settings::Embedded && !dir.join(name).is_file() {
            let problem = format!("--data-dir {}: no {name} there", dir.display());
            return Err(BadInput(problem).into());
        }
        Ok(config)
    }
}
