//! APNs, FCM and citizens that behave as documented, with faults on demand.
