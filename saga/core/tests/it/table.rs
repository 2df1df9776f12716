//! The barrier's table, completely.

use std::fmt::Write as _;

use saga_core::Reason;
use saga_core::barrier::{Row, State, on_ending, on_run, on_settle, on_skip, on_undo};
use serde_json::json;

use crate::golden;

const NOW: i64 = 1_000;

fn rows() -> Vec<(&'static str, Option<Row>)> {
    let done = Row::done("r", json!({"x": 1}));
    vec![
        ("absent", None),
        ("begun, in the middle", Some(Row::begun("r", NOW + 1))),
        ("begun, over", Some(Row::begun("r", NOW))),
        ("done", Some(done.clone())),
        ("failed", Some(Row::failed("r", Reason::new("no", "")))),
        ("void", Some(Row::new("r", State::Void))),
        ("undoing, in the middle", Some(done.undoing(NOW + 1))),
        ("undoing, over", Some(done.undoing(NOW))),
        ("undone", Some(done.undone())),
        ("held on 4", Some(done.held(4))),
        ("of another request", Some(Row::done("other", json!({})))),
    ]
}

#[test]
fn the_whole_table() {
    let mut text = String::new();
    for (name, row) in rows() {
        let row = row.as_ref();
        writeln!(text, "{name}").unwrap();
        writeln!(text, "  run        {:?}", on_run(row, "r", NOW)).unwrap();
        for n in [3, 4, 5] {
            writeln!(text, "  undo on {n}  {:?}", on_undo(row, "r", n, NOW)).unwrap();
        }
        writeln!(text, "  skip       {:?}", on_skip(row, "r").map(|row| row.state)).unwrap();
        writeln!(text, "  settle     {:?}", on_settle(row, "r").map(|row| row.state)).unwrap();
    }
    golden::check("barrier.txt", &text);
}

#[test]
fn an_ending_is_mirrored_once_and_never_after_a_later_one() {
    let first = on_ending(None, "r", 5).unwrap();
    assert_eq!(on_ending(Some(&first), "r", 5), None);
    assert_eq!(on_ending(Some(&first), "r", 4), None);
    assert_eq!(on_ending(Some(&first), "r", 6).unwrap().n, Some(6));
    assert_eq!(on_ending(Some(&first), "other", 6), None);
}

/// The output stays in the row from `done` to `undone`: every undo on the way needs it.
#[test]
fn the_output_is_kept_until_the_effect_is_gone() {
    let done = Row::done("r", json!({"x": 1}));
    for row in [done.undoing(5), done.held(4), done.undoing(5).held(4).undoing(9), done.undone()] {
        assert_eq!(row.output, Some(json!({"x": 1})), "{row:?}");
    }
}
