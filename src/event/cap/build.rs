//! Elements to the model. Everything is read before anything gives up, so that every broken value
//! is reported; what is missing has been reported by [`fields::check`].

use super::tree::Element;
use super::version::Version;
use super::{coordinates, fields, values};
use crate::domain::alert::rules::Report;
use crate::domain::alert::{Alert, Area, Info, NamedValue, Resource};

/// RFC 2046: what a resource of unknown type is.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// The alert, if all that it needs is there.
pub(super) fn alert(root: &Element, version: Version, report: &mut Report) -> Option<Alert> {
    fields::check(root, version, report);
    let identifier = values::name(root.one("identifier"), report);
    let sender = values::name(root.one("sender"), report);
    let sent = values::time(root.one("sent"), version, report);
    let status = values::term(root.one("status"), report);
    let msg_type = values::term(root.one("msgType"), report);
    let scope = values::term(root.one("scope"), report);
    let addresses = values::list(root.one("addresses"), report);
    let references = values::references(root.one("references"), version, report);
    let incidents = values::list(root.one("incidents"), report);
    let infos = every(root, "info", |element| info(element, version, report));
    Some(Alert {
        identifier: identifier?,
        sender: sender?,
        sent: sent?,
        status: status?,
        msg_type: msg_type?,
        source: values::text(root.one("source")),
        scope: scope?,
        restriction: values::text(root.one("restriction")),
        addresses,
        codes: root.all("code").filter_map(|code| values::text(Some(code))).collect(),
        note: values::text(root.one("note")),
        references,
        incidents,
        infos: infos?,
        signatures: root.children.iter().filter_map(|child| child.signature.clone()).collect(),
    })
}

/// Every element of a name, or none if one of them cannot be read; reads all of them first.
fn every<'e, T>(
    parent: &'e Element,
    name: &'e str,
    read: impl FnMut(&'e Element) -> Option<T>,
) -> Option<Vec<T>> {
    let all: Vec<Option<T>> = parent.all(name).map(read).collect();
    all.into_iter().collect()
}

fn info(element: &Element, version: Version, report: &mut Report) -> Option<Info> {
    let language_path = format!("{}/language", element.path);
    let language = values::language(element.one("language"), &language_path, report);
    let categories = every(element, "category", |term| values::term(Some(term), report));
    let response_types = every(element, "responseType", |term| values::term(Some(term), report));
    let urgency = values::term(element.one("urgency"), report);
    let severity = values::term(element.one("severity"), report);
    let certainty = values::certainty(element.one("certainty"), version, report);
    let event_codes = named_values(element, "eventCode", version, report);
    let mut time = |name| values::time(element.one(name), version, report);
    let (effective, onset, expires) = (time("effective"), time("onset"), time("expires"));
    let parameters = named_values(element, "parameter", version, report);
    let resources = every(element, "resource", |resource| self::resource(resource, report));
    let areas = every(element, "area", |area| self::area(area, version, report));
    let text = |name| values::text(element.one(name));
    Some(Info {
        language,
        categories: categories?,
        event: values::required(element.one("event"))?,
        response_types: response_types?,
        urgency: urgency?,
        severity: severity?,
        certainty: certainty?,
        audience: text("audience"),
        event_codes: event_codes?,
        effective,
        onset,
        expires,
        sender_name: text("senderName"),
        headline: text("headline"),
        description: text("description"),
        instruction: text("instruction"),
        web: values::token(element.one("web")),
        contact: text("contact"),
        parameters: parameters?,
        resources: resources?,
        areas: areas?,
    })
}

fn named_values(
    element: &Element,
    name: &str,
    version: Version,
    report: &mut Report,
) -> Option<Vec<NamedValue>> {
    every(element, name, |pair| values::named_value(pair, version, report))
}

fn resource(element: &Element, report: &mut Report) -> Option<Resource> {
    let size_bytes = values::size(element.one("size"), report);
    let mime_type = values::token(element.one("mimeType"));
    if mime_type.is_none() {
        let message = format!("without a mimeType, {UNKNOWN_TYPE} is assumed");
        report.noted(&format!("{}/mimeType", element.path), "mime_type_assumed", message);
    }
    Some(Resource {
        description: values::required(element.one("resourceDesc"))?,
        mime_type: mime_type.or_else(|| Some(UNKNOWN_TYPE.to_owned())),
        size_bytes,
        uri: values::token(element.one("uri")),
        deref_uri: values::token(element.one("derefUri")),
        digest: values::token(element.one("digest")),
    })
}

fn area(element: &Element, version: Version, report: &mut Report) -> Option<Area> {
    let polygons =
        element.all("polygon").filter_map(|ring| coordinates::ring(ring, report)).collect();
    let circles =
        element.all("circle").filter_map(|circle| coordinates::circle(circle, report)).collect();
    let geocodes = named_values(element, "geocode", version, report);
    let altitude_ft = values::feet(element.one("altitude"), report);
    let ceiling_ft = values::feet(element.one("ceiling"), report);
    Some(Area {
        description: values::required(element.one("areaDesc"))?,
        polygons,
        circles,
        geocodes: geocodes?,
        altitude_ft,
        ceiling_ft,
    })
}
