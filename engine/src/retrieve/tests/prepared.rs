//! Searches that are checked before they are run.

use super::*;
use crate::retrieve::PreparedSearch;

/// Commits a document about birds that everyone may read.
fn commit_late(setup: &Setup) {
    let index = setup.engine.collection("main").unwrap();
    let mut writer = index.writer(Arc::new(HashEmbedder)).unwrap();
    let document = Document {
        uri: "late.md".into(),
        text: "Birds build a nest of mud, late in the summer.".into(),
        ..Document::default()
    };
    writer
        .put(vec![(document, None)], &Cancel::never())
        .unwrap();
    writer.commit().unwrap();
}

fn run(setup: &Setup, search: &PreparedSearch) -> SearchResponse {
    let never = Cancel::never();
    setup
        .engine
        .search_blocking(search.clone(), &never)
        .unwrap()
}

#[test]
fn what_was_checked_is_searched_on_its_commit() {
    let setup = setup();
    let asked = request("which birds build a nest?");
    let mut prepared = setup.engine.prepare_blocking(&asked).unwrap();
    assert!(prepared.is_prepared());
    commit_late(&setup);
    let derived = [
        prepared.clone(),
        prepared.asking("nest of mud"),
        prepared.alone(Some("A nest of mud.".into())),
        prepared.by_words(20),
    ];
    for search in &derived {
        let found = run(&setup, search);
        assert_eq!(found.generation, 1, "{search:?}");
        assert!(uris(&found).contains(&"birds.md"), "{search:?}");
        assert!(!uris(&found).contains(&"late.md"), "{search:?}");
    }
    for now in [search(&setup, &asked), {
        prepared.change().top_k = 20;
        assert!(!prepared.is_prepared());
        run(&setup, &prepared)
    }] {
        assert_eq!(now.generation, 2);
        assert!(uris(&now).contains(&"late.md"));
    }
}

#[test]
fn filter_and_rights_hold_for_all_that_is_derived() {
    let setup = setup();
    let asked = SearchRequest {
        access: Access::Labels(BTreeSet::new()),
        filter: Some(Filter::parse(&json!({"language": "en"})).unwrap()),
        ..request("birds")
    };
    let mut prepared = setup.engine.prepare_blocking(asked).unwrap();
    let finds = |search: &PreparedSearch, uri: &str| uris(&run(&setup, search)).contains(&uri);
    let (secret, german) = ("the secret birds of the board", "Hunde bewachen das Haus");
    for search in [
        prepared.asking(secret),
        prepared.asking(secret).by_words(20),
    ] {
        assert!(!finds(&search, "secret.md"), "{search:?}");
    }
    assert!(!finds(&prepared.asking(german), "hunde.md"));
    // A changed request is prepared again.
    prepared.change().access = Access::All;
    assert!(finds(&prepared.asking(secret), "secret.md"));
    prepared.change().filter = None;
    assert!(finds(&prepared.asking(german), "hunde.md"));
}

#[test]
fn what_is_wrong_is_told_before_the_search() {
    let setup = setup();
    let blamed = |search: PreparedSearch| {
        let error = setup.engine.prepare_blocking(search).unwrap_err();
        (error.kind(), error.param())
    };
    let bad = |param| (SearchErrorKind::BadRequest, Some(param));
    assert_eq!(blamed(request(" ").into()), bad("query"));
    let mut many = request("birds");
    many.top_k = 0;
    assert_eq!(blamed(many.into()), bad("top_k"));
    let mut filtered = request("birds");
    filtered.filter = Some(Filter::parse(&json!({"no_such_field": 1})).unwrap());
    assert_eq!(blamed(filtered.into()), bad("filter"));
    let nowhere = SearchRequest::new("birds", "nowhere");
    assert_eq!(blamed(nowhere.into()), (SearchErrorKind::NotFound, None));
    // Another question is checked like the first.
    let prepared = setup.engine.prepare_blocking(request("birds")).unwrap();
    let never = Cancel::never();
    let error = setup.engine.search_blocking(prepared.asking("\n"), &never);
    assert_eq!(error.unwrap_err().param(), Some("query"));
}
