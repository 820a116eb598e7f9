//! Bodies of the HTTP faces.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loa_fuzz::json::hold(data));
