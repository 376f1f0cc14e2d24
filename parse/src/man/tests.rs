use crate::testing::read;

#[test]
fn dump() {
    let document = read(
        "harbour.1",
        include_bytes!("../../tests/fixtures/harbour.1"),
    );
    println!(
        "{}\n{:?}\n{}",
        document.title, document.metadata, document.text
    );
}

#[test]
fn dump_all() {
    let limits = crate::ParseLimits::default();
    for path in std::env::var("DUMP").unwrap_or_default().split_whitespace() {
        let bytes = std::fs::read(path).unwrap();
        match crate::parse(&crate::ParseInput::new(path, &bytes), &limits) {
            Ok(d) => println!(
                "##### {path} {} {}\n{}",
                d.title, d.metadata["format"], d.text
            ),
            Err(e) => println!("##### {path} ERR {e}"),
        }
    }
}
