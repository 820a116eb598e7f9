//! APNs, FCM and citizens that behave as documented, with faults on demand.

pub mod faults;
pub mod providers;
pub mod record;
