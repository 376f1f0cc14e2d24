use crate::testing::read;

#[test]
fn dump() {
    let document = read(
        "harbour.mhtml",
        include_bytes!("../../tests/fixtures/harbour.mhtml"),
    );
    println!(
        "{}\n{:?}\n{}",
        document.title, document.metadata, document.text
    );
}
