//! The corpora of the fuzz targets for what reaches the service, run through the bodies that
//! the targets run. Those of the parsers are run alongside them.

#[allow(unreachable_pub, reason = "public in the crate of the fuzz targets")]
#[path = "../fuzz/src/corpus.rs"]
mod corpus;
#[allow(unreachable_pub, reason = "public in the crate of the fuzz targets")]
#[path = "../fuzz/src/service.rs"]
mod service;

use std::path::Path;

#[test]
fn streams_filters_and_answers_are_read_the_same_however_they_are_cut() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (target, body) in service::TARGETS {
        corpus::run(&fuzz, target, body);
    }
}
