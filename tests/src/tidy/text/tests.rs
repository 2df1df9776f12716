use super::{
    LINES_MAX, ignored, length, machine_paths, module_files, sleeps, subjects, unfinished,
};
use crate::tidy::{Finding, Tree};

fn places(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.place.as_str()).collect()
}

#[test]
fn a_file_of_one_line_too_many_is_found() {
    let long = "\n".repeat(LINES_MAX + 1);
    let right = "\n".repeat(LINES_MAX);
    let tree = Tree::of(&[("a.rs", &long), ("b.rs", &right), ("c.json", &long)]);
    assert_eq!(places(&length(&tree)), ["a.rs"]);
}

#[test]
fn a_subject_literal_is_found_outside_the_subject_module() {
    let text = concat!("fn f() {\n    let s = \"sa", "ga.order.>\";\n}\n");
    let tree = Tree::of(&[
        ("saga/core/src/subject.rs", text),
        ("saga/core/src/subject/tests.rs", text),
        ("saga/engine/src/log.rs", text),
        ("docs/protocol.md", text),
        ("saga/engine/tests/it.rs", concat!("told == [\"sa", "ga.started.running\"]\n")),
    ]);
    assert_eq!(places(&subjects(&tree)), ["saga/engine/src/log.rs:2"]);
}

#[test]
fn notes_to_self_and_debugging_aids_are_found() {
    let tree = Tree::of(&[
        ("a.rs", concat!("// TO", "DO: later\n")),
        ("b.md", concat!("FIX", "ME\n")),
        ("c.rs", concat!("    db", "g!(x);\n")),
        ("d.rs", concat!("// X", "XX: odd\n")),
        ("currency.rs", "let none = \"XXX\";\n"),
        ("method.rs", "let method = TODOS;\n"),
        ("LICENSE", concat!("TO", "DO\n")),
    ]);
    assert_eq!(places(&unfinished(&tree)), ["a.rs:1", "b.md:1", "c.rs:1", "d.rs:1"]);
}

#[test]
fn a_test_that_does_not_run_is_found() {
    let tree = Tree::of(&[
        ("a.rs", concat!("    #[", "ignore]\n    fn t() {}\n")),
        ("b.rs", concat!("#[", "ignore = \"slow\"]\n")),
        ("c.rs", concat!("//! ```", "ignore\n")),
        ("child.rs", concat!("#[", "ignore = \"run by the test that kills it\"]\n")),
        ("d.rs", "/// ```no_run\n"),
    ]);
    assert_eq!(places(&ignored(&tree)), ["a.rs:1", "b.rs:1", "c.rs:1"]);
}

#[test]
fn a_module_file_of_the_old_kind_is_found() {
    let tree = Tree::of(&[("a/src/x/mod.rs", ""), ("a/src/x.rs", "")]);
    assert_eq!(places(&module_files(&tree)), ["a/src/x/mod.rs"]);
}

#[test]
fn a_sleep_is_found_in_tests_where_it_is_no_wait() {
    // Spelled apart, or these lines would be found themselves.
    let awake = |text: &str| text.replace("SLEEP", "sleep");
    let bare = awake("    tokio::time::SLEEP(d).await;\n");
    let reasoned = awake("    // A handler that is slow on purpose.\n    SLEEP(d).await;\n");
    let inline = awake("fn f() {\n    SLEEP(d);\n}\nmod tests {\n    thread::SLEEP(d);\n}\n");
    let wait = awake("async fn wait_until() {\n    let deadline = x;\n    SLEEP(d).await;\n}\n");
    let unbounded = awake("fn wait_for() {\n    SLEEP(d);\n}\n");
    let after = format!("{wait}fn next() {{\n{bare}}}\n");
    let counted = awake("    for _ in 0..9 {\n        SLEEP(d);\n    }\n    SLEEP(d);\n");
    let tree = Tree::of(&[
        ("tests/it/counted.rs", &counted),
        ("tests/it/a.rs", &bare),
        ("nats/tests/b.rs", &bare),
        ("saga/core/src/x/tests.rs", &bare),
        ("saga/engine/src/backoff.rs", &bare),
        ("tests/it/slow.rs", &reasoned),
        ("tests/it/wait.rs", &wait),
        ("tests/it/unbounded.rs", &unbounded),
        ("tests/it/after.rs", &after),
        ("tests/it/word.rs", &awake("    no_SLEEP(d);\n    // SLEEP(d)\n")),
        ("services/order/src/x.rs", &inline),
    ]);
    assert_eq!(
        places(&sleeps(&tree)),
        [
            "tests/it/counted.rs:4",
            "tests/it/a.rs:1",
            "nats/tests/b.rs:1",
            "saga/core/src/x/tests.rs:1",
            "tests/it/unbounded.rs:2",
            "tests/it/after.rs:6",
            "services/order/src/x.rs:5"
        ]
    );
}

#[test]
fn a_path_of_a_machine_is_found_in_markdown() {
    let tree = Tree::of(&[
        ("a.md", "see `/home/me/x`\n"),
        ("b.md", "cache: $HOME/.cache, ~/work/x, `services/home/x`\n"),
        ("c.md", "/root/.cargo/bin\n"),
    ]);
    assert_eq!(places(&machine_paths(&tree)), ["a.md:1", "c.md:1"]);
}
