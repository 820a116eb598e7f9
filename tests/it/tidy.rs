//! The house rules that a machine can hold: who may import whom, sizes, what a committed file may
//! say. Every broken rule is listed with its place, all at once.

mod imports;
mod repository;
mod security;
mod source;
mod style;

use std::fmt::Write;

/// Broken rules: place and what is wrong.
struct Found(Vec<(String, String)>);

impl Found {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn add(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.0.push((place.into(), what.into()));
    }

    /// Fails the test if anything was found.
    fn settle(self, rule: &str) {
        let mut text = String::new();
        for (place, what) in &self.0 {
            writeln!(text, "  {place}: {what}").expect("a string takes all");
        }
        assert!(self.0.is_empty(), "{rule}: {} places\n{text}", self.0.len());
    }
}
