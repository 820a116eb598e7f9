//! A client's websocket frames.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| loa_fuzz::frames::hold(data));
