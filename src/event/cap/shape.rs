//! The shape of the model's JSON form, as tables, so that every wrong field is named with its
//! JSON pointer and not only the first one that serde meets.

use std::str::FromStr;

use serde_json::Value;

use crate::domain::alert::rules::Report;
use crate::domain::alert::vocabulary::UnknownTerm;
use crate::domain::alert::{
    CapTime, Category, Certainty, MsgType, ResponseType, Scope, Severity, Status, Urgency,
};
use crate::domain::geo::{LatLon, Ring};

/// What a value must be.
enum Shape {
    Text,
    Number,
    /// A text that something else decides on: the reason if it is wrong.
    Checked(fn(&str) -> Option<String>),
    /// A whole number of 0 or more.
    Count,
    Point,
    Polygon,
    List(&'static Shape),
    Object(&'static [Field]),
}

use Shape::{Checked, Count, List, Number, Object, Point, Polygon, Text};

struct Field {
    name: &'static str,
    shape: Shape,
    presence: Presence,
}

#[derive(PartialEq)]
enum Presence {
    Required,
    /// May be absent.
    Defaulted,
    /// May be absent or null.
    Optional,
}

const fn must(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, presence: Presence::Required }
}

const fn may(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, presence: Presence::Optional }
}

const fn list(name: &'static str, of: &'static Shape) -> Field {
    Field { name, shape: List(of), presence: Presence::Defaulted }
}

const TIME: Shape = Checked(|text| text.parse::<CapTime>().err().map(|error| error.to_string()));

const ALERT: &[Field] = &[
    must("identifier", Text),
    must("sender", Text),
    must("sent", TIME),
    must("status", Checked(term::<Status>)),
    must("msg_type", Checked(term::<MsgType>)),
    may("source", Text),
    must("scope", Checked(term::<Scope>)),
    may("restriction", Text),
    list("addresses", &Text),
    list("codes", &Text),
    may("note", Text),
    list("references", &Object(REFERENCE)),
    list("incidents", &Text),
    list("infos", &Object(INFO)),
    list("signatures", &Text),
];

const REFERENCE: &[Field] = &[must("sender", Text), must("identifier", Text), must("sent", TIME)];

const INFO: &[Field] = &[
    Field { name: "language", shape: Text, presence: Presence::Defaulted },
    must("categories", List(&Checked(term::<Category>))),
    must("event", Text),
    list("response_types", &Checked(term::<ResponseType>)),
    must("urgency", Checked(term::<Urgency>)),
    must("severity", Checked(term::<Severity>)),
    must("certainty", Checked(term::<Certainty>)),
    may("audience", Text),
    list("event_codes", &Object(NAMED_VALUE)),
    may("effective", TIME),
    may("onset", TIME),
    may("expires", TIME),
    may("sender_name", Text),
    may("headline", Text),
    may("description", Text),
    may("instruction", Text),
    may("web", Text),
    may("contact", Text),
    list("parameters", &Object(NAMED_VALUE)),
    list("resources", &Object(RESOURCE)),
    list("areas", &Object(AREA)),
];

const NAMED_VALUE: &[Field] = &[must("name", Text), must("value", Text)];

const RESOURCE: &[Field] = &[
    must("description", Text),
    may("mime_type", Text),
    may("size_bytes", Count),
    may("uri", Text),
    may("deref_uri", Text),
    may("digest", Text),
];

const AREA: &[Field] = &[
    must("description", Text),
    list("polygons", &Polygon),
    list("circles", &Object(CIRCLE)),
    list("geocodes", &Object(NAMED_VALUE)),
    may("altitude_ft", Number),
    may("ceiling_ft", Number),
];

const CIRCLE: &[Field] = &[must("centre", Point), must("radius_km", Number)];

fn term<T: FromStr<Err = UnknownTerm>>(text: &str) -> Option<String> {
    text.parse::<T>().err().map(|error| error.to_string())
}

/// Reports everything in a JSON document that is not of the alert's shape.
pub(super) fn check(document: &Value, report: &mut Report) {
    object(document, ALERT, "", report);
}

fn value(value: &Value, shape: &Shape, path: &str, report: &mut Report) {
    let wrong = match (shape, value) {
        (Text, Value::String(_)) | (Number, Value::Number(_)) => None,
        (Checked(check), Value::String(text)) => check(text),
        (Count, value) if value.is_u64() => None,
        (Point, point) => serde_json::from_value::<LatLon>(point.clone())
            .err()
            .map(|error| format!("must be [latitude, longitude]: {error}")),
        (Polygon, Value::Array(points)) => return polygon(points, path, report),
        (List(of), Value::Array(items)) => {
            for (at, item) in items.iter().enumerate() {
                self::value(item, of, &format!("{path}/{at}"), report);
            }
            None
        }
        (Object(fields), value) => return object(value, fields, path, report),
        _ => Some(format!("must be {}", name(shape))),
    };
    if let Some(message) = wrong {
        report.broken(path, "field_form", message);
    }
}

fn object(value: &Value, fields: &[Field], path: &str, report: &mut Report) {
    let Value::Object(given) = value else {
        return report.broken(path, "field_form", "must be an object".to_owned());
    };
    for field in fields {
        let path = format!("{path}/{}", field.name);
        match given.get(field.name) {
            None if field.presence == Presence::Required => {
                report.broken(&path, "field_missing", "is required".to_owned());
            }
            None => {}
            Some(Value::Null) if field.presence == Presence::Optional => {}
            Some(value) => self::value(value, &field.shape, &path, report),
        }
    }
    for name in given.keys().filter(|name| fields.iter().all(|field| field.name != *name)) {
        let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        report.broken(&path, "field_unknown", "is no field of an alert".to_owned());
    }
}

/// The first wrong point is enough: where one is swapped, all are.
fn polygon(points: &[Value], path: &str, report: &mut Report) {
    let mut ring = Vec::with_capacity(points.len());
    for (at, point) in points.iter().enumerate() {
        match serde_json::from_value::<LatLon>(point.clone()) {
            Ok(point) => ring.push(point),
            Err(error) => {
                let message = format!("must be [latitude, longitude]: {error}");
                return report.broken(&format!("{path}/{at}"), "field_form", message);
            }
        }
    }
    if let Err(error) = Ring::new(ring) {
        report.broken(path, "field_form", error.to_string());
    }
}

fn name(shape: &Shape) -> &'static str {
    match shape {
        Text | Checked(_) => "a text",
        Number => "a number",
        Count => "a whole number of 0 or more",
        Point => "[latitude, longitude]",
        Polygon | List(_) => "a list",
        Object(_) => "an object",
    }
}
