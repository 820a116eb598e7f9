//! The demo's alerts.

use crate::domain::alert::CapTime;

/// One alert.
#[derive(Debug)]
pub struct Template {
    /// Its name.
    pub name: &'static str,
    /// CAP XML.
    pub xml: &'static str,
}

/// All.
pub const ALERTS: &[Template] = &[Template { name: "tmp", xml: include_str!("alerts/tmp.xml") }];

impl Template {
    /// Filled in.
    pub fn render(&self, identifier: &str, sent: CapTime, expires: CapTime) -> String {
        self.xml
            .replace("{{identifier}}", identifier)
            .replace("{{sent}}", &sent.to_string())
            .replace("{{expires}}", &expires.to_string())
    }
}
