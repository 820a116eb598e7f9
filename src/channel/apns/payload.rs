//! Skeleton.
/// A rendered push.
#[derive(Clone, Debug)]
pub struct Payload {}
