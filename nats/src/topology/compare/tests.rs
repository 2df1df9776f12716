use super::*;

fn wanted() -> Value {
    json!({
        "name": "S", "storage": "file", "retention": "limits", "num_replicas": 1,
        "max_age": 0, "max_msgs": -1, "allow_rollup_hdrs": false, "deny_purge": false,
        "metadata": {"ours": "1"},
    })
}

fn told(task: Option<Task>) -> String {
    task.map_or_else(|| "nothing".to_owned(), |task| task.change.to_string())
}

#[test]
fn defaults_left_out_and_settings_of_others_are_no_difference() {
    let found = json!({
        "name": "S", "storage": "file", "retention": "limits", "num_replicas": 3,
        "max_msgs": -1, "placement": {"cluster": "east"}, "max_msg_size": 4096,
        "metadata": {"ours": "1", "theirs": "2", "_nats.ver": "2.15.1"},
    });
    assert_eq!(told(stream(&wanted(), Some(found))), "nothing");
}

#[test]
fn what_differs_is_told_and_merged_without_touching_the_rest() {
    let found = json!({
        "name": "S", "storage": "file", "retention": "limits", "num_replicas": 1,
        "max_age": 60, "allow_rollup_hdrs": true, "allow_batched": true,
        "metadata": {"theirs": "2"}, "placement": {"cluster": "east"},
    });
    let task = stream(&wanted(), Some(found)).unwrap();
    let expected = "update stream S\n  allow_batched: true -> null\n  \
                    allow_rollup_hdrs: true -> false\n  max_age: 60 -> 0\n  \
                    metadata: {\"theirs\":\"2\"} -> ";
    assert!(task.change.to_string().starts_with(expected), "{}", task.change);
    assert_eq!(task.subject, "STREAM.UPDATE.S");
    assert_eq!(task.request["metadata"], json!({"ours": "1", "theirs": "2"}));
    assert_eq!(task.request["placement"], json!({"cluster": "east"}));
    assert_eq!(told(stream(&wanted(), Some(task.request))), "nothing");
}

#[test]
fn what_cannot_be_changed_is_a_conflict() {
    let found = json!({
        "name": "S", "storage": "memory", "retention": "limits", "num_replicas": 1,
        "max_age": 60, "metadata": {"ours": "1"},
    });
    let task = stream(&wanted(), Some(found)).unwrap();
    let expected = "cannot update stream S\n  storage: \"memory\" -> \"file\"";
    assert_eq!(task.conflict().unwrap().to_string(), expected);
}

#[test]
fn filters_only_widen() {
    let wanted = |filters: &[&str]| WantedConsumer {
        stream: "S".to_owned(),
        config: json!({"name": "c", "filter_subjects": filters}),
    };
    let one = json!({"name": "c", "filter_subject": "a.b"});
    assert_eq!(told(consumer(&wanted(&["a.b"]), Some(one.clone()))), "nothing");
    let task = consumer(&wanted(&["a.c"]), Some(one)).unwrap();
    assert_eq!(task.request["config"]["filter_subjects"], json!(["a.b", "a.c"]));
    assert_eq!(task.request["config"].get("filter_subject"), None);
    let many = json!({"name": "c", "filter_subjects": ["a.c", "a.b"]});
    assert_eq!(told(consumer(&wanted(&["a.b"]), Some(many))), "nothing");
}
