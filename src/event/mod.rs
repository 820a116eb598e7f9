//! What goes on the wire: one file per topic, versioned; CAP XML to and from the domain.

pub mod cap;
