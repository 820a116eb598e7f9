//! What goes on the wire: one file per topic, versioned; CAP XML to and from the domain.
//!
//! Every record is a CloudEvents 1.0 event in the Kafka protocol binding's *binary content mode*:
//! the attributes are headers (`ce_…`, `content-type`), the payload is the data alone. A file per
//! topic holds its types' names, its key and its `encode`/`decode`; the schemas and the examples of
//! all of them lie in `topics/`, and the tests read those.
//!
//! Promises: what `encode` writes, `decode` reads back equal; `decode` never panics on any bytes,
//! and its error names the header or the field at fault. A changed meaning gets a new version in
//! the type's name, never a silent change of the old one.

pub mod audit;
pub mod cap;
pub mod dead_letter;
pub mod dispatch;
pub mod envelope;
pub mod publication;
pub mod receipt;
pub mod submission;

pub use envelope::{Encoded, Error, header};
