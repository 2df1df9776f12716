use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jetsaga_contracts::{
    http::notification::{Channel, NotificationStatus},
    order_saga::Notified,
};
use saga_core::Plan;
use saga_engine::{Answer, Resolution, Step as _, testing::SagaKit};
use service_kit::Work;
use tempfile::tempdir;

use super::Confirm;
use crate::{
    delivery::Delivery,
    post::Post,
    sink::relay::{Fault, Relay},
    testing::{commit, files, id, input, job, post, relay, written},
};

fn done(answer: &Answer<Notified, Work>) -> (&Notified, &Work) {
    let Answer::Done(notified, work) = answer else { panic!("{answer:?}") };
    (notified, work)
}

async fn only(post: &Post, number: u128) -> Delivery {
    let found = post.deliveries.of_order(&id(number)).await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

#[tokio::test]
async fn a_mail_becomes_a_file_and_a_delivery() {
    let directory = tempdir().unwrap();
    let post = post(files(directory.path())).await;
    let step = Confirm::new(Arc::clone(&post));
    assert_eq!(step.outside(), None);
    let answer = step.run(&job(1)).await;
    let (notified, work) = done(&answer);
    commit(&post.deliveries, work.clone()).await;
    let delivery = only(&post, 1).await;
    assert_eq!((delivery.status, delivery.channel), (NotificationStatus::Sent, Channel::File));
    assert_eq!((delivery.attempts, &delivery.message_id), (1, &notified.message_id));
    let name = format!("order.{}.notification.eml", id(1));
    assert_eq!(written(directory.path()), std::slice::from_ref(&name));
    let mail = std::fs::read_to_string(directory.path().join("mails").join(name)).unwrap();
    assert!(mail.contains(&format!("Message-ID: <{}>\r\n", notified.message_id)), "{mail}");
    assert!(mail.contains("To: Ada <ada@example.com>\r\n"), "{mail}");
}

#[tokio::test]
async fn a_batch_is_sent_whole_and_twice_is_once() {
    let directory = tempdir().unwrap();
    let post = post(files(directory.path())).await;
    let step = Confirm::new(Arc::clone(&post));
    let jobs: Vec<_> = (0..64).map(job).collect();
    for _ in 0..2 {
        for answer in step.run_all(&jobs).await {
            commit(&post.deliveries, done(&answer).1.clone()).await;
        }
    }
    assert_eq!(written(directory.path()).len(), 64);
    assert_eq!(only(&post, 63).await.status, NotificationStatus::Sent);
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_delays() {
    let directory = tempdir().unwrap();
    std::fs::write(directory.path().join("mails"), "in the way").unwrap();
    let post = post(files(directory.path())).await;
    let answer = Confirm::new(post).run(&job(1)).await;
    assert!(matches!(answer, Answer::Again(..)), "{answer:?}");
}

#[tokio::test]
async fn a_dead_relay_delays_and_the_mail_can_be_seen_to_wait() {
    let number = Relay::dead_port().await;
    let post = post(relay(number)).await;
    let step = Confirm::new(Arc::clone(&post));
    assert!(step.outside().is_some());
    let answer = step.run(&job(1)).await;
    let Answer::Again(_, why) = &answer else { panic!("{answer:?}") };
    assert!(!why.contains('@'), "{why}");
    let waiting = only(&post, 1).await;
    assert_eq!((waiting.status, waiting.attempts), (NotificationStatus::Pending, 1));
    assert_eq!(waiting.last_error.as_ref(), Some(why));
    assert_eq!(waiting.sent, None);

    let back = Relay::start_on(number).await;
    let sent = wait_until_sent(&step).await;
    commit(&post.deliveries, done(&sent).1.clone()).await;
    assert_eq!(back.taken().len(), 1);
    let delivery = only(&post, 1).await;
    assert_eq!((delivery.status, delivery.last_error), (NotificationStatus::Sent, None));
    assert!(delivery.attempts >= 2 && delivery.sent.is_some());
}

#[tokio::test]
async fn a_mailbox_that_does_not_exist_never_fails_the_order() {
    let relay_there = Relay::start().await;
    relay_there.faults(&[Fault::Rcpt(550)]);
    let post = post(relay(relay_there.port)).await;
    let step = Confirm::new(Arc::clone(&post));
    let answer = step.run(&job(1)).await;
    commit(&post.deliveries, done(&answer).1.clone()).await;
    let delivery = only(&post, 1).await;
    assert_eq!(delivery.status, NotificationStatus::Failed);
    assert!(delivery.last_error.unwrap().contains("550"));
    // Told again (the event was not appended), it is not sent again.
    let mut again = job(1);
    again.attempt = 2;
    assert!(matches!(step.run(&again).await, Answer::Done(..)));
    assert!(relay_there.taken().is_empty());
}

#[tokio::test]
async fn a_lost_receipt_is_settled_by_sending_the_same_mail_again() {
    let relay_there = Relay::start().await;
    relay_there.faults(&[Fault::AcceptsThenDrops]);
    let post = post(relay(relay_there.port)).await;
    let step = Confirm::new(Arc::clone(&post));
    assert!(matches!(step.run(&job(1)).await, Answer::Again(..)));
    assert!(matches!(step.resolve(&job(1)).await, Resolution::NotHappened));
    wait_until_sent(&step).await;
    let taken = relay_there.taken();
    assert_eq!(taken[0], taken[1]);
}

#[tokio::test]
async fn the_step_keeps_the_promises_of_a_saga() {
    let directory = tempdir().unwrap();
    let relay_there = Relay::start().await;
    for sink in [files(directory.path()), relay(relay_there.port)] {
        let post = post(sink).await;
        let plan = Arc::new(Plan::new(saga_workflows::order()).unwrap());
        let world = Arc::clone(&post);
        let report = SagaKit::new(plan, "notification", post.deliveries.barrier().clone())
            .step("notification", Confirm::new(Arc::clone(&post)))
            .ids(|number| id(u128::try_from(number).unwrap()).into_string())
            .input(|_| serde_json::to_value(input()).unwrap())
            .world(move || {
                let post = Arc::clone(&world);
                async move { sent(&post).await }
            })
            .check()
            .await
            .unwrap();
        assert!(report.scenarios.len() >= 6, "{report:?}");
    }
    // However often a process died and a message came: one mail per saga, as its Message-ID says.
    let mut ids: Vec<_> =
        relay_there.taken().iter().map(|taken| taken.message_id().to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), written(directory.path()).len());
}

/// Delivers the job of saga 1 again until its mail is sent: a relay that was away is left alone for
/// a moment.
async fn wait_until_sent(step: &Confirm) -> Answer<Notified, Work> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut again = job(1);
    loop {
        again.attempt += 1;
        let answer = step.run(&again).await;
        if matches!(answer, Answer::Done(..)) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How many deliveries of the first sagas were sent.
async fn sent(post: &Post) -> usize {
    let mut count = 0;
    for number in 0..64 {
        count += post.deliveries.of_order(&id(number)).await.unwrap().len();
    }
    count
}
