//! What the gateway's own tests are made of.

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::alert::{
    Alert, Category, Certainty, Info, MsgType, Scope, Severity, Status, Urgency,
};
use crate::domain::audience::{AreaAudience, Audience, AudienceUnit, Boundaries, Coverage};
use crate::domain::channel::PushAddress;
use crate::domain::device::{Device, Place, Profile};
use crate::domain::ids::{ChainId, DeviceId, DeviceNum, PublicationId, SubjectId};
use crate::domain::lane::Lane;
use crate::domain::publication::{Content, Publication};
use crate::domain::status_change::{Owner, StatusChange};
use crate::gateway::viewer::{Stay, Viewer};

/// Noon of a day in Viet Nam, and seconds after it.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 - 1_800_000_000 % 86_400 + 5 * 3_600 + second)
        .expect("an instant")
}

pub fn id(number: u128) -> PublicationId {
    PublicationId(Uuid::from_u128(number))
}

pub fn place(unit: &str) -> Place {
    Place { unit: unit.parse().expect("a code"), cell: None }
}

fn info(language: &str) -> Info {
    let mut info: Info = serde_json::from_value(serde_json::json!({
        "language": language, "categories": ["Met"], "event": "Flood",
        "urgency": "Immediate", "severity": "Severe", "certainty": "Observed",
    }))
    .expect("an info");
    info.categories = vec![Category::Met];
    (info.urgency, info.severity, info.certainty) =
        (Urgency::Immediate, Severity::Severe, Certainty::Observed);
    info
}

/// An alert accepted at `second`, for an hour, in whole units.
pub fn alert(number: u128, second: i64, units: &[&str]) -> Publication {
    let mut units: Vec<AudienceUnit> = units
        .iter()
        .map(|code| AudienceUnit {
            code: code.parse().expect("a code"),
            share: 1.0,
            coverage: Coverage::Whole,
        })
        .collect();
    units.sort_by(|a, b| a.code.cmp(&b.code));
    let area = AreaAudience {
        boundaries: Boundaries::Approximate,
        vintage: "2025-07".parse().expect("a vintage"),
        units,
    };
    let alert = Alert {
        identifier: format!("a{number}"),
        sender: "test@loa.example".into(),
        sent: serde_json::from_value("2027-01-15T12:00:00+07:00".into()).expect("a time"),
        status: Status::Actual,
        msg_type: MsgType::Alert,
        source: None,
        scope: Scope::Public,
        restriction: None,
        addresses: vec![],
        codes: vec![],
        note: None,
        references: vec![],
        incidents: vec![],
        infos: vec![info("vi"), info("en")],
        signatures: vec![],
    };
    Publication {
        id: id(number),
        chain: ChainId(Uuid::from_u128(number)),
        lane: Lane::Emergency,
        agency: "test".parse().expect("an agency"),
        accepted_at: at(second),
        expires: at(second + 3_600),
        supersedes: vec![],
        audience: Audience::Area(area),
        content: Content::Alert(Box::new(alert)),
        agency_name: None,
        signature: None,
        signed_by: None,
    }
}

/// One that follows another of its chain.
pub fn later(
    kind: MsgType,
    number: u128,
    second: i64,
    of: &Publication,
    units: &[&str],
) -> Publication {
    let mut publication = alert(number, second, units);
    publication.chain = of.chain;
    publication.supersedes = vec![of.id];
    if let Content::Alert(alert) = &mut publication.content {
        alert.msg_type = kind;
    }
    publication
}

/// A change of one citizen's report.
pub fn status(number: u128, second: i64, subject: &str) -> Publication {
    let subject: SubjectId = subject.parse().expect("a subject");
    let change = StatusChange {
        kind: "report-1022".into(),
        reference: "R1".into(),
        state: "received".into(),
        owner: Owner::Citizen(subject.clone()),
        changed_at: at(second),
        step: 1,
        remark: None,
    };
    Publication {
        lane: Lane::Personal,
        audience: Audience::of_subject(subject),
        content: Content::StatusChange(Box::new(change)),
        ..alert(number, second, &[])
    }
}

pub fn device(places: &[&str]) -> Device {
    Device {
        num: DeviceNum(7),
        id: DeviceId(Uuid::from_u128(7)),
        profile: Profile {
            address: PushAddress::Websocket,
            places: places.iter().map(|unit| place(unit)).collect(),
            languages: vec!["vi".into()],
            muted: Default::default(),
            quiet_hours: None,
            location_consent: None,
            exercises: false,
            app_version: None,
        },
        subject: None,
        address_since: at(-1_000),
    }
}

/// Stays at all of a device's places since a second.
pub fn stays(device: &Device, since: i64) -> Vec<Stay> {
    let stay = |place: &Place| Stay { place: place.clone(), joined_at: at(since), left_at: None };
    device.profile.places.iter().map(stay).collect()
}

/// A viewer behind a device that has long been where it is.
pub fn viewer(device: Device) -> Viewer {
    let (stays, subject) = (stays(&device, -1_000), device.subject.clone());
    Viewer::new(Some(&device), subject, stays, None)
}
