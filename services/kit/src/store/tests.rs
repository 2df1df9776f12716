use saga_engine::saga_core::barrier::{Key, Row};
use saga_engine::saga_core::{Reason, barrier::State};
use saga_engine::{Barrier as _, Change, CommitError};
use serde_json::json;

use super::*;

const STOCK: &str = "
DEFINE TABLE stock SCHEMAFULL;
DEFINE FIELD on_hand ON stock TYPE int ASSERT $value >= 0;
";
const TAKE: &str = "LET $left = (UPDATE type::record('stock', $m.sku) SET on_hand -= $m.quantity
    WHERE on_hand >= $m.quantity RETURN VALUE on_hand);
IF array::len($left) == 0 { THROW 'raced' };";

async fn stocked(on_hand: i64) -> Store {
    let store = Store::in_memory(STOCK).await.unwrap();
    let create = "CREATE type::record('stock', 'tea') SET on_hand = $on_hand RETURN NONE";
    store.query(create, json!({ "on_hand": on_hand })).await.unwrap();
    store
}

async fn on_hand(store: &Store) -> Value {
    store.query("SELECT VALUE on_hand FROM stock:tea", json!({})).await.unwrap().remove(0)
}

fn take(id: &str, quantity: i64) -> Change<Work> {
    Change {
        key: Key::new("order", id, "inventory"),
        seen: None,
        row: Row::done("r", json!({ "quantity": quantity })),
        work: Work::one(TAKE, json!({ "sku": "tea", "quantity": quantity })),
    }
}

#[tokio::test]
async fn a_batch_is_one_transaction() {
    let store = stocked(100).await;
    let changes: Vec<_> = (0..64).map(|n| take(&format!("o{n}"), 1)).collect();
    let keys: Vec<_> = changes.iter().map(|change| change.key.clone()).collect();
    assert!(store.commit(changes).await.iter().all(Result::is_ok));
    assert_eq!(on_hand(&store).await, json!([36]));
    let rows = store.read(&keys).await.unwrap();
    assert!(rows.iter().all(|row| row.as_ref().unwrap().state == State::Done));
    let unknown = store.read(&[Key::new("order", "nobody", "inventory"), keys[3].clone()]).await;
    let unknown = unknown.unwrap();
    assert_eq!((unknown[0].is_none(), unknown[1].is_some()), (true, true));
}

#[tokio::test]
async fn a_text_for_all_runs_once_for_a_batch() {
    let store = stocked(0).await;
    let insert = |sku: &str| Change {
        key: Key::new("order", sku, "inventory"),
        seen: None,
        row: Row::done("r", json!({})),
        work: Work::one("INSERT INTO stock $all RETURN NONE", json!({ "id": sku, "on_hand": 1 })),
    };
    let results = store.commit((0..64).map(|n| insert(&format!("s{n}"))).collect()).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    // One that is there already falls out of its batch alone.
    let mut again = insert("s1");
    again.key = Key::new("order", "again", "inventory");
    let results = store.commit(vec![insert("new"), again]).await;
    assert!(results[0].is_ok(), "{results:?}");
    assert!(matches!(results[1], Err(CommitError::Raced)), "{results:?}");
    let count = store.query("SELECT count() FROM stock GROUP ALL", json!({})).await.unwrap();
    assert_eq!(count[0][0]["count"], 66);
}

#[tokio::test]
async fn one_bad_change_does_not_hold_up_its_neighbours() {
    let store = stocked(3).await;
    let mut wrong = take("wrong", 1);
    wrong.work = Work::one(
        "UPDATE type::record('stock', $m.sku) SET on_hand = 'many'",
        json!({"sku": "tea"}),
    );
    let results = store.commit(vec![take("a", 2), wrong, take("b", 2), take("c", 1)]).await;
    assert!(results[0].is_ok() && results[3].is_ok(), "{results:?}");
    assert!(matches!(results[1], Err(CommitError::Refused(_))), "{results:?}");
    assert!(matches!(results[2], Err(CommitError::Raced)), "{results:?}");
    assert_eq!(on_hand(&store).await, json!([0]));
    let rows = store.read(&[Key::new("order", "wrong", "inventory")]).await.unwrap();
    assert_eq!(rows, [None], "nothing of a failed change remains");
}

#[tokio::test]
async fn a_row_that_changed_meanwhile_is_not_overwritten() {
    let store = stocked(10).await;
    assert!(store.commit(vec![take("a", 1)]).await[0].is_ok());
    assert!(matches!(store.commit(vec![take("a", 1)]).await[0], Err(CommitError::Raced)));
    let key = Key::new("order", "a", "inventory");
    let done = store.read(std::slice::from_ref(&key)).await.unwrap().remove(0).unwrap();
    let undo = |seen: Row| Change {
        key: key.clone(),
        row: seen.undone(),
        seen: Some(seen),
        work: Work::none(),
    };
    assert!(store.commit(vec![undo(done.clone())]).await[0].is_ok());
    assert!(matches!(store.commit(vec![undo(done)]).await[0], Err(CommitError::Raced)));
    let refused = Row::failed("r", Reason::new("no", "it's \"quoted\" \u{1F980}"));
    let other = Key::new("order", "b", "inventory");
    let change =
        Change { key: other.clone(), seen: None, row: refused.clone(), work: Work::none() };
    assert!(store.commit(vec![change]).await[0].is_ok());
    assert_eq!(store.read(&[other]).await.unwrap(), [Some(refused)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_changes_never_take_more_than_there_is() {
    let store = stocked(50).await;
    let racers = (0..8).map(|racer| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut taken = 0;
            for n in 0..10 {
                let result = store.commit(vec![take(&format!("r{racer}-{n}"), 1)]).await.remove(0);
                taken += i64::from(result.is_ok());
            }
            taken
        })
    });
    let taken: i64 = futures::future::join_all(racers).await.into_iter().map(Result::unwrap).sum();
    assert_eq!(taken, 50);
    assert_eq!(on_hand(&store).await, json!([0]));
}

#[tokio::test]
async fn errors_are_told_apart() {
    let store =
        Store::in_memory("DEFINE TABLE t; DEFINE INDEX sku ON t FIELDS sku UNIQUE;").await.unwrap();
    store.query("CREATE t:a SET sku = 'x'", json!({})).await.unwrap();
    let duplicate = store.query("CREATE t:a SET sku = 'y'", json!({})).await;
    assert!(matches!(duplicate, Err(Error::Duplicate(_))), "{duplicate:?}");
    let unique = store.query("CREATE t:b SET sku = 'x'", json!({})).await;
    assert!(matches!(unique, Err(Error::Duplicate(_))), "{unique:?}");
    let thrown = store.query("BEGIN; CREATE t:c; THROW 'no stock'; COMMIT;", json!({})).await;
    assert!(matches!(&thrown, Err(Error::Thrown(text)) if text.contains("no stock")), "{thrown:?}");
    let wrong = store.query("SELECT FROM WHERE", json!({})).await;
    assert!(matches!(wrong, Err(Error::Wrong(_))), "{wrong:?}");
    let number = store.query("RETURN $n", json!({ "n": u64::MAX })).await;
    assert!(matches!(number, Err(Error::Number(_))), "{number:?}");
    let float = store.query("RETURN $n", json!({ "n": 1.5 })).await;
    assert!(matches!(float, Err(Error::Number(_))), "{float:?}");
    assert_eq!(store.query("SELECT * FROM t:c", json!({})).await.unwrap(), [json!([])]);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_reopen_and_the_lock_is_held_until_then() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig::embedded(directory.path(), "stock");
    let store = Store::open(&config, STOCK).await.unwrap();
    store.query("CREATE stock:tea SET on_hand = 7", json!({})).await.unwrap();
    let second = Store::open(&config, STOCK).await;
    let Err(Error::Open { remedy, .. }) = second else { panic!("{second:?}") };
    assert!(remedy.contains("Another process"), "{remedy}");
    store.close().await.unwrap();
    let store = Store::open(&config, STOCK).await.unwrap();
    assert_eq!(on_hand(&store).await, json!([7]));
    store.close().await.unwrap();
    let changed = Store::open(&config, &STOCK.replace(">= 0", ">= 1")).await;
    assert!(matches!(changed, Err(Error::Migration(_))), "{changed:?}");
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_says_what_to_do() {
    // Not a store in memory, which would lose everything: the engine is not known.
    for url in ["surealkv://data", "rocksdb://data", "data", "mem", ""] {
        let config = StoreConfig { url: url.to_owned(), ..StoreConfig::in_memory() };
        let result = Store::open(&config, STOCK).await;
        let Err(Error::Open { remedy, .. }) = result else { panic!("{url}: {result:?}") };
        assert!(remedy.contains("--store"), "{url}: {remedy}");
    }
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig::embedded(directory.path(), "stock");
    let store = Store::open(&config, STOCK).await.unwrap();
    store.query("CREATE stock:tea SET on_hand = 7", json!({})).await.unwrap();
    store.close().await.unwrap();
    damage(&directory.path().join("stock/db"));
    let damaged = Store::open(&config, STOCK).await;
    let Err(Error::Open { remedy, .. }) = &damaged else { panic!("{damaged:?}") };
    assert!(remedy.contains("backup"), "{damaged:?}");
}

/// Overwrites every file of a database that has something in it.
fn damage(directory: &std::path::Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damage(&path);
        } else if path.metadata().unwrap().len() > 0 {
            std::fs::write(&path, [0xa5; 512]).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_record_loses_no_update() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig::embedded(directory.path(), "stock");
    let store = Store::open(&config, STOCK).await.unwrap();
    store.query("CREATE stock:tea SET on_hand = 0", json!({})).await.unwrap();
    let writers = (0..4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut added = 0;
            for _ in 0..20 {
                let add = "UPDATE stock:tea SET on_hand += 1 RETURN NONE";
                match store.query(add, json!({})).await {
                    Ok(_) => added += 1,
                    Err(error) => assert_eq!(error, Error::Conflict),
                }
            }
            added
        })
    });
    let added: i64 = futures::future::join_all(writers).await.into_iter().map(Result::unwrap).sum();
    assert_eq!(on_hand(&store).await, json!([added]));
    assert!(added > 60, "retries found a way for most: {added} of 80");
    store.close().await.unwrap();
}

#[tokio::test]
async fn rows_of_an_earlier_release_are_read_and_go_on() {
    let connection = open::open(&StoreConfig::in_memory()).await.unwrap();
    let store = Store { connection, threads: None };
    schema::prepare(&store).await.unwrap();
    let (first, _) = barrier::SCHEMA.split_once("-- migration: 0002").unwrap();
    schema::migrate(&store, first, "kit").await.unwrap();
    let (key, begun) = (Key::new("order", "a", "payment"), Row::begun("r", 5));
    let row = json!({
        "id": key.effect_id(), "row": serde_json::to_string(&begun).unwrap(),
        "saga_type": "order", "saga_id": "a", "step": "payment", "state": "begun",
    });
    store.query("INSERT INTO barrier $row", json!({ "row": row })).await.unwrap();
    schema::migrate(&store, barrier::SCHEMA, "kit").await.unwrap();
    let keys = std::slice::from_ref(&key);
    assert_eq!(store.read(keys).await.unwrap(), [Some(begun.clone())]);
    let row = Row::done("r", json!({}));
    let change = Change { key: key.clone(), seen: Some(begun), row, work: Work::none() };
    assert!(store.commit(vec![change.clone()]).await.iter().all(Result::is_ok));
    assert_eq!(store.read(keys).await.unwrap(), [Some(change.row)]);
}
