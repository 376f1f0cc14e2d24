//! Questions that lean on earlier turns.

use super::*;

fn history() -> Vec<Message> {
    let turn = |role, content: &str| Message {
        role,
        content: content.to_owned(),
    };
    vec![
        turn(Role::User, "Which port does Cairn listen on?"),
        turn(Role::Assistant, "It listens on 8620 [1]."),
    ]
}

#[tokio::test]
async fn a_follow_up_is_searched_with_what_it_points_at() {
    let search = Arc::new(finds(&[PORT]));
    let answerer = answerer(Arc::clone(&search), Gateway::new("local", limits(PATIENT)));
    let mut request = request("Can I change it?");
    request.history = history();
    let done = finish(answerer.answer(request, Cancel::never()))
        .await
        .unwrap();
    assert_eq!(
        *search.asked.lock().unwrap(),
        ["Can I change it? port Cairn listen"]
    );
    assert!(done.timings_ms.contains_key("condense"));
}

#[tokio::test]
async fn a_remote_model_rewrites_follow_ups() {
    let search = Arc::new(finds(&[PORT]));
    let provider = Arc::new(Scripted {
        steps: vec![Say("Can the port of Cairn be changed?"), End],
        ..Scripted::default()
    });
    let gateway = Gateway::new("scripted", limits(PATIENT)).with(provider.clone(), "m-1", false);
    let mut request = request("Can I change it?");
    request.history = history();
    finish(answerer(Arc::clone(&search), gateway).answer(request, Cancel::never()))
        .await
        .unwrap();
    assert_eq!(
        *search.asked.lock().unwrap(),
        ["Can the port of Cairn be changed?"]
    );
    let asked = provider.asked.lock().unwrap();
    assert!(
        asked[0].messages[1]
            .content
            .contains("User: Which port does Cairn listen on?")
    );
    let answering: Vec<&str> = asked[1]
        .messages
        .iter()
        .map(|m| m.content.as_str())
        .collect();
    assert_eq!(answering.len(), 4, "rules, two turns, the question");
    assert_eq!(answering[2], "It listens on 8620 (1).");
    assert!(answering[3].ends_with("Question: Can I change it?"));
}
