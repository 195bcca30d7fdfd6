#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    api::untrusted::provider(data);
});
