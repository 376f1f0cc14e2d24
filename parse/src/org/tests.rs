use crate::testing::read;

#[test]
fn dump() {
    let document = read(
        "harbour.org",
        include_bytes!("../../tests/fixtures/harbour.org"),
    );
    println!(
        "{}\n{:?}\n{}",
        document.title, document.metadata, document.text
    );
}
