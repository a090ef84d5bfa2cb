//! After a down-time a real Alertmanager is asked what fires, and what it does not say any more is over.

use std::process::Command;

use chrono::{SecondsFormat, TimeDelta, Utc};
use runbook::domain::config::sender::{Auth, Sender, SenderFormat};
use runbook::engine::dispatcher::Received;
use runbook::surface::intake::server::Server;
use runbook::surface::intake::server::catch_up::catch_up;
use serde_json::json;

use crate::alerts::House;
use crate::real::{self, prometheus};

const CONFIGURATION: &str = "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n";

/// Tells an Alertmanager of an alert that began a minute ago, as Prometheus does: over, or firing for another five minutes.
fn tell(alertmanager: &prometheus::Server, name: &str, over: bool) {
    let stamp = |at: chrono::DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let now = real::now();
    let ends = if over { now } else { now + TimeDelta::minutes(5) };
    let body = json!([{
        "labels": {"alertname": name, "service": name},
        "startsAt": stamp(now - TimeDelta::minutes(1)),
        "endsAt": stamp(ends),
    }]);
    let url = format!("{}/api/v2/alerts", alertmanager.url());
    let mut curl = Command::new("curl");
    curl.args(["-sSf", "-H", "Content-Type: application/json", "--data-binary", &body.to_string(), &url]);
    real::run(&mut curl, "curl");
}

fn words(received: &[Received]) -> Vec<&'static str> {
    let word = |received: &Received| match received {
        Received::Opened(_) => "opened",
        Received::Joined(_) => "joined",
        Received::Repeated(_) => "repeated",
        Received::Resolved(_) => "resolved",
        Received::Unheard => "unheard",
    };
    let mut words: Vec<_> = received.iter().map(word).collect();
    words.sort_unstable();
    words
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_began_and_what_ended_while_nobody_listened_is_caught_up_with() {
    let alertmanager = prometheus::alertmanager(CONFIGURATION);
    let house = House::new().await;
    house.clock.set(real::now());
    let server = Server::new(house.engine.clone(), house.duty.clone(), Vec::new()).unwrap();
    let sender = Sender { catch_up: Some(alertmanager.url()), ..Sender::new(SenderFormat::Alertmanager, Auth::None) };
    let look = async || words(&catch_up(&server, "alertmanager", &sender).await.unwrap());
    assert_eq!(look().await, Vec::<&str>::new());
    tell(&alertmanager, "gone-soon", false);
    tell(&alertmanager, "lasting", false);
    assert_eq!(look().await, ["opened", "opened"]);
    assert_eq!(look().await, ["repeated", "repeated"]);
    tell(&alertmanager, "gone-soon", true);
    tell(&alertmanager, "new", false);
    assert_eq!(look().await, ["opened", "repeated", "resolved"]);
    assert_eq!(look().await, ["repeated", "repeated"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alertmanager_that_does_not_answer_ends_nothing() {
    let alertmanager = prometheus::alertmanager(CONFIGURATION);
    let house = House::new().await;
    house.clock.set(real::now());
    let server = Server::new(house.engine.clone(), house.duty.clone(), Vec::new()).unwrap();
    let sender =
        |address: String| Sender { catch_up: Some(address), ..Sender::new(SenderFormat::Alertmanager, Auth::None) };
    tell(&alertmanager, "lasting", false);
    let right = sender(alertmanager.url());
    assert_eq!(words(&catch_up(&server, "alertmanager", &right).await.unwrap()), ["opened"]);
    let page = prometheus::Page::serve("not what an Alertmanager says");
    let nobody = format!("http://127.0.0.1:{}", crate::real::daemon::free_port());
    for wrong in [page.url(), nobody] {
        assert!(catch_up(&server, "alertmanager", &sender(wrong.clone())).await.is_err(), "{wrong}");
    }
    assert_eq!(words(&catch_up(&server, "alertmanager", &right).await.unwrap()), ["repeated"]);
}
