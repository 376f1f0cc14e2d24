//! What the fuzz targets run. The files in this folder know nothing of a fuzzer: the tests of
//! `cairn` include them and run them over the corpora.

pub mod documents;
#[cfg(feature = "service")]
pub mod service;

/// Ends the process at a panic in our own code. One in a library that reads damaged bytes is
/// caught by the parsers and is an error about the file.
pub fn start() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_own = panic
            .location()
            .is_none_or(|place| !place.file().contains("/registry/src/"));
        if is_own {
            // That of libFuzzer, which prints and aborts.
            print(panic);
        }
    }));
}
