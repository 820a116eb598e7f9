//! The alerts that the demo and drills play: events of our own invention, over true places of the
//! city, as an agency would write them. Each is a CAP 1.2 document in Vietnamese and English with
//! places for identifier, sent and expires.

use crate::domain::alert::CapTime;

/// A CAP document to be filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its name, as of its file.
    pub name: &'static str,
    /// The document, with `{{identifier}}`, `{{sent}}` and `{{expires}}`.
    pub xml: &'static str,
}

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        &[$(Template { name: $name, xml: include_str!(concat!("alerts/", $name, ".xml")) }),*]
    };
}

/// Every template, in the order the demo plays them: hot and wide first, then small, large and
/// routine ones.
pub const ALERTS: &[Template] = templates![
    "river-flood",
    "storm-surge",
    "metro-station-smoke",
    "gas-depot-explosion",
    "heat-wave",
    "riverbank-collapse",
    "rough-seas-con-dao",
    "whirlwind",
    "tap-water",
    "measles-catch-up",
];

impl Template {
    /// The document of one occasion. The identifier must be one that CAP allows: no spaces, commas,
    /// `<` or `&`.
    pub fn render(&self, identifier: &str, sent: CapTime, expires: CapTime) -> String {
        self.xml
            .replace("{{identifier}}", identifier)
            .replace("{{sent}}", &sent.to_string())
            .replace("{{expires}}", &expires.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::domain::alert::rules::Mode;
    use crate::domain::alert::{Alert, profile};
    use crate::domain::lane::Lane;
    use crate::domain::lint::lint;
    use crate::event::cap::{Limits, read};
    use crate::geofence::{City, MatchSettings, Target};

    fn alert(template: &Template) -> Alert {
        let sent: CapTime = "2026-11-22T07:00:00+07:00".parse().expect("a CAP time");
        let expires: CapTime = "2026-11-22T13:00:00+07:00".parse().expect("a CAP time");
        let xml = template.render("demo-1", sent, expires);
        assert!(!xml.contains("{{"), "{}: a place left open", template.name);
        let read = read(xml.as_bytes(), Mode::Strict, &Limits::default());
        read.unwrap_or_else(|broken| panic!("{}: {broken:?}", template.name)).alert
    }

    #[test]
    fn every_template_is_strict_cap_and_the_linter_has_no_remark() {
        for template in ALERTS {
            let alert = alert(template);
            assert_eq!(alert.identifier, "demo-1");
            assert_eq!(profile::profile(&alert), [], "{}", template.name);
            assert_eq!(lint(&alert, alert.sent.instant()), [], "{}", template.name);
            let languages: Vec<_> = alert.infos.iter().map(|info| info.language.as_str()).collect();
            assert_eq!(languages, ["vi-VN", "en-US"], "{}", template.name);
            for info in &alert.infos {
                assert!(info.description.is_some() && !info.response_types.is_empty());
            }
        }
    }

    #[test]
    fn every_template_concerns_somebody_and_not_everybody() {
        let folder = tempfile::tempdir().expect("a folder without imported boundaries");
        let city = City::load(folder.path()).expect("the built-in boundaries");
        for template in ALERTS {
            let target = Target::of_alert(&alert(template)).expect("a target");
            let matched = city.match_target(&target, &MatchSettings::default()).expect("a match");
            let units = matched.audience.units.len();
            assert!((1..city.units().len() / 2).contains(&units), "{}: {units}", template.name);
        }
    }

    #[test]
    fn templates_differ_in_lane_and_form_and_every_file_is_played() {
        let lanes: BTreeSet<_> =
            ALERTS.iter().map(|template| Lane::of_message(&alert(template), [])).collect();
        assert_eq!(lanes, [Lane::Emergency, Lane::Routine].into());
        let count = |shape: &str| ALERTS.iter().filter(|one| one.xml.contains(shape)).count();
        for shape in ["<polygon>", "<circle>", "<geocode>"] {
            assert!(count(shape) >= 3, "{shape}");
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/simulator/alerts");
        let files = std::fs::read_dir(folder).expect("the templates").count();
        assert_eq!(files, ALERTS.len(), "a file that no template names");
    }
}
