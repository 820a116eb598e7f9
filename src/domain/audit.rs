//! The audit: who did what to what, and whether it was let. Entries are linked: each holds the
//! hash of the one before, so that a change, a deletion or another order is found.
//!
//! The hash is SHA-256 over the hash before (32 bytes), the number (8 bytes, big-endian) and the
//! entry as canonical JSON: no blanks, members sorted by name.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Bytes of a hash.
pub const HASH_BYTES: usize = 32;
/// What the first entry follows.
pub const BEGINNING: [u8; HASH_BYTES] = [0; HASH_BYTES];

/// One entry. It holds ids, never the words of a publication, a push address or a secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id.
    pub id: Uuid,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub act: Act,
    /// To what: the id of a publication, draft, agency, person or key, or the name of a topic or
    /// city.
    pub object: String,
    /// Whether it was let.
    pub verdict: Verdict,
    /// The reason they gave, where one is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Who acted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// An agency, with one of its keys.
    Agency {
        /// The agency's id.
        id: String,
        /// The name of the key; never the key.
        key: String,
    },
    /// A person of an agency.
    Person {
        /// The agency's id.
        agency: String,
        /// The person's id.
        id: String,
    },
    /// Somebody who is not known: the name they gave at a login that failed, or a keyed hash of
    /// the address that a refused request came from.
    Unknown {
        /// What they called themselves, cut; or `address:` and the hash of a day.
        name: String,
    },
    /// Somebody at the command line of the node.
    Operator {
        /// The name they gave.
        name: String,
    },
    /// Loa itself.
    System,
}

/// What is worth an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A publication was submitted.
    Publish,
    /// A draft was handed to a second person.
    SubmitDraft,
    /// A draft was approved.
    ApproveDraft,
    /// A draft was sent back.
    ReturnDraft,
    /// A draft was turned down.
    RejectDraft,
    /// One person published a hot alert alone.
    Override,
    /// A draft was thrown away.
    DropDraft,
    /// An alert was withdrawn with one click.
    Recall,
    /// An agency was created or its jurisdiction changed.
    ChangeAgency,
    /// A person was added or changed.
    ChangePerson,
    /// An API key was made.
    CreateKey,
    /// An API key was revoked.
    RevokeKey,
    /// An admin's act was handed to a second admin.
    RequestAdmin,
    /// A second admin let another's act happen.
    ConfirmAdmin,
    /// A second admin refused another's act.
    RefuseAdmin,
    /// Somebody logged in.
    Login,
    /// Boundaries were imported.
    ImportGeofences,
    /// A new signing key was made.
    RotateSigningKey,
    /// A signing key was taken out of use.
    RevokeSigningKey,
    /// A certificate was registered that an agency signs its CAP messages with.
    RegisterCertificate,
    /// A certificate of an agency was removed.
    RemoveCertificate,
    /// An agency's own signature was verified; the object ends with the certificate's name and
    /// fingerprint.
    VerifySignature,
    /// Dead letters were sent on their way again.
    RedriveDeadLetters,
    /// A request that came to nothing: refused for its credentials, for what they allow, or by a
    /// limit. The object is what was asked for.
    Request,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Verdict {
    /// Done.
    Done,
    /// Done by one person where two are the rule: recorded loudly.
    Alone,
    /// Refused.
    Refused {
        /// The problem's stable code.
        code: String,
    },
}

/// An entry in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Its number, from 1.
    pub seq: u64,
    /// What happened.
    pub entry: Entry,
    /// The hash of this entry and all before it.
    pub hash: [u8; HASH_BYTES],
}

/// The hash of an entry, given as canonical JSON, in its place.
pub fn hash(before: &[u8; HASH_BYTES], seq: u64, canonical: &str) -> [u8; HASH_BYTES] {
    let mut hasher = Sha256::new();
    hasher.update(before);
    hasher.update(seq.to_be_bytes());
    hasher.update(canonical.as_bytes());
    hasher.finalize().into()
}

/// An entry as canonical JSON.
pub fn canonical(entry: &Entry) -> String {
    let value = serde_json::to_value(entry).expect("an entry is plain data with text keys");
    let mut out = String::new();
    write(&value, &mut out);
    out
}

fn write(value: &serde_json::Value, out: &mut String) {
    match value {
        serde_json::Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.as_str());
            out.push('{');
            for (index, (name, value)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::Value::from(name.as_str()).to_string());
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
        serde_json::Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

/// A hash as it is shown.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(object: &str) -> Entry {
        Entry {
            id: Uuid::from_u128(1),
            at: Timestamp::UNIX_EPOCH,
            actor: Actor::Person { agency: "a".into(), id: "lan".into() },
            act: Act::Override,
            object: object.into(),
            verdict: Verdict::Alone,
            reason: Some("đê vỡ".into()),
        }
    }

    #[test]
    fn canonical_json_is_sorted_and_reads_back() {
        let text = canonical(&entry("x"));
        assert!(text.starts_with(r#"{"act":"override","actor":{"agency":"a","#), "{text}");
        assert_eq!(serde_json::from_str::<Entry>(&text).expect("an entry"), entry("x"));
    }

    #[test]
    fn a_hash_depends_on_place_predecessor_and_content() {
        let one = hash(&BEGINNING, 1, &canonical(&entry("x")));
        assert_ne!(one, hash(&BEGINNING, 2, &canonical(&entry("x"))));
        assert_ne!(one, hash(&one, 1, &canonical(&entry("x"))));
        assert_ne!(one, hash(&BEGINNING, 1, &canonical(&entry("y"))));
    }
}
