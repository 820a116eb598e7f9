//! Records of the log: CloudEvents as Kafka carries them.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loa_fuzz::events::hold(data));
