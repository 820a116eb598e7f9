//! Answers of providers: pushes, access tokens, identity providers' keys.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loa_fuzz::answers::hold(data));
