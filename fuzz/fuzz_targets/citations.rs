#![no_main]

libfuzzer_sys::fuzz_target!(init: cairn_fuzz::start(), |bytes: &[u8]| {
    cairn_fuzz::service::citations(bytes);
});
