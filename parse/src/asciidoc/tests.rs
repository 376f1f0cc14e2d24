use crate::testing::read;

#[test]
fn dump() {
    let document = read(
        "harbour.adoc",
        include_bytes!("../../tests/fixtures/harbour.adoc"),
    );
    println!(
        "{}\n{:?}\n{}",
        document.title, document.metadata, document.text
    );
}
