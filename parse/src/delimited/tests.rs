//! What holds for tables as text.

use crate::testing::read;

#[test]
fn rows_carry_their_columns() {
    let document = read(
        "people.csv",
        "name,city,note\nAnn,\"Paris, FR\",\nBo,Rome,\"two\nlines \"\"quoted\"\"\"\n",
    );
    assert_eq!(
        document.text,
        "name | city | note\n\nname: Ann\ncity: Paris, FR\n\n\
         name: Bo\ncity: Rome\nnote: two lines \"quoted\""
    );
    assert_eq!(document.title, "people.csv");
    assert_eq!(document.metadata["format"], "csv");
}

#[test]
fn delimiters_are_found() {
    for (name, text) in [
        ("a.csv", "a;b\n1,5;2\n"),
        ("a.csv", "sep=;\na;b\n1,5;2\n"),
        ("a.tsv", "a\tb\n1,5\t2\n"),
        ("a.csv", "a|b\n1,5|2\n"),
        ("a.csv", "\u{feff}a,b\r\n\"1,5\",2\r\n"),
    ] {
        assert_eq!(read(name, text).text, "a | b\n\na: 1,5\nb: 2", "{text:?}");
    }
}

#[test]
fn tables_without_header_get_numbers() {
    assert_eq!(
        read("a.csv", "1,x\n2,y,z\n").text,
        "column 1: 1\ncolumn 2: x\n\ncolumn 1: 2\ncolumn 2: y\ncolumn 3: z"
    );
}

/// The records of a table, and whatever else there is, one a line.
fn records(name: &str, text: &str) -> Vec<String> {
    let paragraphs = read(name, text).text;
    paragraphs
        .split("\n\n")
        .map(|paragraph| paragraph.replace('\n', " / "))
        .collect()
}

#[test]
fn what_divides_is_found_by_what_is_even() {
    let expected = ["a | b, c", "a: x / b, c: 0,35", "a: y / b, c: 1,5"];
    for delimiter in [";", "\t", "|"] {
        let table = "a;b, c\nx;0,35\ny;1,5\n".replace(';', delimiter);
        for name in ["t.csv", "t.tsv", "t.tab", "t.psv"] {
            assert_eq!(records(name, &table), expected, "{name} {delimiter}");
        }
    }
    for (text, last) in [
        ("k,v\na,x\n", "k: a / v: x"),
        ("k,v\n\"a;b;c\",\"x;y\"\nz,\"1;2\"\n", "k: z / v: 1;2"),
        (
            "k;v\n\"a,b\";x, y\nz;one, two, three\n",
            "k: z / v: one, two, three",
        ),
        ("k, v\na, \"x, y\"\n", "k: a / v: x, y"),
        ("k,v\r1,2\r3,4\r", "k: 3 / v: 4"),
        ("sep=|\nk|v\na,b|x,y\n", "k: a,b / v: x,y"),
        ("\"sep=;\"\r\nk;v\r\n1,0;2,0\r\n", "k: 1,0 / v: 2,0"),
        (
            "time;a;b\n2024-01-05 10:00;1.234,5;2,5\n",
            "time: 2024-01-05 10:00 / a: 1.234,5 / b: 2,5",
        ),
    ] {
        assert_eq!(records("t.csv", text).last().unwrap(), last, "{text:?}");
    }
}

#[test]
fn quotes_are_read_as_they_were_meant() {
    for (text, value) in [
        (
            "id,say\n1,\"He said \\\"stop, now\\\" and left\"\n2,fine\n",
            "He said \"stop, now\" and left",
        ),
        (
            "id,say\n1,\"He said \"\"stop, now\"\" and left\"\n2,fine\n",
            "He said \"stop, now\" and left",
        ),
        ("id,say\n1,\"C:\\dir\\\"\n2,fine\n", "C:\\dir\\"),
        ("id,say\n1,6\" pipe\n2,fine\n", "6\" pipe"),
        ("id,say\n1,\"never closed\n2,fine\n", "\"never closed"),
        ("id,say\n1,\"quoted\" words\n2,fine\n", "\"quoted\" words"),
        (
            "id,say\n1,\"two\n\nlines, here\"\n2,fine\n",
            "two lines, here",
        ),
        ("id,say\n1,'one, two'\n2,'it is'\n3,'fine'\n", "one, two"),
    ] {
        let records = records("t.csv", text);
        assert_eq!(records[0], "id | say", "{text:?}");
        assert_eq!(records[1], format!("id: 1 / say: {value}"), "{text:?}");
        assert!(
            records.len() > 2 && records[2].starts_with("id: 2"),
            "{text:?}"
        );
    }
    // A quote that is not closed ends no later than the next one that cannot be
    // an end.
    let lines = "a,b\n1,\"open\n2,\"x\"\n3,y\n";
    assert_eq!(records("t.csv", lines).len(), 4);
    let many = format!("a,b\n{}", "1,\"open\n".repeat(50_000));
    assert_eq!(records("t.csv", &many).len(), 50_001);
}

#[test]
fn headers_are_told_from_rows() {
    for (text, first) in [
        (
            "Country,2019,2020\nNorland,11,14\nSudland,7,8\n",
            "Country: Norland / 2019: 11 / 2020: 14",
        ),
        ("Country,2019\nNorland,11\n", "Country: Norland / 2019: 11"),
        (
            ",2019,2020\nNorland,11,14\n",
            "column 1: Norland / 2019: 11 / 2020: 14",
        ),
        ("Name,1,2,3\nAnn,x,,x\nBo,,x,x\n", "Name: Ann / 1: x / 3: x"),
        (
            "Item,2024-01,2024-02\nnut,5,6\n",
            "Item: nut / 2024-01: 5 / 2024-02: 6",
        ),
        (
            "Date,Amount,Currency,Amount\n2024-03-01,10,EUR,11\n",
            "Date: 2024-03-01 / Amount: 10 / Currency: EUR / Amount: 11",
        ),
        (
            "Ship,Flag,Tons,\nAlba,NO,900,\nBora,IT,1200,\n",
            "Ship: Alba / Flag: NO / Tons: 900",
        ),
        (
            "Ship,,Tons\nAlba,NO,900\nBora,IT,1200\n",
            "Ship: Alba / column 2: NO / Tons: 900",
        ),
        (
            "Ship,Flag\nAlba,NO,900\nBora,IT,1200\n",
            "Ship: Alba / Flag: NO / column 3: 900",
        ),
        (
            "Ship,Flag\n1,Alba,NO\n2,Bora,IT\n",
            "column 1: 1 / Ship: Alba / Flag: NO",
        ),
        ("#,Name\n1,Ann\n2,Bo\n", "#: 1 / Name: Ann"),
        (
            "#chrom\tstart\nchr1\t100\nchr2\t200\n",
            "chrom: chr1 / start: 100",
        ),
        ("mail\na@x.org\nb@x.org\n", "mail: a@x.org"),
        ("code,what\nA-17,nut\nB-2,bolt\n", "code: A-17 / what: nut"),
        ("name,note\nA,x\n", "name: A / note: x"),
    ] {
        assert_eq!(records("t.csv", text)[1], first, "{text:?}");
    }
    for (text, first) in [
        ("Ann,31\nBo,40\nCy,\n", "column 1: Ann / column 2: 31"),
        (
            "2024-01-01,5\n2024-01-02,6\n",
            "column 1: 2024-01-01 / column 2: 5",
        ),
        (
            "1,2,3\n4,9,1\n0,5,5\n",
            "column 1: 1 / column 2: 2 / column 3: 3",
        ),
        ("a@x.org\nb@x.org\n", "column 1: a@x.org"),
        (
            "A-17,nut\nB-2,bolt\nC-3,pin\n",
            "column 1: A-17 / column 2: nut",
        ),
        ("Ann,yes\nBo,no\nCy,yes\n", "column 1: Ann / column 2: yes"),
        (
            "2019,11\n2020,14\n2021,15\n",
            "column 1: 2019 / column 2: 11",
        ),
    ] {
        assert_eq!(records("t.csv", text)[0], first, "{text:?}");
    }
}

#[test]
fn lines_above_a_table_are_text() {
    for (text, above) in [
        ("Stock\nItem,Qty\nnut,9\nbolt,4\n", "Stock"),
        (
            "Stock\nMade on 2 May, by Bo\n\nItem,Qty,At\nnut,9,a\nbolt,4,b\n",
            "Stock / Made on 2 May, by Bo",
        ),
        (
            "Stock,,\nPeriod:,March,\n,,\nItem,Qty,At\nnut,9,a\nbolt,4,b\n",
            "Stock / Period: March",
        ),
        (
            "Account;DE12\nPeriod;March\n\nItem;Qty\nnut;9\nbolt;4\n",
            "Account: DE12 / Period: March",
        ),
        (
            "# by the logger\n# unit: bar\nItem,Qty\nnut,9\nbolt,4\n",
            "by the logger / unit: bar",
        ),
    ] {
        let records = records("t.csv", text);
        assert_eq!(records[0], above, "{text:?}");
        assert!(records[1].starts_with("Item | Qty"), "{text:?}");
        assert!(records[2].starts_with("Item: nut / Qty: 9"), "{text:?}");
        assert_eq!(records.len(), 4);
    }
}

#[test]
fn lines_inside_and_below_a_table_are_text() {
    let text = "# log\nItem,Qty,At\nnut,9,a\nSpare parts\n# bolts follow\nbolt,4,b\nItem,Qty,At\n\
                pin,1,c\nTotal,14,\nEnd of report\n";
    assert_eq!(
        records("t.csv", text),
        [
            "log",
            "Item | Qty | At",
            "Item: nut / Qty: 9 / At: a",
            "Spare parts",
            "bolts follow",
            "Item: bolt / Qty: 4 / At: b",
            "Item: pin / Qty: 1 / At: c",
            "Item: Total / Qty: 14",
            "End of report"
        ]
    );
    // Colours and channels begin with the mark of remarks, and are rows.
    let text = "colour,name\n#ff0000,red\n#00ff00,green\n";
    assert_eq!(records("t.csv", text)[1], "colour: #ff0000 / name: red");
    // Names of columns in a remark.
    let text = "# logger 7\n# time,pressure\n10:00,2.1\n10:05,2.4\n";
    assert_eq!(
        records("t.csv", text)[1..],
        [
            "time | pressure",
            "time: 10:00 / pressure: 2.1",
            "time: 10:05 / pressure: 2.4"
        ]
    );
}

#[test]
fn a_column_without_a_name_takes_none_of_another() {
    assert_eq!(
        read("a.csv", "Id,,Name,\n1,x,Ann,y\n2,z,Bob,w\n").text,
        "Id |  | Name\n\nId: 1\ncolumn 2: x\nName: Ann\ncolumn 4: y\n\n\
         Id: 2\ncolumn 2: z\nName: Bob\ncolumn 4: w"
    );
}
