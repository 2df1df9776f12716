use std::sync::atomic::{AtomicU32, Ordering};

use poem::test::TestClient;

use super::*;

fn always(check: Check) -> impl Fn() -> BoxFuture<'static, Check> + Send + Sync + 'static {
    move || {
        let check = check.clone();
        Box::pin(async move { check })
    }
}

async fn ready(health: &Health) -> (StatusCode, Value) {
    let response = TestClient::new(routes(health.clone())).get("/ready").send().await;
    response.assert_content_type("application/health+json");
    let status = response.0.status();
    let body = response.0.into_body().into_string().await.unwrap();
    (status, serde_json::from_str(&body).unwrap())
}

#[tokio::test]
async fn the_worst_check_decides() {
    let (passing, warning, failing) = (Health::default(), Health::default(), Health::default());
    for health in [&passing, &warning, &failing] {
        health.add("fine", always(Check::Pass));
    }
    for health in [&warning, &failing] {
        health.add("odd", always(Check::Warn("look".to_owned())));
    }
    failing.add("bad", always(Check::Fail("gone".to_owned())));
    let (status, body) = ready(&passing).await;
    assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("pass")));
    let (status, body) = ready(&warning).await;
    assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("warn")));
    let (status, body) = ready(&failing).await;
    assert_eq!((status, &body["status"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("fail")));
    assert_eq!(body["checks"]["bad"], json!([{ "status": "fail", "output": "gone" }]));
    let alive = TestClient::new(routes(failing)).get("/live").send().await;
    alive.assert_status_is_ok();
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_fails_and_an_answer_is_kept_for_a_second() {
    let health = Health::default();
    let asked = std::sync::Arc::new(AtomicU32::new(0));
    let counted = std::sync::Arc::clone(&asked);
    health.add("hangs", move || {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::pending())
    });
    for _ in 0..3 {
        assert!(matches!(&health.check().await["hangs"], Check::Fail(why) if why.contains("2 s")));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
