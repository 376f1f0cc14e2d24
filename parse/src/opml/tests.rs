use crate::testing::read;

#[test]
fn dump() {
    let document = read(
        "harbour.opml",
        include_bytes!("../../tests/fixtures/harbour.opml"),
    );
    println!(
        "{}\n{:?}\n{}",
        document.title, document.metadata, document.text
    );
}
