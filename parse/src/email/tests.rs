//! What holds for mails and mailboxes.

use crate::testing::{headings, read, read_err};

const HEADER: &str = "From: =?utf-8?q?Ann_L=C3=A9e?= <ann@example.org>\r\n\
    To: Bo <bo@example.org>, team@example.org\r\nSubject: Plans for\r\n May\r\n\
    Date: Wed, 1 May 2024 10:00:00 +0200\r\nMessage-ID: <1@example.org>\r\nMIME-Version: 1.0\r\n";

#[test]
fn header_and_body_become_facts_and_text() {
    let mail = format!(
        "{HEADER}Content-Type: text/plain; charset=iso-8859-1\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\nD=E9j=E0 vu.\r\n> quoted\r\n"
    );
    let document = read("a.eml", &mail);
    assert_eq!(
        document.text,
        "Subject: Plans for May\nFrom: Ann Lée <ann@example.org>\n\
         To: Bo <bo@example.org>, team@example.org\nDate: 2024-05-01T10:00:00+02:00\n\n\
         Déjà vu.\n> quoted"
    );
    assert_eq!(document.title, "Plans for May");
    let facts = serde_json::to_value(&document.metadata).unwrap();
    assert_eq!(
        facts,
        serde_json::json!({"author": "Ann Lée <ann@example.org>", "date": "2024-05-01",
            "to": ["Bo <bo@example.org>", "team@example.org"], "format": "email",
            "message_id": "1@example.org"})
    );
    assert_eq!(read("upload", &mail).metadata["format"], "email");
}

#[test]
fn html_bodies_and_attachments_are_read() {
    let mail = format!(
        "{HEADER}Content-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n\
         --c\r\nContent-Type: text/html\r\n\r\n<p>Hello <b>there</b></p><script>x</script>\r\n--c--\r\n\
         --b\r\nContent-Type: text/markdown; name=plan.md\r\n\
         Content-Disposition: attachment; filename=plan.md\r\n\r\n# Plan\r\n\r\nBuild *it*.\r\n\
         --b\r\nContent-Type: image/png\r\nContent-Disposition: attachment; filename=cat.png\r\n\
         Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgoAAAAN\r\n\
         --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: Inner\r\nFrom: x@y.z\r\n\r\nInner text.\r\n\
         --b--\r\n"
    );
    let document = read("a.eml", &mail);
    let (_, body) = document.text.split_once("\n\n").unwrap();
    assert_eq!(
        body,
        "Hello there\n\nAttachment: plan.md\n\nPlan\n\nBuild it.\n\nAttachment: cat.png\n\n\
         Attachment: Inner\n\nSubject: Inner\nFrom: x@y.z\n\nInner text."
    );
    assert_eq!(
        headings(&document),
        [(1, "plan.md"), (2, "Plan"), (1, "Inner")]
    );
    assert_eq!(
        document.metadata["attachments"],
        serde_json::json!(["plan.md", "cat.png", "Inner"])
    );
}

#[test]
fn mails_inside_mails_end() {
    let mut mail = format!("{HEADER}\r\ninnermost");
    for i in 0..200 {
        mail = format!(
            "{HEADER}Content-Type: multipart/mixed; boundary=b{i}\r\n\r\n--b{i}\r\n\
             Content-Type: message/rfc822\r\n\r\n{mail}\r\n--b{i}--\r\n"
        );
    }
    assert!(read("a.eml", &mail).text.contains("Plans for May"));
}

#[test]
fn text_without_header_is_no_mail() {
    assert_eq!(
        read("notes", "From: here\nto there").metadata["format"],
        "text"
    );
    assert!(read_err("a.eml", "\r\n\r\n").to_string().contains("a mail"));
}

/// The body of a mail with these two alternatives.
fn alternatives(plain: &str, page: &str) -> String {
    let mail = format!(
        "{HEADER}Content-Type: multipart/alternative; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{plain}\r\n\
         --b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n{page}\r\n--b--\r\n"
    );
    let text = read("a.eml", mail).text;
    text.split_once("\n\n")
        .map_or("", |(_, body)| body)
        .to_owned()
}

#[test]
fn stubs_give_way_to_html() {
    let page = "<style>p{color:red}</style><h1>Dock closed</h1><p>Dock 4 is closed until \
                August; use dock 6, whose code is 7719.</p>";
    for stub in [
        "",
        "   \r\n",
        "Your mail reader cannot show HTML.",
        "https://news.example.org/view?id=1",
        "View this message in your browser: <https://news.example.org/1>",
        "[image: Logo of the port]",
        "[cid:image001.png@01D0]\r\n",
        "Dock closed",
    ] {
        assert!(
            alternatives(stub, page).contains("code is 7719"),
            "{stub:?}"
        );
    }
}

#[test]
fn plain_text_that_says_as_much_stays() {
    for (plain, page) in [
        (
            "Dock 4 is closed until August; use dock 6.",
            "<p>Dock 4 is <b>closed</b> until August; use dock&nbsp;6.</p>",
        ),
        (
            "All the news that fit into one mail, and then a little more of it.",
            "<img src=a.png><p>View online</p>",
        ),
        ("Yes.", "<p>Yes.</p>"),
        ("only here", "<img src=a.png>"),
    ] {
        assert_eq!(alternatives(plain, page), plain);
    }
}

/// The body of a plain mail with these parameters.
fn flowed(parameters: &str, body: &str) -> String {
    let mail = format!("{HEADER}Content-Type: text/plain; {parameters}\r\n\r\n{body}");
    let text = read("a.eml", mail).text;
    text.split_once("\n\n")
        .map_or("", |(_, body)| body)
        .to_owned()
}

#[test]
fn flowed_lines_are_joined() {
    let body = "The chain is \r\nforty metres \r\nlong.\r\nFixed.\r\n\r\n> quoted and \r\n> joined\r\n\
                >> deeper \r\n> other\r\n From here\r\n-- \r\nAnn\r\n";
    assert_eq!(
        flowed("format=flowed", body),
        "The chain is forty metres long.\nFixed.\n\n> quoted and joined\n>> deeper\n> other\n\
         From here\n--\nAnn"
    );
    assert_eq!(
        flowed(
            "format=\"Flowed\"; DelSp=Yes",
            "Donau \r\ndampf \r\nschiff\r\n"
        ),
        "Donaudampfschiff"
    );
    assert_eq!(flowed("charset=utf-8", "a \r\nb"), "a\nb");
}

const BOX: &str = "From ada@example.org Mon May  6 09:00:00 2024\nFrom: Ada <ada@example.org>\n\
    To: crew@example.org\nSubject: One\nMIME-Version: 1.0\n\nFirst body.\n>From here on.\n\n\
    From what I saw: 9:15 was too late.\nnext: line\n\n\
    From - Tue May  7 10:00:00 2024\nX-Mozilla-Status: 0001\nFrom: Bo <bo@example.org>\nSubject: Two\n\
    Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n\
    <h2>Second</h2><p>body</p>\n--b--\n";

#[test]
fn a_mailbox_is_many_mails() {
    let document = read("crew.mbox", BOX);
    assert_eq!(
        document.text,
        "Subject: One\nFrom: Ada <ada@example.org>\nTo: crew@example.org\n\nFirst body.\n\
         From here on.\n\nFrom what I saw: 9:15 was too late.\nnext: line\n\n\
         Subject: Two\nFrom: Bo <bo@example.org>\n\nSecond\n\nbody"
    );
    assert_eq!(headings(&document), [(1, "One"), (1, "Two"), (3, "Second")]);
    assert_eq!(document.title, "crew.mbox");
    assert_eq!(document.metadata["messages"], 2);
    // Mail programs and list archives use other names.
    for name in ["Inbox", "2024-May.txt", "upload"] {
        assert_eq!(read(name, BOX).metadata["format"], "mbox", "{name}");
    }
    assert_eq!(
        read("Inbox", BOX.replace('\n', "\r\n")).metadata["messages"],
        2
    );
    assert!(
        read_err("a.mbox", "no mail")
            .to_string()
            .contains("mailbox")
    );
}

#[test]
fn a_mail_with_the_line_of_a_mailbox_is_one() {
    let mail =
        "From ada@example.org Mon May  6 09:00:00 2024\nSubject: One\nFrom: a@b.c\n\nBody.\n";
    assert_eq!(
        read("a.eml", mail).text,
        "Subject: One\nFrom: a@b.c\n\nBody."
    );
    assert_eq!(
        read("letter.txt", "From Paris 12:30 1924\nDear Bo,\n").metadata["format"],
        "text"
    );
}

#[test]
fn a_request_to_read_the_html_gives_way_to_it() {
    let mail = format!(
        "{HEADER}Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\
         Content-Type: text/plain\r\n\r\nSee the HTML version of this message to read it.\r\n--b\r\n\
         Content-Type: text/html\r\n\r\n<p>Gate 5 opens at 6:40.</p>\r\n--b--\r\n"
    );
    let text = read("a.eml", &mail).text;
    assert!(text.ends_with("\n\nGate 5 opens at 6:40."), "{text}");
}
