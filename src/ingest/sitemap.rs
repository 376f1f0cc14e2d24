//! Reading sitemaps: <https://www.sitemaps.org/protocol.html>.

use std::io::Read as _;

use quick_xml::Reader;
use quick_xml::events::Event;
use reqwest::Url;

/// Most bytes of a sitemap once it is unpacked, as the protocol has it.
const MAX_BYTES: u64 = 50 << 20;
/// Most addresses of one file, as the protocol has it.
const MAX_ADDRESSES: usize = 50_000;
/// How gzip begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What a sitemap names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sitemap {
    /// Addresses of pages.
    pub(super) pages: Vec<Url>,
    /// Addresses of other sitemaps.
    pub(super) sitemaps: Vec<Url>,
    /// How many addresses were left out: on another host than the sitemap itself, which may
    /// speak for its own only, or no addresses at all.
    pub(super) left_out: usize,
}

/// Reads the sitemap `bytes`, packed with gzip or not, that was fetched from `from`: XML, or
/// one address a line.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn read(bytes: &[u8], from: &Url) -> Result<Sitemap, String> {
    let unpacked;
    let bytes = match bytes.starts_with(&GZIP) {
        true => {
            unpacked = unpack(bytes)?;
            &unpacked
        }
        false => bytes,
    };
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let mut found = Sitemap::default();
    match text.starts_with('<') {
        true => read_xml(text, from, &mut found)?,
        false => text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .try_for_each(|line| found.add(line, from, false))?,
    }
    Ok(found)
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(bytes).take(MAX_BYTES + 1);
    reader
        .read_to_end(&mut unpacked)
        .map_err(|error| format!("it cannot be unpacked: {error}"))?;
    match unpacked.len() as u64 > MAX_BYTES {
        true => Err(format!("it has more than {MAX_BYTES} bytes unpacked")),
        false => Ok(unpacked),
    }
}

fn read_xml(text: &str, from: &Url, found: &mut Sitemap) -> Result<(), String> {
    let mut reader = Reader::from_str(text);
    // The name of the element that holds `loc`, and what `loc` holds so far.
    let mut holder: Option<bool> = None;
    let mut loc: Option<String> = None;
    let mut is_sitemap = false;
    loop {
        let event = reader.read_event();
        let event = event.map_err(|error| format!("it is not well-formed XML: {error}"))?;
        match event {
            Event::Start(start) => match start.local_name().as_ref() {
                "urlset" | "sitemapindex" => is_sitemap = true,
                "url" => holder = Some(false),
                "sitemap" => holder = Some(true),
                // Images and videos have a `loc` of their own, under a prefix.
                "loc" if holder.is_some() && start.name().prefix().is_none() => {
                    loc = Some(String::new());
                }
                _ => {}
            },
            Event::Text(text) => {
                if let Some(loc) = &mut loc {
                    loc.push_str(&text.xml10_content());
                }
            }
            Event::CData(text) => {
                if let Some(loc) = &mut loc {
                    loc.push_str(&text.xml10_content());
                }
            }
            Event::GeneralRef(name) => {
                if let Some(loc) = &mut loc {
                    let text = format!("&{};", name.xml10_content());
                    let meant = quick_xml::escape::unescape(&text);
                    loc.push_str(&meant.map_err(|error| error.to_string())?);
                }
            }
            Event::End(end) => match end.local_name().as_ref() {
                "loc" => {
                    if let (Some(address), Some(is_index)) = (loc.take(), holder) {
                        found.add(&address, from, is_index)?;
                    }
                }
                "url" | "sitemap" => holder = None,
                _ => {}
            },
            Event::Eof => break,
            _ => {}
        }
    }
    match is_sitemap {
        true => Ok(()),
        false => Err("it is XML, but no sitemap: it has neither urlset nor sitemapindex".into()),
    }
}

impl Sitemap {
    fn add(&mut self, address: &str, from: &Url, is_sitemap: bool) -> Result<(), String> {
        if self.pages.len() + self.sitemaps.len() + self.left_out >= MAX_ADDRESSES {
            return Err(format!("it names more than {MAX_ADDRESSES} addresses"));
        }
        let same = |url: &Url| url.host_str() == from.host_str();
        match Url::parse(address.trim()).ok().filter(same) {
            Some(url) if is_sitemap => self.sitemaps.push(url),
            Some(url) => self.pages.push(url),
            None => self.left_out += 1,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn from() -> Url {
        Url::parse("https://example.com/sitemap.xml").unwrap()
    }

    fn names(urls: &[Url]) -> Vec<&str> {
        urls.iter().map(Url::as_str).collect()
    }

    const PAGES: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
        <urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="i">
          <url><loc> https://example.com/a?x=1&amp;y=2 </loc><lastmod>2026-01-01</lastmod>
            <image:image><image:loc>https://example.com/a.png</image:loc></image:image></url>
          <url><loc><![CDATA[https://example.com/b]]></loc></url>
          <url><loc>https://elsewhere.org/c</loc></url>
          <url><loc>/relative</loc></url>
          <url><priority>1</priority></url>
        </urlset>"#;

    #[test]
    fn pages_of_its_own_host_are_found() {
        let found = read(PAGES.as_bytes(), &from()).unwrap();
        assert_eq!(
            names(&found.pages),
            ["https://example.com/a?x=1&y=2", "https://example.com/b"]
        );
        assert_eq!((found.sitemaps.len(), found.left_out), (0, 2));

        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(PAGES.as_bytes()).unwrap();
        assert_eq!(read(&packed.finish().unwrap(), &from()).unwrap(), found);
    }

    #[test]
    fn an_index_names_sitemaps_and_a_text_names_pages() {
        let index = r#"<s:sitemapindex xmlns:s="x"><s:sitemap><s:loc>https://example.com/1.xml</s:loc>
            </s:sitemap></s:sitemapindex>"#;
        // A prefix for the protocol's own elements is rare, and what has one is not known to be.
        assert!(read(index.as_bytes(), &from()).unwrap().sitemaps.is_empty());
        let index = index
            .replace("<s:", "<")
            .replace("</s:", "</")
            .replace("xmlns:s", "xmlns");
        let found = read(index.as_bytes(), &from()).unwrap();
        assert_eq!(names(&found.sitemaps), ["https://example.com/1.xml"]);
        let text = "\u{feff}https://example.com/a\n\nhttps://example.com/b\r\n";
        assert_eq!(read(text.as_bytes(), &from()).unwrap().pages.len(), 2);
    }

    #[test]
    fn what_is_no_sitemap_is_said_to_be_none() {
        for (bytes, expected) in [
            (&b"<html><body></body></html>"[..], "no sitemap"),
            (
                b"<urlset><url><loc>https://example.com/</url>",
                "well-formed",
            ),
            (b"\xff\xfe\x00", "UTF-8"),
            (b"\x1f\x8bnonsense", "unpacked"),
        ] {
            let error = read(bytes, &from()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn many_addresses_and_large_archives_are_refused() {
        let line = "https://example.com/a\n";
        assert!(read(line.repeat(50_001).as_bytes(), &from()).is_err());
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let zeros = vec![b' '; 1 << 20];
        (0..51).for_each(|_| packed.write_all(&zeros).unwrap());
        let error = read(&packed.finish().unwrap(), &from()).unwrap_err();
        assert!(error.contains("bytes unpacked"), "{error}");
    }
}
