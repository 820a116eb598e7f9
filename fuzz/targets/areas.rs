//! Targets of publishers, matched against the built-in units.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loa_fuzz::areas::hold(data));
