//! Elements to the model. Nothing gives up early: where a value cannot be read, which has then been
//! reported, a stand-in takes its place so that the rules can look at the rest too.

use std::collections::BTreeMap;
use std::str::FromStr;

use jiff::Timestamp;

use super::tree::Element;
use super::version::Version;
use super::{coordinates, fields, values};
use crate::domain::alert::rules::{self, Report};
use crate::domain::alert::vocabulary::UnknownTerm;
use crate::domain::alert::{
    Alert, Area, CapTime, Category, Certainty, Info, MsgType, NamedValue, Reference, Resource,
    ResponseType, Scope, Severity, Status, Urgency,
};
use crate::domain::geo::Ring;

/// RFC 2046: what a resource of unknown type is.
const UNKNOWN_TYPE: &str = "application/octet-stream";
/// Stands in for a text; keeps every rule.
const STAND_IN: &str = "-";

/// What was built. The alert comes out only if no stand-in is in it.
pub(super) struct Built {
    alert: Alert,
    whole: bool,
}

impl Built {
    /// Checks the rules of the model.
    pub(super) fn check(&self, report: &mut Report) {
        rules::check_into(&self.alert, report);
    }

    /// The alert, if all of it was read.
    pub(super) fn into_alert(self) -> Option<Alert> {
        self.whole.then_some(self.alert)
    }
}

/// Builds the alert and reports everything that cannot be read.
pub(super) fn build(root: &Element, version: Version, report: &mut Report) -> Built {
    fields::check(root, version, report);
    let mut builder = Builder { version, report, whole: true, rings: BTreeMap::new() };
    let alert = builder.alert(root);
    Built { alert, whole: builder.whole }
}

struct Builder<'e, 'r> {
    version: Version,
    report: &'r mut Report,
    whole: bool,
    /// Polygons that were read without a remark, by their text: every language repeats them. In
    /// order: two of them differ early, where a hash would go through all of each.
    rings: BTreeMap<&'e str, Ring>,
}

impl<'e> Builder<'e, '_> {
    fn or<T>(&mut self, value: Option<T>, stand_in: T) -> T {
        self.whole &= value.is_some();
        value.unwrap_or(stand_in)
    }

    fn or_text(&mut self, value: Option<String>) -> String {
        self.or(value, STAND_IN.to_owned())
    }

    fn term<T>(&mut self, element: Option<&Element>, stand_in: T) -> T
    where
        T: FromStr<Err = UnknownTerm>,
    {
        let term = values::term(element, self.report);
        self.or(term, stand_in)
    }

    /// A term that a lenient reader assumes when it is absent, which has been reported.
    fn assumed<T>(&mut self, element: Option<&Element>, assumed: T) -> T
    where
        T: FromStr<Err = UnknownTerm> + Copy,
    {
        element.map_or(assumed, |element| self.term(Some(element), assumed))
    }

    fn terms<T>(&mut self, parent: &Element, name: &str, stand_in: T) -> Vec<T>
    where
        T: FromStr<Err = UnknownTerm> + Copy,
    {
        parent.all(name).map(|element| self.term(Some(element), stand_in)).collect()
    }

    /// A time that may be absent, but not unreadable.
    fn time(&mut self, element: Option<&Element>) -> Option<CapTime> {
        let time = values::time(element, self.version, self.report);
        self.whole &= time.is_some() || element.is_none();
        time
    }

    fn list(&mut self, element: Option<&Element>) -> Vec<String> {
        let list = values::list(element, self.report);
        self.or(list, vec![STAND_IN.to_owned()])
    }

    fn alert(&mut self, root: &'e Element) -> Alert {
        let identifier = values::name(root.one("identifier"), self.report);
        let sender = values::name(root.one("sender"), self.report);
        let sent = self.time(root.one("sent"));
        Alert {
            identifier: self.or_text(identifier),
            sender: self.or_text(sender),
            // Later than any reference, so that none is called later than this message.
            sent: self.or(sent, CapTime::new(Timestamp::MAX, 0)),
            status: self.term(root.one("status"), Status::Actual),
            msg_type: self.term(root.one("msgType"), MsgType::Alert),
            source: values::text(root.one("source")),
            scope: self.term(root.one("scope"), Scope::Public),
            restriction: values::text(root.one("restriction")),
            addresses: self.list(root.one("addresses")),
            codes: root.all("code").filter_map(|code| values::text(Some(code))).collect(),
            note: values::text(root.one("note")),
            references: self.references(root.one("references")),
            incidents: self.list(root.one("incidents")),
            infos: root.all("info").map(|info| self.info(info)).collect(),
            signatures: root.children.iter().filter_map(|child| child.signature.clone()).collect(),
        }
    }

    fn references(&mut self, element: Option<&Element>) -> Vec<Reference> {
        let triples = values::references(element, self.version, self.report);
        let stand_in = || Reference {
            sender: STAND_IN.to_owned(),
            identifier: STAND_IN.to_owned(),
            sent: CapTime::new(Timestamp::MIN, 0),
        };
        triples.into_iter().map(|triple| self.or(triple, stand_in())).collect()
    }

    fn info(&mut self, element: &'e Element) -> Info {
        let path = format!("{}/language", element.path);
        let text = |name| values::text(element.one(name));
        let event = values::required(element.one("event"));
        let certainty = element.one("certainty").map(|term| {
            let certainty = values::certainty(term, self.version, self.report);
            self.or(certainty, Certainty::Unknown)
        });
        let mut categories = self.terms(element, "category", Category::Other);
        if categories.is_empty() {
            categories.push(Category::Other);
        }
        Info {
            language: values::language(element.one("language"), &path, self.report),
            categories,
            event: self.or_text(event),
            response_types: self.terms(element, "responseType", ResponseType::None),
            urgency: self.assumed(element.one("urgency"), Urgency::Unknown),
            severity: self.assumed(element.one("severity"), Severity::Unknown),
            certainty: certainty.unwrap_or(Certainty::Unknown),
            audience: text("audience"),
            event_codes: self.named_values(element, "eventCode"),
            effective: self.time(element.one("effective")),
            onset: self.time(element.one("onset")),
            expires: self.time(element.one("expires")),
            sender_name: text("senderName"),
            headline: text("headline"),
            description: values::paragraphs(element.all("description")),
            instruction: values::paragraphs(element.all("instruction")),
            web: values::token(element.one("web")),
            contact: text("contact"),
            parameters: self.named_values(element, "parameter"),
            resources: element.all("resource").map(|file| self.resource(file)).collect(),
            areas: element.all("area").map(|area| self.area(area)).collect(),
        }
    }

    fn named_values(&mut self, parent: &Element, name: &str) -> Vec<NamedValue> {
        let stand_in = || NamedValue { name: STAND_IN.to_owned(), value: String::new() };
        let mut read = |pair| {
            let value = values::named_value(pair, self.version, self.report);
            self.or(value, stand_in())
        };
        parent.all(name).map(&mut read).collect()
    }

    fn resource(&mut self, element: &Element) -> Resource {
        let description = values::required(element.one("resourceDesc"));
        let mime_type = values::token(element.one("mimeType")).unwrap_or_else(|| {
            let message = format!("without a mimeType, {UNKNOWN_TYPE} is assumed");
            self.report.noted(&format!("{}/mimeType", element.path), "mime_type_assumed", message);
            UNKNOWN_TYPE.to_owned()
        });
        Resource {
            description: self.or_text(description),
            mime_type: Some(mime_type),
            size_bytes: values::size(element.one("size"), self.report),
            uri: values::token(element.one("uri")),
            deref_uri: values::token(element.one("derefUri")),
            digest: values::token(element.one("digest")),
        }
    }

    /// Broken and empty polygons and circles are left out; the broken ones have been reported.
    fn area(&mut self, element: &'e Element) -> Area {
        let description = values::required(element.one("areaDesc"));
        let polygons = element.all("polygon").filter_map(|ring| self.ring(ring)).collect();
        let circles = element.all("circle");
        let circles = circles.filter_map(|disc| coordinates::circle(disc, self.report)).collect();
        Area {
            description: self.or_text(description),
            polygons,
            circles,
            geocodes: self.named_values(element, "geocode"),
            altitude_ft: self.feet(element.one("altitude")),
            ceiling_ft: self.feet(element.one("ceiling")),
        }
    }

    fn ring(&mut self, element: &'e Element) -> Option<Ring> {
        if let Some(known) = self.rings.get(element.text.as_str()) {
            return Some(known.clone());
        }
        let before = self.report.count();
        let ring = coordinates::ring(element, self.report)?;
        if self.report.count() == before {
            self.rings.insert(&element.text, ring.clone());
        }
        Some(ring)
    }

    fn feet(&mut self, element: Option<&Element>) -> Option<f64> {
        let element = element?;
        let feet = values::feet(element, self.report);
        Some(self.or(feet, 0.0))
    }
}
