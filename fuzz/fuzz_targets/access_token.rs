#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    api::untrusted::access_token(data);
});
