//! The model as a CAP 1.2 document: the schema's order, UTC as `-00:00`, signatures as they came.

use std::fmt::{Display, Write};

use super::{Version, lists, signature};
use crate::domain::alert::rules::is_xml_char;
use crate::domain::alert::{Alert, Area, Info, NamedValue, Reference, Resource};
use crate::domain::geo::{Circle, Ring};

/// The alert as CAP 1.2. Reading it back gives the same alert, if the alert keeps the rules.
///
/// What XML cannot carry at all (control characters, a text in place of a signature) breaks a rule
/// of the model and is not in what `read` or `read_json` give; it is replaced or left out here
/// rather than written as something that is no XML.
pub fn write(alert: &Alert) -> String {
    let mut xml = Xml { out: String::with_capacity(4096), depth: 0 };
    xml.out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let open = format!("alert xmlns=\"{}\"", Version::V1_2.namespace());
    xml.inside(&open, "alert", |xml| head(alert, xml));
    xml.out
}

struct Xml {
    out: String,
    depth: usize,
}

impl Xml {
    fn inside(&mut self, open: &str, name: &str, content: impl FnOnce(&mut Self)) {
        self.line(format_args!("<{open}>"));
        self.depth += 1;
        content(self);
        self.depth -= 1;
        self.line(format_args!("</{name}>"));
    }

    fn leaf(&mut self, name: &str, value: impl Display) {
        let value = value.to_string();
        self.line(format_args!("<{name}>{}</{name}>", Escaped(&value)));
    }

    fn optional(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.leaf(name, value);
        }
    }

    fn every(&mut self, name: &str, values: &[impl Display]) {
        for value in values {
            self.leaf(name, value);
        }
    }

    fn pairs(&mut self, name: &str, values: &[NamedValue]) {
        for pair in values {
            self.inside(name, name, |xml| {
                xml.leaf("valueName", &pair.name);
                xml.leaf("value", &pair.value);
            });
        }
    }

    fn line(&mut self, content: impl Display) {
        let indent = self.depth * 2;
        writeln!(self.out, "{:indent$}{content}", "").expect("a string takes all");
    }
}

fn head(alert: &Alert, xml: &mut Xml) {
    xml.leaf("identifier", &alert.identifier);
    xml.leaf("sender", &alert.sender);
    xml.leaf("sent", alert.sent);
    xml.leaf("status", alert.status);
    xml.leaf("msgType", alert.msg_type);
    xml.optional("source", alert.source.as_ref());
    xml.leaf("scope", alert.scope);
    xml.optional("restriction", alert.restriction.as_ref());
    if !alert.addresses.is_empty() {
        xml.leaf("addresses", lists::join(&alert.addresses));
    }
    xml.every("code", &alert.codes);
    xml.optional("note", alert.note.as_ref());
    if !alert.references.is_empty() {
        let triples: Vec<_> = alert.references.iter().map(triple).collect();
        xml.leaf("references", triples.join(" "));
    }
    if !alert.incidents.is_empty() {
        xml.leaf("incidents", lists::join(&alert.incidents));
    }
    for info in &alert.infos {
        xml.inside("info", "info", |xml| self::info(info, xml));
    }
    for text in alert.signatures.iter().filter(|text| signature::check(text).is_ok()) {
        xml.line(text);
    }
}

fn triple(reference: &Reference) -> String {
    format!("{},{},{}", reference.sender, reference.identifier, reference.sent)
}

fn info(info: &Info, xml: &mut Xml) {
    xml.leaf("language", &info.language);
    xml.every("category", &info.categories);
    xml.leaf("event", &info.event);
    xml.every("responseType", &info.response_types);
    xml.leaf("urgency", info.urgency);
    xml.leaf("severity", info.severity);
    xml.leaf("certainty", info.certainty);
    xml.optional("audience", info.audience.as_ref());
    xml.pairs("eventCode", &info.event_codes);
    xml.optional("effective", info.effective);
    xml.optional("onset", info.onset);
    xml.optional("expires", info.expires);
    xml.optional("senderName", info.sender_name.as_ref());
    xml.optional("headline", info.headline.as_ref());
    xml.optional("description", info.description.as_ref());
    xml.optional("instruction", info.instruction.as_ref());
    xml.optional("web", info.web.as_ref());
    xml.optional("contact", info.contact.as_ref());
    xml.pairs("parameter", &info.parameters);
    for resource in &info.resources {
        xml.inside("resource", "resource", |xml| self::resource(resource, xml));
    }
    for area in &info.areas {
        xml.inside("area", "area", |xml| self::area(area, xml));
    }
}

fn resource(resource: &Resource, xml: &mut Xml) {
    xml.leaf("resourceDesc", &resource.description);
    xml.optional("mimeType", resource.mime_type.as_ref());
    xml.optional("size", resource.size_bytes);
    xml.optional("uri", resource.uri.as_ref());
    xml.optional("derefUri", resource.deref_uri.as_ref());
    xml.optional("digest", resource.digest.as_ref());
}

fn area(area: &Area, xml: &mut Xml) {
    xml.leaf("areaDesc", &area.description);
    for ring in &area.polygons {
        xml.leaf("polygon", polygon(ring));
    }
    for circle in &area.circles {
        let Circle { centre, radius_km } = circle;
        xml.leaf("circle", format_args!("{},{} {radius_km}", centre.lat(), centre.lon()));
    }
    xml.pairs("geocode", &area.geocodes);
    xml.optional("altitude", area.altitude_ft);
    xml.optional("ceiling", area.ceiling_ft);
}

fn polygon(ring: &Ring) -> String {
    let mut text = String::with_capacity(ring.points().len() * 16);
    for (at, point) in ring.points().iter().enumerate() {
        let space = if at == 0 { "" } else { " " };
        write!(text, "{space}{},{}", point.lat(), point.lon()).expect("a string takes all");
    }
    text
}

/// Text as XML content: markup escaped, carriage returns and other control characters as
/// references so that readers do not change them, U+FFFD for what XML has no way to carry.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut plain = 0;
        for (at, character) in self.0.char_indices() {
            let special = match character {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '\r' | '\u{7f}'..='\u{9f}' => "",
                other if is_xml_char(other) => continue,
                _ => "\u{fffd}",
            };
            f.write_str(&self.0[plain..at])?;
            plain = at + character.len_utf8();
            if special.is_empty() {
                write!(f, "&#{};", u32::from(character))?;
            } else {
                f.write_str(special)?;
            }
        }
        f.write_str(&self.0[plain..])
    }
}
