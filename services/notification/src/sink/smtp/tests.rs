use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::SmtpSink;
use crate::{
    mail::{Letter, Mail, Recipient},
    sink::{
        SinkError,
        relay::{Fault, Relay},
    },
};

const PER_MAIL: Duration = Duration::from_secs(5);

fn mail(number: usize) -> Mail {
    Mail {
        effect_id: format!("order.ord_{number}.notification"),
        to: Recipient { name: "Ada".to_owned(), email: format!("ada{number}@example.com") },
        letter: Letter { subject: "Hello".to_owned(), body: ".\nHello\n".to_owned() },
        at_ms: 0,
    }
}

fn sink(port: u16, per_mail: Duration) -> SmtpSink {
    let from = "orders@shop.example".parse().unwrap();
    SmtpSink::new(from, "127.0.0.1", port, per_mail)
}

/// The Message-IDs of the mails that the relay took, each once.
fn ids(relay: &Relay) -> BTreeSet<String> {
    relay.taken().iter().map(|taken| taken.message_id().to_owned()).collect()
}

/// Tries until the relay is not left alone any more.
async fn until_delivered(sink: &SmtpSink, mails: &[Mail]) {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let answers = sink.deliver(mails).await;
        if answers.iter().all(Result::is_ok) {
            return;
        }
        assert!(Instant::now() < end, "{answers:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn mails_reach_the_relay_over_few_connections() {
    let relay = Relay::start().await;
    let sink = sink(relay.port, PER_MAIL);
    let mails: Vec<_> = (0..50).map(mail).collect();
    assert!(sink.deliver(&mails).await.iter().all(Result::is_ok));
    assert_eq!(ids(&relay).len(), 50);
    assert!(relay.peak() <= super::CONNECTIONS, "{}", relay.peak());
    assert!(relay.connections() < 50, "connections are used again: {}", relay.connections());
    let first = &relay.taken()[0];
    assert_eq!(first.to.len(), 1);
    assert!(first.data.contains("\r\n\r\n..\r\nHello\r\n"), "{}", first.data);
}

#[tokio::test]
async fn a_relay_that_is_down_delays_and_the_mail_leaves_once_it_is_back() {
    let port = Relay::dead_port().await;
    let sink = sink(port, PER_MAIL);
    let answers = sink.deliver(&[mail(1), mail(2)]).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(SinkError::Unavailable(_)))));
    let relay = Relay::start_on(port).await;
    until_delivered(&sink, &[mail(1), mail(2)]).await;
    assert_eq!(ids(&relay).len(), 2);
}

#[tokio::test]
async fn a_deferral_is_tried_again_and_its_neighbours_are_not_held_up() {
    let relay = Relay::start().await;
    relay.faults(&[Fault::Rcpt(451)]);
    let sink = sink(relay.port, PER_MAIL);
    let answers = sink.deliver(&[mail(1)]).await;
    assert_eq!(answers, [Err(SinkError::Unavailable("the relay answered 451: later".to_owned()))]);
    assert!(sink.deliver(&[mail(1), mail(2)]).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_mail_whose_receipt_was_lost_is_sent_again_under_the_same_message_id() {
    let relay = Relay::start().await;
    relay.faults(&[Fault::AcceptsThenDrops]);
    let sink = sink(relay.port, PER_MAIL);
    assert!(matches!(sink.deliver(&[mail(1)]).await[0], Err(SinkError::Unavailable(_))));
    until_delivered(&sink, &[mail(1)]).await;
    let taken = relay.taken();
    assert_eq!(taken.len(), 2);
    assert_eq!(taken[0].message_id(), "<order.ord_1.notification@shop.example>");
    assert_eq!(taken[0], taken[1], "byte for byte, so that the relay can tell");
}

#[tokio::test]
async fn a_refused_mailbox_is_refused_for_good_and_not_named() {
    let relay = Relay::start().await;
    let sink = sink(relay.port, PER_MAIL);
    for (code, for_good) in [(550, true), (551, true), (553, true), (530, false), (554, false)] {
        relay.faults(&[Fault::Rcpt(code)]);
        let error = sink.deliver(&[mail(1)]).await.remove(0).unwrap_err();
        assert_eq!(matches!(error, SinkError::Rejected(_)), for_good, "{code}: {error}");
        assert!(!format!("{error:?}").contains('@'), "{error:?}");
    }
}

#[tokio::test]
async fn a_silent_relay_costs_a_bounded_time_for_any_number_of_mails() {
    let relay = Relay::start().await;
    relay.faults(&[Fault::Silent; 100]);
    let sink = sink(relay.port, Duration::from_millis(200));
    let begun = Instant::now();
    let answers = sink.deliver(&(0..100).map(mail).collect::<Vec<_>>()).await;
    assert!(answers.iter().all(|answer| matches!(answer, Err(SinkError::Unavailable(_)))));
    assert!(begun.elapsed() < sink.longest() + Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(relay.taken().is_empty());
}
