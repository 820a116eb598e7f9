//! The order and number of CAP's elements, as tables (the `xs:sequence`s of the schema).

use super::Version;
use super::version::Version::{V1_0, V1_2};

/// One element of a sequence.
#[derive(Debug)]
pub(super) struct Slot {
    pub name: &'static str,
    /// The version from which it must be there.
    pub required_from: Option<Version>,
    /// A lenient reader does without it, and says what it assumed.
    pub assumed: bool,
    /// A lenient reader takes several as the paragraphs of one.
    pub joined: bool,
    /// It may be there more than once.
    pub many: bool,
    /// The last version that has it.
    pub until: Version,
}

const fn one(name: &'static str) -> Slot {
    Slot {
        name,
        required_from: Some(V1_0),
        assumed: false,
        joined: false,
        many: false,
        until: V1_2,
    }
}

const fn some(name: &'static str) -> Slot {
    Slot { many: true, ..one(name) }
}

const fn maybe(name: &'static str) -> Slot {
    Slot { required_from: None, ..one(name) }
}

const fn any(name: &'static str) -> Slot {
    Slot { many: true, ..maybe(name) }
}

/// `alert`.
const ALERT: &[Slot] = &[
    one("identifier"),
    one("sender"),
    Slot { until: V1_0, ..maybe("password") },
    one("sent"),
    one("status"),
    one("msgType"),
    maybe("source"),
    one("scope"),
    maybe("restriction"),
    maybe("addresses"),
    any("code"),
    maybe("note"),
    maybe("references"),
    maybe("incidents"),
    any("info"),
];

/// `info`.
const INFO: &[Slot] = &[
    maybe("language"),
    Slot { assumed: true, ..some("category") },
    one("event"),
    any("responseType"),
    Slot { assumed: true, ..one("urgency") },
    Slot { assumed: true, ..one("severity") },
    Slot { assumed: true, ..one("certainty") },
    maybe("audience"),
    any("eventCode"),
    maybe("effective"),
    maybe("onset"),
    maybe("expires"),
    maybe("senderName"),
    maybe("headline"),
    Slot { joined: true, ..maybe("description") },
    Slot { joined: true, ..maybe("instruction") },
    maybe("web"),
    maybe("contact"),
    any("parameter"),
    any("resource"),
    any("area"),
];

/// `resource`.
const RESOURCE: &[Slot] = &[
    one("resourceDesc"),
    Slot { required_from: Some(V1_2), assumed: true, ..maybe("mimeType") },
    maybe("size"),
    maybe("uri"),
    maybe("derefUri"),
    maybe("digest"),
];

/// `area`.
const AREA: &[Slot] = &[
    one("areaDesc"),
    any("polygon"),
    any("circle"),
    any("geocode"),
    maybe("altitude"),
    maybe("ceiling"),
];

/// `eventCode`, `parameter` and `geocode`.
const NAMED_VALUE: &[Slot] = &[one("valueName"), one("value")];

/// The sequence inside an element of CAP; none for elements that hold text.
pub(super) fn sequence(name: &str, version: Version) -> Option<&'static [Slot]> {
    Some(match name {
        "alert" => ALERT,
        "info" => INFO,
        "resource" => RESOURCE,
        "area" => AREA,
        // CAP 1.0 wrote `name=value`.
        "eventCode" | "parameter" | "geocode" if version > V1_0 => NAMED_VALUE,
        _ => return None,
    })
}

/// Whether an element of this name may stand several times, so that paths number it.
pub(super) fn repeats(name: &str) -> bool {
    [ALERT, INFO, RESOURCE, AREA]
        .iter()
        .any(|slots| slots.iter().any(|slot| slot.many && slot.name == name))
}
