//! Small PDFs, made by hand.

use std::fmt::Write;

use crate::ParseLimits;

/// The default limits, with pdfium from the models folder, fetched if missing.
pub(crate) fn limits() -> ParseLimits {
    let hub = cairn_models::Hub::new(None).expect("a folder for models");
    let pdfium = hub
        .library("pdfium", &cairn_models::Quiet)
        .expect("the pdfium library");
    ParseLimits {
        pdfium: Some(pdfium),
        ..ParseLimits::default()
    }
}

/// A PDF whose pages hold these lines, with a title and a bookmark to the last
/// page that is named like the last page's first line.
pub(crate) fn pdf(pages: &[&str]) -> Vec<u8> {
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R /Outlines 5 0 R >>".to_owned(),
        String::new(),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".into(),
        "<< /Title (The made title) /Author (Ann Lee) /CreationDate (D:20240501103000Z) >>".into(),
        "<< /Type /Outlines /First 6 0 R /Last 6 0 R /Count 1 >>".into(),
        String::new(),
    ];
    let mut kids = String::new();
    for page in pages {
        let mut content = String::from("BT /F1 12 Tf 14 TL 72 720 Td\n");
        for line in page.lines() {
            let escaped = line
                .replace('\\', "\\\\")
                .replace('(', "\\(")
                .replace(')', "\\)");
            let _ = writeln!(content, "({escaped}) Tj T*");
        }
        content.push_str("ET");
        let number = objects.len() + 1;
        let _ = write!(kids, "{number} 0 R ");
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] \
             /Resources << /Font << /F1 3 0 R >> >> /Contents {} 0 R >>",
            number + 1
        ));
        objects.push(format!(
            "<< /Length {} >>\nstream\n{content}\nendstream",
            content.len()
        ));
    }
    objects[1] = format!("<< /Type /Pages /Kids [{kids}] /Count {} >>", pages.len());
    let last = pages
        .last()
        .and_then(|page| page.lines().next())
        .unwrap_or("");
    let last_page = objects.len() - 1;
    objects[5] = format!("<< /Title ({last}) /Parent 5 0 R /Dest [{last_page} 0 R /Fit] >>");
    file(&objects, "/Root 1 0 R /Info 4 0 R")
}

/// One page, drawn by hand.
#[derive(Clone, Default)]
pub(crate) struct Sheet {
    /// Its content stream.
    pub content: String,
    /// Entries of its dictionary; an A4 page when none.
    pub entries: &'static str,
    /// Dictionaries of its annotations.
    pub annotations: Vec<String>,
}

impl Sheet {
    /// Lines of 11 points at these places.
    pub(crate) fn lines<T: AsRef<str>>(lines: &[(f32, f32, T)]) -> Self {
        let content = lines
            .iter()
            .map(|(x, y, text)| show(*x, *y, 11.0, text.as_ref()));
        Self {
            content: content.collect(),
            ..Self::default()
        }
    }
}

/// Draws one line of text.
pub(crate) fn show(x: f32, y: f32, size: f32, text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('(', "\\(")
        .replace(')', "\\)");
    format!("BT /F1 {size} Tf {x} {y} Td ({escaped}) Tj ET\n")
}

/// A PDF of pages that are drawn by hand; `info` is what its properties say.
pub(crate) fn sheets(pages: &[Sheet], info: &str) -> Vec<u8> {
    let mut objects = vec![
        String::new(),
        String::new(),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".into(),
        format!("<< {info} >>"),
    ];
    let (mut kids, mut fields) = (String::new(), String::new());
    for page in pages {
        let mut annotations = String::new();
        for annotation in &page.annotations {
            let number = objects.len() + 1;
            let _ = write!(annotations, "{number} 0 R ");
            if annotation.contains("/Widget") {
                let _ = write!(fields, "{number} 0 R ");
            }
            objects.push(format!("<< /Type /Annot {annotation} >>"));
        }
        let entries = match page.entries {
            "" => "/MediaBox [0 0 595 842]",
            entries => entries,
        };
        let number = objects.len() + 1;
        let _ = write!(kids, "{number} 0 R ");
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R {entries} /Resources << /Font << /F1 3 0 R >> >> \
             /Contents {} 0 R /Annots [{annotations}] >>",
            number + 1
        ));
        objects.push(format!(
            "<< /Length {} >>\nstream\n{}\nendstream",
            page.content.len(),
            page.content
        ));
    }
    objects[0] = format!(
        "<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [{fields}] /DA (/F1 11 Tf) >> >>"
    );
    objects[1] = format!("<< /Type /Pages /Kids [{kids}] /Count {} >>", pages.len());
    file(&objects, "/Root 1 0 R /Info 4 0 R")
}

/// The objects, numbered from 1, with their table and trailer.
pub(crate) fn file(objects: &[String], trailer: &str) -> Vec<u8> {
    let mut out = String::from("%PDF-1.4\n");
    let mut offsets = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        offsets.push(out.len());
        let _ = write!(out, "{} 0 obj\n{object}\nendobj\n", index + 1);
    }
    let table = out.len();
    let _ = write!(out, "xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for offset in offsets {
        let _ = writeln!(out, "{offset:010} 00000 n ");
    }
    let _ = write!(
        out,
        "trailer << /Size {} {trailer} >>\nstartxref\n{table}\n%%EOF\n",
        objects.len() + 1
    );
    out.into_bytes()
}
