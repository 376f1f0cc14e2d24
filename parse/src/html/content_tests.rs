//! What of a page is content, and what is not.

use super::tests::read;

/// A page around `body`, long enough that its parts are not doubted.
fn page(body: &str) -> String {
    let filler = "The ferry leaves every hour from the north pier. ".repeat(8);
    let text = read(&format!(
        "<body>{}</body>",
        body.replace("FILL", &format!("<p>{filler}</p>"))
    ))
    .text;
    text.replace(filler.trim(), "…")
}

#[test]
fn buttons_that_say_something_stay() {
    assert_eq!(
        page(
            "<main><h2><button aria-expanded=false aria-controls=a>Is it free?</button></h2>\
             <div id=a hidden><p>Yes.</p></div><div><button class=accordion>Fees</button>\
             <div class=panel><p>Nine euros.</p></div></div><p>Press <button>Save</button>.</p>\
             <button role=tab>North</button><button role=tab>South</button>FILL</main>"
        ),
        "Is it free?\n\nYes.\n\nFees\n\nNine euros.\n\nPress Save.\n\nNorth South\n\n…"
    );
}

#[test]
fn buttons_that_do_something_go() {
    assert_eq!(
        page(
            "<main><button class=navbar-toggler aria-expanded=false>Navigation</button>\
             <h2>Setup <button>Edit</button></h2><pre><button class='copy-btn'>Take it</button>run</pre>\
             <button>Copy code</button><form><button type=submit>Order now</button></form>\
             <button aria-label=Close>×</button>FILL</main>"
        ),
        "Setup\n\nrun\n\n…"
    );
}

#[test]
fn what_a_click_shows_is_content() {
    assert_eq!(
        page(
            "<main><details><summary>More</summary><p>Inside.</p></details>\
             <button aria-expanded=false>Next to it?</button><div style='display:none'>Beside.</div>\
             <a data-bs-toggle=collapse href='#c'>Open</a><div id=c aria-hidden=true>Collapsed.</div>\
             <div role=tabpanel hidden>Second tab.</div><div hidden=until-found>Found.</div>\
             <dialog id=d>In a dialog.</dialog>FILL</main>"
        ),
        "More\n\nInside.\n\nNext to it?\nBeside.\nOpen\nCollapsed.\nSecond tab.\nFound.\n\nIn a dialog.\n\n…"
    );
}

#[test]
fn dialogs_at_the_end_of_the_page_are_content() {
    let text = page(
        "<main><p>Ask <button commandfor=d command=show-modal>why</button></p>FILL</main>\
         <dialog id=d><h2>Why</h2><p>Because of the tide.</p><form method=dialog><button>Close</button>\
         </form></dialog><dialog><form><label>Name<input></label></form></dialog>\
         <dialog class=cookie-dialog><p>We use cookies.</p><button>Fine by me</button></dialog>\
         <p>Outside.</p>",
    );
    assert_eq!(text, "Ask why\n\n…\n\nWhy\n\nBecause of the tide.");
}

#[test]
fn what_is_hidden_stays_hidden() {
    assert_eq!(
        page(
            "<main><p>Open <span style='Display: none !important'>A</span><i style=visibility:hidden>B</i>\
             <b aria-hidden=true>C</b>the hatch.</p><p hidden>D</p><p hidden=hidden>E</p>\
             <div style='color:red;display:none;'><p>F</p></div><template>G</template>\
             <div aria-hidden=true><p>H</p></div><select><option>I</select><noscript>J</noscript>\
             <button aria-expanded=false aria-controls=m>Menu of pages</button>\
             <ul id=m hidden><li><a href=a>K</a><li><a href=b>L</a></ul>FILL</main>"
        ),
        "Open the hatch.\n\nMenu of pages\n\n…"
    );
}

#[test]
fn a_page_behind_an_open_dialog_is_shown() {
    assert_eq!(page("<main aria-hidden=true>FILL</main>"), "…");
}

#[test]
fn ids_that_headings_made_name_content() {
    for id in [
        "search",
        "navigation",
        "boring",
        "breadcrumbs",
        "links",
        "related",
        "menu-2",
    ] {
        let word = id.trim_end_matches(|c: char| !c.is_alphabetic());
        let body = format!(
            "<div>FILL<section id={id}><h2>{word}</h2><p>Short.</p></section>\
             <h3 id={id}>{word}</h3><dl><dt id={id}>{word}()<dd>Seeks.</dl><p id={id}>Words.</p></div>"
        );
        let expected = format!("…\n\n{word}\n\nShort.\n\n{word}\n\n{word}()\nSeeks.\n\nWords.");
        assert_eq!(page(&body), expected);
    }
    let links = "<section id=links><h2>Links</h2><ul><li><a href=a>Tides</a><li><a href=b>Winds</a></ul></section>";
    assert_eq!(
        page(&format!("FILL{links}")),
        "…\n\nLinks\n\n- Tides\n- Winds"
    );
}

#[test]
fn furniture_with_an_id_goes() {
    for furniture in [
        "<div id=search><h3>Search</h3><form><input name=q><button>Go</button></form></div>",
        "<div id=navigation><a href=a>One</a> <a href=b>Two</a></div>",
        "<ul id=breadcrumbs><li><a href=a>Home</a></ul>",
        "<div id=toc><h2>Toc</h2><a href='#a'>One</a> <a href='#b'>Two</a></div>",
        "<div role=search>Find a ship</div><search>Find a pier</search>",
        "<section class=search>Find a buoy</section>",
        "<div id=cookie-banner>We use cookies. <button>I see</button></div>",
        "<div class=CookieConsent>Cookies are used. <a href=p>Policy</a></div>",
        "<div role=dialog aria-label='Cookie consent'>Cookies? <button>Fine by me</button></div>",
        "<header><a href=/>Site</a><nav><a href=a>One</a></nav></header>",
        "<header class=site-header><h1>Site</h1></header>",
        "<footer>© 2024 The harbour</footer>",
        "<aside class=sidebar>About us</aside><aside><a href=a>One</a> <a href=b>Two</a></aside>",
    ] {
        assert_eq!(
            page(&format!("{furniture}<div>FILL</div>")),
            "…",
            "{furniture}"
        );
    }
    let cookies =
        "<section id=cookie-settings><h2>Cookie settings</h2><p>See <a href=a>all</a>.</section>";
    assert_eq!(
        page(&format!("FILL{cookies}")),
        "…\n\nCookie settings\n\nSee all."
    );
}

#[test]
fn parts_of_an_article_are_content() {
    assert_eq!(
        page(
            "<article><header><h1>Title</h1><p>By Ann</p></header>FILL<aside>Never lift people.</aside>\
             <blockquote>Said.<footer><a href=a>Bo</a></footer></blockquote>\
             <footer>Corrected on 3 May.</footer><footer><a href=a>Tag</a></footer></article>"
        ),
        "Title\n\nBy Ann\n\n…\n\nNever lift people.\n\nSaid.\nBo\n\nCorrected on 3 May."
    );
    assert_eq!(
        page(
            "<main>FILL<footer>Approved by the board</footer><footer>© 2024 Harbour</footer></main>"
        ),
        "…\n\nApproved by the board"
    );
}

#[test]
fn the_only_title_of_a_page_is_content() {
    let header = "<header><h1>Incident 42</h1><p>Resolved at 14:20.</p></header>";
    let shown = "Incident 42\n\nResolved at 14:20.\n\n…";
    assert_eq!(page(&format!("{header}<section>FILL</section>")), shown);
    assert_eq!(
        page(&format!(
            "<title>Incident 42 - Status</title>{header}<main>FILL</main>"
        )),
        shown
    );
    let other = "<title>Cranes - Incident 42</title>";
    assert_eq!(page(&format!("{other}{header}<main>FILL</main>")), "…");
    assert_eq!(
        page(&format!("{header}<main><h1>Own</h1>FILL</main>")),
        "Own\n\n…"
    );
}

#[test]
fn a_heading_inside_of_its_own_link_stays() {
    let document = read(
        "<section><h1 id=NAME><a class=permalink href=#NAME>NAME</a></h1><p>moor a ship</p>\
         <dl><dt id=f><a class=permalink href=#f><code>-f</code></a><dd>Force.</dl>\
         <h2 id=b>Bugs<a class=headerlink href=#b>Link to this heading</a></h2><p>None.</section>",
    );
    assert_eq!(
        document.text,
        "NAME\n\nmoor a ship\n\n-f\nForce.\n\nBugs\n\nNone."
    );
}

#[test]
fn what_something_to_click_on_opens_is_content() {
    for html in [
        "<div role=button>Wifi?</div><div style='display:none'>Yes, on deck C.</div>",
        "<p onclick=show()>Wifi?</p><p style='display:none'>Yes, on deck C.</p>",
        "<div class=expand-control>Wifi?</div><div style='display:none'>Yes, on deck C.</div>",
        "<p>Wifi?</p><div class='modal fade' aria-hidden=true><p>Yes, on deck C.</p></div>",
    ] {
        let text = read(html).text;
        assert!(text.ends_with("Yes, on deck C."), "{html}: {text}");
    }
    let hidden = read("<p>Wifi?</p><p style='display:none'>Yes, on deck C.</p>");
    assert_eq!(hidden.text, "Wifi?");
}

#[test]
fn code_alongside_line_numbers_keeps_its_lines() {
    let document = read(
        "<table class=highlighttable><tr><th colspan=2>a.sh</th></tr><tr><td class=linenos>\
         <pre>1\n2</pre></td><td class=code><pre>apt update\napt install x</pre></td></tr></table>",
    );
    assert_eq!(document.text, "a.sh\n\napt update\napt install x");
}

#[test]
fn labels_and_marks_of_notes_are_words_of_their_own() {
    let document = read("<div><label>Linux</label><label>Windows</label></div>");
    assert_eq!(document.text, "Linux Windows");
    let document = read("<p>It holds.<sup><a href=#n><span>[</span>1<span>]</span></a></sup></p>");
    assert_eq!(document.text, "It holds.[1]");
    for mark in ["role=doc-noteref", "epub:type='noteref'"] {
        let document = read(&format!("<p>It holds<a href=#n {mark}>1</a> here.</p>"));
        assert_eq!(document.text, "It holds[1] here.");
    }
}

#[test]
fn tasks_of_a_list_say_whether_they_are_done() {
    let document = read(
        "<ul><li class=task><input type=checkbox disabled checked> Wash</li>\
         <li><label><input type=checkbox disabled>Dry</label></li></ul>\
         <p><input type=checkbox> Remember me</p>",
    );
    assert_eq!(document.text, "- [x] Wash\n- [ ] Dry\n\nRemember me");
}
